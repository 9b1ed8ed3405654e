"""Events out of one real log, into files, and into another."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from command_support import Command
from contracts.artifacts import Artifact
from contracts.chain import link
from contracts.envelope import Stored, store, to_structured
from contracts.exchange import CHECKPOINT_TYPE, CLOSING_TYPE, Digest
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.transfer import Outcome, receive
from exchange_support import Installation, by_job, fill, histories, installation, lines, objects_of
from myspinbot.errors import FAILED, MISUSED, NOT_FOUND, UNREACHABLE
from myspinbot.exchange.reading import CutFileError, entries
from myspinbot.exchange.writing import encoded
from servicekit.objects import StoreAddress, open_store

from contracts import events as e
from tests.support.objectstore import object_store

AUDIT = Path(__file__).parents[2] / "docs" / "audit.md"
FORMATS = ("log.jsonl", "log.ndjson", "log.json", "log.parquet", "log.jsonl.gz", "log.json.gz")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("here"), _unset) as made:
        made.doing(fill)
        yield made


def _unset(*_words: str) -> Any:
    raise RuntimeError("the commands come with each test")


@pytest.fixture
def here(filled: Installation, command: Command) -> Installation:
    """A log with every recorded job; nobody changes it."""
    return replace(filled, run=command)


@pytest.fixture
def there(tmp_path: Path, command: Command) -> Iterator[Installation]:
    """An installation of which nothing is known."""
    with installation(tmp_path / "there", command) as made:
        yield made


@pytest.fixture
def exported(here: Installation, tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    assert here.export(str(path)).status == 0
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_a_log_is_the_same_in_another_installation_whatever_carried_it(
    here: Installation, there: Installation, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    written = here.export(str(path))
    assert (written.status, written.out) == (0, f"{path}\n")
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == [name]
    events, jobs = here.events(), len(histories())
    taken = there.take(str(path))
    assert taken.status == 0, taken.err
    assert taken.out == f"Imported {jobs} jobs with {len(events)} events.\n"
    assert by_job(there.events()) == by_job(events)
    assert there.verify().out.endswith(": no errors.\n")
    again = there.take(str(path))
    assert again.status == 0
    assert again.out == f"There already: {jobs} jobs in whole, {len(events)} events in all.\n"
    assert len(there.events()) == len(events)
    checked = there.run("events", "verify", str(path))
    assert checked.status == 0, checked.out


def test_every_line_of_an_export_is_a_cloud_event(exported: Path, here: Installation) -> None:
    written = lines(exported)
    assert all(
        line["specversion"] == "1.0" and line["id"] and line["source"] and line["type"]
        for line in written
    )
    assert [line["type"] for line in written].count(CLOSING_TYPE) == 1
    closing = written[-1]["data"]
    assert closing["events"] == len(here.events()) == len(written) - 1
    assert closing["selection"] == {"jobs": [], "types": []}


def test_a_batch_is_one_json_array_and_a_table_has_the_attributes_as_columns(
    here: Installation, exported: Path, tmp_path: Path
) -> None:
    batch, table = tmp_path / "log.json", tmp_path / "log.parquet"
    here.export(str(batch))
    here.export(str(table))
    assert json.loads(batch.read_text())[:-1] == lines(exported)[:-1]
    read = pytest.importorskip("pyarrow.parquet").read_table(table).to_pylist()
    events = here.events()
    assert [row["sequence"] for row in read] == [stored.sequence for stored in events]
    assert [row["at"] for row in read] == [stored.recorded().time for stored in events]
    assert [json.loads(row["data"]) for row in read] == [json.loads(s.body) for s in events]
    assert {row["subject"] for row in read} == set(by_job(events))


def test_the_same_log_makes_the_same_file(here: Installation, tmp_path: Path) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    here.export(str(first))
    here.export(str(second))
    assert first.read_bytes().splitlines()[:-1] == second.read_bytes().splitlines()[:-1]
    assert lines(first)[-1]["data"] == lines(second)[-1]["data"]


def test_events_are_selected_by_job_type_owner_place_and_time(
    here: Installation, tmp_path: Path
) -> None:
    events = here.events()
    path = tmp_path / "some.jsonl"

    def chosen(*words: str) -> list[int]:
        done = here.export(str(path), *words)
        assert done.status == 0, done.err
        return [int(line["sequence"]) for line in lines(path)[:-1]]

    def sequences(wanted: Callable[[Stored], bool]) -> list[int]:
        return [stored.sequence for stored in events if wanted(stored)]

    one, two = events[0].job, events[-1].job
    assert chosen("--job", one) == sequences(lambda s: s.job == one)
    assert sorted(chosen("--job", one, "--job", two)) == sequences(lambda s: s.job in (one, two))
    assert chosen("--type", "jobrequested") == sequences(lambda s: s.type == "JobRequested")
    assert chosen("--since", "10", "--until", "20") == list(range(11, 21))
    middle = events[len(events) // 2].recorded().time
    assert chosen("--since", middle.isoformat()) == sequences(lambda s: s.recorded().time >= middle)
    before = middle - timedelta(microseconds=1)
    assert chosen("--until", before.isoformat()) == sequences(lambda s: s.recorded().time <= before)
    assert chosen("--owner", "local") == sequences(lambda _: True)
    assert here.export(str(path), "--owner", "nobody").status == NOT_FOUND


def test_what_finds_nothing_or_fails_leaves_what_was_there(
    here: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "kept.jsonl"
    path.write_text("kept")
    missed = here.export(str(path), "--since", "100000")
    assert missed.status == NOT_FOUND
    assert "The log has no such events." in missed.err
    assert [each.name for each in tmp_path.iterdir()] == ["kept.jsonl"]
    assert path.read_text() == "kept"
    assert here.export(str(tmp_path / "none" / "log.jsonl")).status == FAILED
    assert here.export(str(path), "--job", "nothing-like-it").status == NOT_FOUND


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("log.txt", ()),
        ("log", ()),
        ("log.zst", ()),
        ("log.parquet.gz", ()),
        ("log.jsonl", ("--type", "Nothing")),
        ("log.jsonl", ("--since", "whenever")),
        ("log.jsonl", ("--artifacts", "objects")),
    ],
)
def test_what_cannot_be_meant_is_refused(
    here: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    words: tuple[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MYSPINBOT_S3_ENDPOINT", raising=False)
    refused = here.export(name, *words)
    assert refused.status == MISUSED
    assert len(refused.err.strip().splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


def test_without_the_library_for_tables_it_is_said_how_to_get_it(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "myspinbot.exchange.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = here.export(str(tmp_path / "log.parquet"))
    assert refused.status == MISUSED
    assert "pip install 'myspinbot[parquet]'" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_events_go_through_pipes(
    here: Installation, there: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = here.export("-")
    assert written.err == ""
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(written.out.encode())))
    )
    taken = there.take("-")
    assert taken.status == 0, taken.err
    assert by_job(there.events()) == by_job(here.events())


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("name", ["log.jsonl", "log.json", "log.jsonl.gz", "log.parquet"])
def test_an_export_that_was_cut_is_refused_and_nothing_is_written(
    here: Installation, there: Installation, tmp_path: Path, name: str, share: float
) -> None:
    whole, part = tmp_path / name, tmp_path / f"part-{name}"
    here.export(str(whole))
    part.write_bytes(cut(whole.read_bytes(), share))
    refused = there.take(str(part))
    assert refused.status in (FAILED, MISUSED)
    assert refused.err.startswith("The file is not whole: it has no closing word")
    assert there.events() == []
    assert "it has no closing word" in here.run("events", "verify", str(part)).out


def test_of_a_cut_export_the_jobs_that_ended_in_it_are_taken_and_later_all(
    here: Installation, there: Installation, exported: Path, tmp_path: Path
) -> None:
    part = tmp_path / "part.jsonl"
    part.write_bytes(cut(exported.read_bytes(), 0.8))
    taken = there.take(str(part), "--partial")
    assert taken.status == 0
    assert "left out" in taken.out
    jobs = by_job(there.events())
    everything = by_job(here.events())
    assert 0 < len(jobs) < len(everything)
    assert all(everything[job][: len(events)] == events for job, events in jobs.items())
    assert there.take(str(exported)).status == 0
    assert by_job(there.events()) == everything


def test_an_import_that_was_cut_off_goes_on_where_it_was(
    here: Installation, there: Installation, exported: Path
) -> None:
    jobs: dict[str, list[Stored]] = {}
    for stored in here.events():
        jobs.setdefault(stored.job, []).append(stored)

    async def half(admin: Broker) -> None:
        log = EventLog(admin, "test")
        for events in list(jobs.values())[:3]:
            await log.copy(events, 0)

    there.doing(half)
    known = sum(len(events) for events in list(jobs.values())[:3])
    taken = there.take(str(exported), "--json")
    told = json.loads(taken.out)
    assert told["there"] == {"jobs": 3, "events": known}
    assert told["imported"]["jobs"] == len(jobs) - 3
    assert by_job(there.events()) == by_job(here.events())


def test_two_imports_at_once_make_one_log(here: Installation, there: Installation) -> None:
    jobs: dict[str, list[Stored]] = {}
    for stored in here.events():
        jobs.setdefault(stored.job, []).append(stored)

    async def race(admin: Broker) -> list[Outcome]:
        logs = [EventLog(admin, "one"), EventLog(admin, "two")]
        return [
            received.outcome
            for job, events in jobs.items()
            for received in await asyncio.gather(
                *(receive(log, job, lambda events=events: iter(events)) for log in logs)
            )
        ]

    outcomes = there.doing(race)
    assert Outcome.REFUSED not in outcomes
    assert by_job(there.events()) == by_job(here.events())


def test_a_job_with_another_history_is_refused_by_name_and_others_go_on(
    here: Installation, there: Installation, exported: Path
) -> None:
    other = here.events()[0].job

    async def ask(admin: Broker) -> None:
        await EventLog(admin, "gateway").tell(
            other, e.JobRequested(type=e.JobType.TRAIN, owner="someone")
        )

    there.doing(ask)
    taken = there.take(str(exported))
    assert taken.status == FAILED
    assert f"{other}\trefused\tit has another history here, from its first event on" in taken.out
    assert "1 job refused; nothing of them was written." in taken.err
    jobs, everything = by_job(there.events()), by_job(here.events())
    assert len(jobs.pop(other)) == 1
    everything.pop(other)
    assert jobs == everything


def test_a_job_that_has_gone_on_here_is_there_already(there: Installation, exported: Path) -> None:
    there.take(str(exported))
    retried = next(s.job for s in there.events() if s.type == "JobCancelled")

    async def retry(admin: Broker) -> None:
        await EventLog(admin, "gateway").tell(retried, e.JobRetryRequested(by="local"))

    there.doing(retry)
    again = there.take(str(exported))
    assert again.status == 0
    assert again.out.startswith("There already: ")


def rewritten(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """An export whose lines somebody has changed, and whose closing word fits again."""
    entries = lines(path)
    closing = entries.pop()
    change(entries)
    digest = Digest()
    for entry in entries:
        if entry["type"] != CHECKPOINT_TYPE:
            digest.add(entry)
    closing["data"] |= {"events": digest.events, "sha256": digest.sha256}
    path.write_bytes(b"".join(encoded(entry) + b"\n" for entry in (*entries, closing)))
    return path


def _edit_owner(entries: list[dict[str, Any]]) -> None:
    entries[0]["data"]["owner"] = "eve"


def _rechained(entries: list[dict[str, Any]]) -> None:
    chain, job = "", entries[0]["subject"]
    for entry in entries:
        if entry["subject"] == job:
            chain = entry["chain"] = link(chain, entry)


def _newer_version(entries: list[dict[str, Any]]) -> None:
    entries[0]["data"]["version"] = 99
    _rechained(entries)


def _unknown_type(entries: list[dict[str, Any]]) -> None:
    entries[0]["type"] = "myspinbot.JobPraised"
    _rechained(entries)


def _twice(entries: list[dict[str, Any]]) -> None:
    entries.insert(1, entries[0])


def _left_out(entries: list[dict[str, Any]]) -> None:
    del entries[1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_edit_owner, "its chain value does not follow"),
        (_newer_version, "it takes MySpinBot 0.1.0 or newer"),
        (_unknown_type, "its type JobPraised is not known"),
        (_twice, "its chain value does not follow"),
        (_left_out, "its chain value does not follow"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_job_in_which_something_is_wrong_stays_out_and_others_come_in(
    there: Installation,
    exported: Path,
    change: Callable[[list[dict[str, Any]]], None],
    why: str,
) -> None:
    wrong = lines(exported)[0]["subject"]
    taken = there.take(str(rewritten(exported, change)))
    assert taken.status == FAILED
    [told] = [line for line in taken.out.splitlines() if "\trefused\t" in line]
    assert told.startswith(wrong)
    assert why in told
    jobs = by_job(there.events())
    assert wrong not in jobs
    assert len(jobs) == len(histories()) - 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no JSON", "it is no JSON"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ("[" * 100_000, "it is no JSON"),
        (
            '{"specversion":"1.0","id":"1","source":"https://x","type":"com.x.y","data":{}}',
            "is not an event",
        ),
        ("42", "a JSON object is wanted"),
    ],
    ids=["text", "nan", "deep", "foreign", "number"],
)
def test_one_line_that_is_no_event_keeps_the_whole_file_out(
    there: Installation, exported: Path, line: str, why: str
) -> None:
    content = exported.read_text().splitlines()
    exported.write_text("\n".join([*content[:5], line, *content[5:]]) + "\n")
    refused = there.take(str(exported))
    assert refused.status == FAILED
    assert refused.err.startswith("Entry 6 of the file cannot be taken: ")
    assert why in refused.err
    assert there.events() == []


def test_headers_cannot_be_smuggled_in(there: Installation, exported: Path) -> None:
    def smuggle(entries: list[dict[str, Any]]) -> None:
        entries[3]["traceparent"] = "00-x\r\nNats-Rollup: all"

    refused = there.take(str(rewritten(exported, smuggle)))
    assert refused.status == FAILED
    assert "Entry 4 of the file cannot be taken: its traceparent" in refused.err
    assert there.events() == []


def test_an_export_that_was_damaged_or_lengthened_is_not_taken(
    there: Installation, exported: Path
) -> None:
    content = exported.read_bytes()
    damaged = content.replace(b'"local"', b'"lokal"', 1)
    exported.write_bytes(damaged)
    refused = there.take(str(exported), "--partial")
    assert "its events are not those that were exported: its hash is another" in refused.err
    exported.write_bytes(content + content.splitlines(keepends=True)[0])
    assert "it follows after the closing word" in there.take(str(exported)).err
    assert there.events() == []


def test_a_file_in_a_newer_format_names_what_wrote_it(there: Installation, exported: Path) -> None:
    entries = lines(exported)
    entries[-1]["data"] |= {"format": 2, "program": "3.1.0", "novelty": True}
    exported.write_bytes(b"".join(encoded(entry) + b"\n" for entry in entries))
    refused = there.take(str(exported))
    assert "it was written by MySpinBot 3.1.0 in format 2" in refused.err
    assert there.events() == []


def test_only_whole_jobs_can_be_taken(
    here: Installation, there: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "some.jsonl"
    here.export(str(path), "--type", "JobRequested")
    refused = there.take(str(path))
    assert "The file holds only some of the events of its jobs." in refused.err
    assert here.run("events", "verify", str(path)).status == 0
    assert there.take(str(tmp_path / "none.jsonl")).status == NOT_FOUND
    packed = tmp_path / "log.zst"
    packed.write_bytes(b"\x28\xb5\x2f\xfd and more")
    assert "zstd -d" in there.take(str(packed)).err


def test_a_job_that_has_not_ended_is_taken_only_if_that_is_wanted(
    there: Installation, exported: Path, tmp_path: Path
) -> None:
    entries = lines(exported)
    job = entries[0]["subject"]
    started = [entry for entry in entries if entry.get("subject") == job][:3]

    def only(written: list[dict[str, Any]]) -> None:
        written[:] = started

    path = rewritten(exported, only)
    left = there.take(str(path))
    assert left.status == 0
    assert f"{job}\tleft out\tit has not ended" in left.out
    assert "Nothing was imported." in left.out
    assert there.take(str(path), "--unfinished", "--dry-run").out.startswith("1 job of 1 would be")
    assert there.events() == []
    assert there.take(str(path), "--unfinished").status == 0
    assert len(there.events()) == 3


def test_a_job_of_more_events_than_enter_at_once_enters_in_order(
    there: Installation, tmp_path: Path
) -> None:
    [job] = [each for each in histories() if each[-1].type == "JobCancelled"]
    log_events = [each.recorded() for each in job]
    many = log_events[-2]._replace(
        event=e.JobCancelRequested(by="local"), source="/myspinbot/gateway"
    )
    events = [*log_events[:-1], *(many._replace(id=f"again-{n}") for n in range(2100))]
    events.append(log_events[-1])
    chain, written = "", []
    for sequence, each in enumerate(events, 1):
        bare = each._replace(chain=None, sequence=sequence)
        chain = store(bare).linked(chain)
        written.append(to_structured(bare._replace(chain=chain)))
    path = tmp_path / "long.jsonl"
    path.write_bytes(b"".join(encoded(entry) + b"\n" for entry in written))
    assert there.take(str(path), "--partial").status == 0
    assert [s.id for s in there.events()] == [each.id for each in events]
    assert there.verify().status == 0


def test_values_of_json_are_read_however_they_are_laid_out(exported: Path) -> None:
    entries_ = lines(exported)

    def read(content: bytes) -> list[Any]:
        return [value for _, value in entries(io.BufferedReader(io.BytesIO(content)))]

    for indent in (None, 1, 8):
        assert read(json.dumps(entries_, indent=indent).encode()) == entries_
    wide = json.dumps([{"a": "é" * 3_000_000}, {"b": 1}], ensure_ascii=False).encode()
    assert [len(value) for value in read(wide)] == [1, 1]
    assert read(b"  []\n") == []
    assert read(gzip.compress(b'{"a":1}\n\n{"b":2}')) == [{"a": 1}, {"b": 2}]
    for torn in (b"[", b"[{}", b"[{},", b'[{"a":', b'[{"a":"x', b'[{"a":tru', b'{"a":1}\n{"b'):
        with pytest.raises(CutFileError):
            read(torn)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StoreAddress, StoreAddress]]:
    with (
        object_store(tmp_path_factory.mktemp("weed-here")) as one,
        object_store(tmp_path_factory.mktemp("weed-there")) as other,
    ):
        yield one, other


def use(monkeypatch: pytest.MonkeyPatch, address: StoreAddress) -> None:
    monkeypatch.setenv("MYSPINBOT_S3_ENDPOINT", address.endpoint)
    monkeypatch.setenv("MYSPINBOT_S3_BUCKET", address.bucket)
    monkeypatch.setenv("MYSPINBOT_S3_ACCESS_KEY", address.access_key)
    monkeypatch.setenv("MYSPINBOT_S3_SECRET_KEY", address.secret_key)


async def contents(address: StoreAddress) -> dict[str, bytes]:
    async with open_store(address) as objects:
        return {
            key: b"".join([chunk async for chunk in objects.read(key)])
            async for key in objects.keys("")
        }


def test_artifacts_come_along_and_what_is_missing_is_counted(
    there: Installation,
    tmp_path: Path,
    command: Command,
    stores: tuple[StoreAddress, StoreAddress],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine, others = stores
    kept, erased = b"a face" * 1000, b"a voice" * 1000

    async def make(admin: Broker) -> None:
        async with open_store(mine) as objects:
            photo = await objects.put("uploads/photo", kept, "image/png")
            voice = await objects.put("uploads/voice", erased, "audio/ogg")
            await objects.delete("uploads/voice")
        log = EventLog(admin, "gateway")
        inputs = {"photos": (photo,), "clip": (voice,)}
        for job in ("live", "gone"):
            await log.tell(job, e.JobRequested(type=e.JobType.TRAIN, owner="ada", inputs=inputs))
            await log.tell(job, e.JobCancelRequested(by="ada"))
            planner = EventLog(admin, "planner")
            await planner.tell(job, e.JobCancelled())
        await log.tell("gone", e.JobDeleted(by="ada"))

    with installation(tmp_path / "here", command) as here:
        here.doing(make)
        use(monkeypatch, mine)
        path, folder = tmp_path / "log.jsonl", tmp_path / "objects"
        done = here.export(str(path), "--artifacts", str(folder), "--json")
        assert json.loads(done.out)["objects"]["missing"] == 1
        sha256 = hashlib.sha256(kept).hexdigest()
        assert (folder / sha256[:2] / sha256).read_bytes() == kept
        assert folder.stat().st_mode & 0o077 == 0
        checked = json.loads(here.verify("--artifacts", "--json").out)
        [missing] = checked["findings"]
        assert (missing["check"], missing["job"]) == ("artifact", "live")
        assert "uploads/voice is missing" in missing["what"]
    use(monkeypatch, others)
    assert "2 objects that these jobs speak of are missing here" in there.take(str(path)).err
    taken = there.take(str(path), "--artifacts", str(folder), "--json")
    assert json.loads(taken.out)["objects"] == {
        "moved": 1,
        "movedBytes": len(kept),
        "there": 0,
        "missing": 1,
        "refused": 0,
    }
    assert asyncio.run(contents(others)) == {"uploads/photo": kept}
    (folder / sha256[:2] / sha256).write_bytes(b"b face" * 1000)

    async def lose() -> None:
        async with open_store(others) as objects:
            await objects.delete("uploads/photo")

    asyncio.run(lose())
    refused = there.take(str(path), "--artifacts", str(folder))
    assert refused.status == FAILED
    assert "is not what its name says" in refused.err
    assert asyncio.run(contents(others)) == {}


def test_recorded_jobs_speak_of_many_objects(here: Installation) -> None:
    named = objects_of(here.events())
    assert all(isinstance(artifact, Artifact) for artifact in named)
    assert len({artifact.key for artifact in named}) == len(named) > 50


def test_a_log_is_signed_listed_and_verified_with_what_was_kept(
    there: Installation, exported: Path, tmp_path: Path
) -> None:
    there.take(str(exported))
    end = len(there.events())
    assert "There is no signed checkpoint" in there.verify().err
    key = there.checkpoint("--public-key").out.strip()
    signed = there.checkpoint()
    assert f"Signed the log up to event {end} by {key}." in signed.err
    assert "Nothing is new" in there.checkpoint().err
    assert signed.out.strip() in there.checkpoint("--list").out
    kept = tmp_path / "kept.json"
    kept.write_text(there.checkpoint("--list", "--json").out)
    told = there.verify("--trust", key, "--checkpoints", str(kept), "--json")
    report = json.loads(told.out)
    assert (told.status, report["ok"], report["checkpoints"]) == (0, True, 2)
    assert report["attested"] == {
        "lastSequence": end,
        "time": json.loads(kept.read_text())["checkpoints"][0]["time"],
        "keyId": key,
        "trusted": True,
    }
    assert f"The log up to event {end} is as it was when it was signed" in there.verify().out
    path = tmp_path / "whole.jsonl"
    assert "1 signed checkpoint" in there.export(str(path)).err
    assert [line["type"] for line in lines(path)[-2:]] == [CHECKPOINT_TYPE, CLOSING_TYPE]
    assert "signed at" in there.run("events", "verify", str(path), "--trust", key).out
    stranger = there.run("events", "verify", str(path), "--trust", f"{'U' + 'A' * 55}")
    assert stranger.status == MISUSED
    assert there.verify("--checkpoints", str(path)).status == MISUSED


def test_a_forged_export_is_convicted_by_the_checkpoint_in_it(
    there: Installation, exported: Path, tmp_path: Path
) -> None:
    there.take(str(exported))
    there.checkpoint()
    path = tmp_path / "whole.jsonl"
    there.export(str(path))

    def drop_a_job(entries: list[dict[str, Any]]) -> None:
        checkpoint = entries.pop()
        job = entries[-1]["subject"]
        entries[:] = [entry for entry in entries if entry["subject"] != job]
        for number, entry in enumerate(entries, 1):
            entry["sequence"] = str(number)
        entries.append(checkpoint)

    rewritten(path, drop_a_job)
    convicted = there.run("events", "verify", str(path))
    assert convicted.status == FAILED
    assert "reached to event" in convicted.out


def test_the_documented_script_verifies_checkpoints_without_this_program(
    there: Installation, exported: Path, tmp_path: Path
) -> None:
    there.take(str(exported))
    there.checkpoint()
    path = tmp_path / "whole.jsonl"
    there.export(str(path))
    [script] = re.findall(r"```python\n(.*?)```", AUDIT.read_text(), re.DOTALL)

    def run() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", script, str(path)]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    key = there.checkpoint("--public-key").out.strip()
    good = run()
    assert good.returncode == 0, good.stderr
    assert good.stdout.split()[0] == str(len(there.events()))
    assert good.stdout.split()[2] == key
    content = lines(path)
    content[4]["chain"] = "0" * 64
    path.write_bytes(b"".join(encoded(each) + b"\n" for each in content))
    assert "the log is not what was signed at" in run().stderr
    content[-2]["data"]["lastSequence"] -= 1
    path.write_bytes(b"".join(encoded(each) + b"\n" for each in content))
    assert "BadSignatureError" in run().stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--every", "soon"),
        ("--every", "0h"),
        ("--list", "--public-key"),
        ("--every", "1h", "--list"),
    ],
)
def test_what_a_notary_cannot_do_is_refused(there: Installation, words: tuple[str, ...]) -> None:
    refused = there.checkpoint(*words)
    assert refused.status == MISUSED
    assert len(refused.err.strip().splitlines()) == 2


def test_a_notary_in_a_container_goes_on_signing_until_it_is_ended(
    there: Installation, exported: Path
) -> None:
    there.take(str(exported))
    address = there.server.address("notary")
    words = ["-m", "myspinbot.main", "events", "checkpoint", "--every", "1s", "--nats", address.url]
    with subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "MYSPINBOT_NATS_SEED": str(address.seed_file)},
        stdout=subprocess.PIPE,
        text=True,
    ) as notary:
        assert notary.stdout is not None
        first = notary.stdout.readline().strip()

        async def ask(admin: Broker) -> None:
            request = e.JobRequested(type=e.JobType.TRAIN, owner="ada")
            await EventLog(admin, "gateway").tell("one-more", request)

        there.doing(ask)
        second = notary.stdout.readline().strip()
        notary.terminate()
        assert notary.wait(30) == 128 + signal.SIGTERM
    listed = json.loads(there.checkpoint("--list", "--json").out)["checkpoints"]
    assert [each["id"] for each in listed] == [first, second]
    assert listed[1]["lastSequence"] == listed[0]["lastSequence"] + 1


def test_asking_for_what_is_not_there_makes_no_keys(command: Command, tmp_path: Path) -> None:
    home = tmp_path / "nobody"
    for words, status in (
        (("checkpoint", "--public-key"), NOT_FOUND),
        (("checkpoint",), UNREACHABLE),
        (("verify",), UNREACHABLE),
        (("export", str(tmp_path / "x.jsonl")), UNREACHABLE),
        (("import", str(tmp_path / "x.jsonl")), NOT_FOUND),
    ):
        assert command("events", *words, "--home", str(home)).status == status, words
    assert list(tmp_path.iterdir()) == []


def test_a_verification_names_the_job_that_is_meant(here: Installation) -> None:
    job = here.events()[0].job
    told = json.loads(here.verify("--job", job, "--json").out)
    assert (told["jobs"], told["errors"]) == (1, 0)
    assert here.verify("--job", "nobody-knows-this-job").status == NOT_FOUND
    assert here.verify("none.jsonl", "--artifacts").status == MISUSED
