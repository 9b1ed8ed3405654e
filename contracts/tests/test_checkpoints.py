"""Signed checkpoints of a real log, and attackers who may do everything at the broker."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chained import chained
from contracts.attestation import Attestation
from contracts.checkpoints import LogCheckpoint
from contracts.envelope import Stored
from contracts.events import JobCancelRequested, JobRequested, JobType
from contracts.findings import Check, Finding, Severity
from contracts.verification import Verifier
from eventlog.broker import Broker, connect
from eventlog.checkpoints import (
    Notary,
    UnreadableCheckpointError,
    is_genuine,
    parse_checkpoint,
    read_checkpoints,
)
from eventlog.errors import BrokerError, DeniedError, GapError
from eventlog.log import EventLog
from eventlog.server_config import make_seed
from eventlog.signatures import Signer, UnusableKeyError, is_signed, key_bytes
from eventlog.span import extent, read_span
from eventlog.topology import ensure, lasting_streams

from contracts import subjects
from tests.support.broker import NatsServer, nats_server

_NAMES = itertools.count()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A broker for each test: the log as a whole is what they are about."""
    with nats_server(tmp_path / "nats") as running:
        yield running


@pytest.fixture
def signer(server: NatsServer) -> Signer:
    return Signer.of(server.seeds["notary"])


@pytest.fixture
async def notary(admin: Broker, server: NatsServer, signer: Signer) -> AsyncIterator[Notary]:
    """With the rights of a notary, and no others."""
    broker = await connect(server.address("notary"))
    yield Notary(broker, signer)
    await broker.close()


async def fill(admin: Broker, jobs: int = 3) -> None:
    log = EventLog(admin, "gateway")
    for _ in range(jobs):
        job = f"j{next(_NAMES)}"
        await log.tell(job, JobRequested(type=JobType.TRAIN, owner="ada"))
        await log.tell(job, JobCancelRequested(by="ada"))


async def stored(admin: Broker) -> list[Stored]:
    reach = await extent(admin)
    return [one async for batch in read_span(admin, 0, reach.end) for one in batch]


async def verified(admin: Broker, *trusted: str) -> tuple[list[Finding], Attestation]:
    """As `events verify` does: every event, and all checkpoints."""
    signed = [one async for one in read_checkpoints(admin)]
    attestation = Attestation(signed, is_genuine, trusted, (await extent(admin)).created)
    found = list(attestation.beginning())
    verifier = Verifier()
    for one in await stored(admin):
        found += [*verifier.examine(one), *attestation.examine(one)]
    return [*found, *attestation.end()], attestation


def errors(found: Iterable[Finding]) -> list[str]:
    return [one.what for one in found if one.severity is Severity.ERROR]


async def rebuild(admin: Broker, edit: Callable[[list[Stored]], Iterable[Stored]]) -> None:
    """What somebody with all rights can do: another stream in the place of the log."""
    events = await stored(admin)
    await admin.api(f"STREAM.DELETE.{subjects.JOBS}")
    [config] = [each for each in lasting_streams() if each["name"] == subjects.JOBS]
    await admin.api(f"STREAM.CREATE.{subjects.JOBS}", config)
    for one in edit(events):
        subject = subjects.event(one.job, one.type)
        headers = {**one.headers, "content-type": "application/json"}
        assert "error" not in await admin.publish(subject, one.body, headers)


def rechained(events: list[Stored]) -> list[Stored]:
    """Each job with chain values as they must be, at the places of its events."""
    by_job: dict[str, list[Stored]] = {}
    for one in events:
        by_job.setdefault(one.job, []).append(one)
    fresh = {job: iter(chained(its)) for job, its in by_job.items()}
    return [next(fresh[one.job]) for one in events]


async def test_what_was_signed_is_attested_up_to_its_last_event(
    admin: Broker, notary: Notary, signer: Signer
) -> None:
    assert await notary.sign() is None
    await fill(admin)
    first = await notary.sign()
    assert first is not None
    assert (first.last_sequence, first.previous, first.key_id) == (6, None, signer.public_key)
    assert await notary.sign() is None
    await fill(admin, 1)
    second = await notary.sign()
    assert second is not None
    assert (second.last_sequence, second.previous) == (8, first.id)
    await fill(admin, 1)
    found, attestation = await verified(admin, signer.public_key)
    assert found == []
    assert attestation.attested is not None
    assert (attestation.attested.last_sequence, attestation.attested.trusted) == (8, True)


async def test_a_notary_goes_on_from_its_last_checkpoint_with_the_same_hash(
    admin: Broker, server: NatsServer, notary: Notary, signer: Signer
) -> None:
    await fill(admin)
    await notary.sign()
    await fill(admin)
    read: list[int] = []
    continued = await notary.sign(lambda done, _total: read.append(done))
    assert read == [12]
    stranger_seed = server.folder / "stranger.nk"
    stranger_seed.write_bytes(make_seed())
    # Another notary does not believe the first, and reads everything anew.
    await fill(admin, 1)
    other = await Notary(admin, Signer.of(stranger_seed)).sign()
    assert continued is not None
    assert other is not None
    found, _ = await verified(admin, signer.public_key, other.key_id)
    assert found == []
    [untrusted] = errors((await verified(admin, signer.public_key))[0])
    assert f"{other.id} and those after it are signed by {other.key_id}" in untrusted
    unsaid, attestation = await verified(admin)
    assert errors(unsaid) == []
    assert "say with --trust whom you trust" in unsaid[0].what
    assert attestation.attested is not None
    assert not attestation.attested.trusted


async def test_two_notaries_at_once_sign_once(admin: Broker, notary: Notary) -> None:
    await fill(admin)
    made = await asyncio.gather(*(notary.sign() for _ in range(4)))
    assert len([one for one in made if one is not None]) == 1
    assert len([one async for one in read_checkpoints(admin)]) == 1


async def test_an_edit_with_chains_made_anew_is_found_by_the_checkpoint(
    admin: Broker, notary: Notary, signer: Signer
) -> None:
    await fill(admin)
    await notary.sign()

    def edit(events: list[Stored]) -> list[Stored]:
        body = json.loads(events[2].body)
        assert body["owner"] == "ada"
        forged = replace(events[2], body=json.dumps({**body, "owner": "eve"}).encode())
        return rechained([*events[:2], forged, *events[3:]])

    await rebuild(admin, edit)
    alone = Verifier()
    assert [alone.examine(one) for one in await stored(admin)] == [[]] * 6
    found, attestation = await verified(admin, signer.public_key)
    [forged] = errors(found)
    assert "the log is not what was signed" in forged
    assert "some of the events 1 to 6 changed" in forged
    assert any("was it restored?" in one.what for one in found)
    assert attestation.attested is None


async def test_a_job_that_was_taken_out_is_found_by_the_checkpoint(
    admin: Broker, notary: Notary, signer: Signer
) -> None:
    await fill(admin)
    await notary.sign()
    await fill(admin, 2)
    await notary.sign()
    await rebuild(admin, lambda events: [*events[:6], *events[8:]])
    found, attestation = await verified(admin, signer.public_key)
    assert attestation.attested is not None
    assert attestation.attested.last_sequence == 6
    [shorter] = errors(found)
    assert "the log ends at event 8, and reached to event 10" in shorter
    await fill(admin, 1)
    found, _ = await verified(admin, signer.public_key)
    [changed] = errors(found)
    assert "some of the events 7 to 10 changed" in changed


async def test_a_log_that_was_restored_as_it_was_still_has_its_checkpoints(
    admin: Broker, notary: Notary, signer: Signer
) -> None:
    await fill(admin)
    before = await notary.sign()
    await rebuild(admin, lambda events: events)
    found, attestation = await verified(admin, signer.public_key)
    [noted] = found
    assert (noted.severity, noted.check) == (Severity.NOTE, Check.CHECKPOINT)
    assert "was it restored?" in noted.what
    assert attestation.attested is not None
    await fill(admin, 1)
    after = await notary.sign()
    assert before is not None
    assert after is not None
    assert (after.last_sequence, after.previous) == (8, before.id)
    assert errors((await verified(admin, signer.public_key))[0]) == []


async def test_checkpoints_that_were_kept_convict_even_an_attacker_with_the_notarys_key(
    admin: Broker, notary: Notary, signer: Signer
) -> None:
    await fill(admin)
    kept = await notary.sign()
    assert kept is not None
    await rebuild(admin, lambda events: rechained([*events[2:]]))
    await admin.api(f"STREAM.DELETE.{subjects.CHECKPOINTS}")
    await ensure(admin)
    await notary.sign()
    found, _ = await verified(admin, signer.public_key)
    assert errors(found) == []
    attestation = Attestation([kept], is_genuine, [signer.public_key], linked=False)
    found = [finding for one in await stored(admin) for finding in attestation.examine(one)]
    [shorter] = errors([*found, *attestation.end()])
    assert "the log ends at event 4, and reached to event 6" in shorter


@pytest.mark.parametrize(
    "change",
    [
        {"last_sequence": 5},
        {"log_hash": "0" * 64},
        {"time": "2026-01-01T00:00:00Z"},
        {"previous": "forged"},
        {"id": "forged"},
        {"stream_created": "2026-01-01T00:00:00Z"},
        {"signature": None},
        {"signature": "A" * 86 + "=="},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_checkpoint_that_was_changed_is_not_believed(
    admin: Broker, notary: Notary, signer: Signer, change: dict[str, Any]
) -> None:
    await fill(admin)
    made = await notary.sign()
    assert made is not None
    assert is_genuine(made)
    forged = LogCheckpoint.model_validate({**made.model_dump(), **change})
    assert not is_genuine(forged)
    attestation = Attestation([forged], is_genuine, [signer.public_key], linked=False)
    [finding] = attestation.beginning()
    assert "is not signed by the key that it names" in finding.what


async def test_checkpoints_that_were_left_out_are_missed(
    admin: Broker, notary: Notary, signer: Signer
) -> None:
    for _ in range(3):
        await fill(admin, 1)
        await notary.sign()
    first, second, third = [one async for one in read_checkpoints(admin)]
    for listed in ([second, third], [first, third]):
        attestation = Attestation(listed, is_genuine, [signer.public_key])
        [missing] = attestation.beginning()
        assert "checkpoints were left out" in missing.what
    assert Attestation([third], is_genuine, [signer.public_key], linked=False).beginning() == []


async def test_a_log_with_a_gap_is_read_to_its_end_and_never_signed(
    admin: Broker, notary: Notary, signer: Signer
) -> None:
    await fill(admin, 4)
    await notary.sign()
    [config] = [each for each in lasting_streams() if each["name"] == subjects.JOBS]
    # A stream that forgets its oldest messages has a gap at its beginning.
    await fill(admin, 1)
    await admin.api(f"STREAM.UPDATE.{subjects.JOBS}", {**config, "max_msgs": 5})
    left = [one.sequence for one in await stored(admin)]
    assert left == [6, 7, 8, 9, 10]
    found, _ = await verified(admin, signer.public_key)
    assert "events 1 to 5 are missing" in errors(found)
    with pytest.raises(GapError):
        await Notary(admin, Signer.of(other_seed(admin, signer))).sign()


def other_seed(admin: Broker, signer: Signer) -> Path:
    assert admin.address.seed_file is not None
    path = admin.address.seed_file.with_name("other.nk")
    path.write_bytes(make_seed())
    assert Signer.of(path).public_key != signer.public_key
    return path


async def test_a_log_that_the_broker_cut_off_at_an_edit_on_its_disk_is_known_to_be_shorter(
    server: NatsServer, admin: Broker, notary: Notary, signer: Signer
) -> None:
    await fill(admin)
    await notary.sign()
    await admin.close()
    server.kill()
    blocks = list((server.folder / "jetstream").rglob(f"{subjects.JOBS}/msgs/*.blk"))
    assert blocks
    for block in blocks:
        content = bytearray(block.read_bytes())
        content[len(content) // 2] ^= 1
        block.write_bytes(content)
        for index in block.parent.glob("*.db"):
            index.unlink()
    server.start()
    again = await connect(server.address("admin"))
    found, _ = await verified(again, signer.public_key)
    await again.close()
    [shorter] = errors(found)
    assert "and reached to event 6 when checkpoint" in shorter


async def test_only_the_notary_may_sign_and_it_may_do_nothing_else(
    server: NatsServer, admin: Broker, signer: Signer
) -> None:
    await fill(admin)
    observer = await connect(server.address("observer"))
    with pytest.raises(DeniedError):
        await Notary(observer, signer).sign()
    assert [one async for one in read_checkpoints(observer)] == []
    await observer.close()
    notary = await connect(server.address("notary"))
    with pytest.raises(DeniedError):
        await notary.request(subjects.event("j1", "JobDeleted"), b"{}")
    with pytest.raises((DeniedError, BrokerError)):
        await notary.api(f"STREAM.DELETE.{subjects.CHECKPOINTS}")
    await notary.close()


@pytest.mark.parametrize("text", ["", "{}", '{"version":2}', "[]", "nothing"])
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(UnreadableCheckpointError, match="no checkpoint that this program knows"):
        parse_checkpoint(text)


def test_a_key_is_known_by_its_checksum_and_a_seed_by_its_form(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    seed.write_bytes(make_seed() + b"\n")
    signer = Signer.of(seed)
    assert len(key_bytes(signer.public_key)) == 32
    assert is_signed(b"content", signer.sign(b"content"), signer.public_key)
    assert not is_signed(b"another", signer.sign(b"content"), signer.public_key)
    assert not is_signed(b"content", "no base64", signer.public_key)
    mistyped = ("B" if signer.public_key[5] == "A" else "A").join(
        (signer.public_key[:5], signer.public_key[6:])
    )
    with pytest.raises(UnusableKeyError, match="checksum"):
        key_bytes(mistyped)
    assert not is_signed(b"content", signer.sign(b"content"), mistyped)
    with pytest.raises(UnusableKeyError):
        key_bytes("key")
    seed.write_text("no seed")
    with pytest.raises(UnusableKeyError, match="no seed"):
        Signer.of(seed)
