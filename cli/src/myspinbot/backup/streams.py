"""The log and all else that lasts in the broker, out and back, stream by stream."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from eventlog import archive
from eventlog.archive import StreamFacts
from eventlog.broker import Broker
from eventlog.topology import lasting_streams

from contracts import subjects
from myspinbot.backup.manifest import DamagedBackupError, Part, StreamPart
from myspinbot.backup.meter import Work
from myspinbot.errors import REFUSED, CommandError

_FOLDER = "streams"
_MARK = "restored-from"
_CHUNK_BYTES = 1 << 20


def order() -> list[str]:
    """The lasting streams in the order in which they are copied while the system goes on.

    Checkpoints are statements about the log, so they come before it: none may speak of events
    that are not in the copy. The rest comes after it, so that what the log names is there.
    """
    names = [config["name"] for config in lasting_streams()]
    first = [subjects.CHECKPOINTS, subjects.JOBS]
    return first + [name for name in names if name not in first]


async def back_up(broker: Broker, name: str, folder: Path, work: Work) -> StreamPart:
    """Copy one stream into the folder of a backup."""
    (folder / _FOLDER).mkdir(mode=0o700, exist_ok=True)
    path = folder / _FOLDER / f"{name}.snapshot"
    snapshot = await archive.snapshot(broker, name)
    digest = hashlib.sha256()
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        async for chunk in snapshot.chunks:
            digest.update(chunk)
            file.write(chunk)
            size += len(chunk)
            work.advance(len(chunk))
    part = Part(path=f"{_FOLDER}/{path.name}", size=size, sha256=digest.hexdigest())
    facts = snapshot.facts
    return StreamPart(
        name=name,
        created=facts.created,
        config=facts.config,
        state=facts.state,
        consumers=tuple(await archive.consumer_names(broker, name)),
        file=part,
    )


async def check_free(broker: Broker, parts: Iterable[StreamPart], backup: str) -> None:
    """CommandError if the broker holds anything that a restore would be in the way of."""
    for part in parts:
        found = await archive.facts(broker, part.name)
        if found is not None and found.last_sequence and not _is_ours(found, backup):
            raise CommandError(
                f"The broker has a stream {part.name} with {found.state['messages']} messages.",
                "Restore into an empty broker. If they may go, and are backed up, remove them "
                f"first: nats stream rm {part.name}",
                REFUSED,
            )


async def log_made(broker: Broker, backup: str) -> datetime | None:
    """When an earlier try of the same restore has made the log, if it has."""
    found = await archive.facts(broker, subjects.JOBS)
    return found.created if found is not None and _is_ours(found, backup) else None


async def restore(
    broker: Broker, part: StreamPart, folder: Path, backup: str, work: Work
) -> StreamFacts:
    """Make one stream again, unless an earlier try of the same restore has; returns its facts."""
    wanted = StreamFacts(part.name, part.created, part.config, part.state)
    found = await archive.facts(broker, part.name)
    if found is not None:
        if _is_ours(found, backup) and _agrees(found, wanted):
            work.advance(part.file.size)
            return found
        await archive.drop(broker, part.name)
    metadata = {**(part.config.get("metadata") or {}), _MARK: backup}
    config = {**part.config, "metadata": metadata}
    path = folder / part.file.path
    made = await archive.restore(broker, part.name, config, part.state, _read(path, work))
    if not _agrees(made, wanted):
        raise DamagedBackupError(
            path, f"gives a stream that ends at {made.last_sequence}, not {wanted.last_sequence}"
        )
    if missing := set(part.consumers) - set(await archive.consumer_names(broker, part.name)):
        raise DamagedBackupError(path, f"lacks the consumer {', '.join(sorted(missing))}")
    return made


def _is_ours(found: StreamFacts, backup: str) -> bool:
    return dict(found.config.get("metadata") or {}).get(_MARK) == backup


def _agrees(found: StreamFacts, wanted: StreamFacts) -> bool:
    """Whether a stream holds what it should; what has an end of its own may be over by now."""
    if wanted.config.get("max_age") or wanted.config.get("allow_msg_ttl"):
        return found.last_sequence == wanted.last_sequence
    return found.extent == wanted.extent


def _read(path: Path, work: Work) -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in _chunks(path):
            yield chunk
            work.advance(len(chunk))

    return chunks()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
