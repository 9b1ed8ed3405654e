"""The objects, out of the store and back: several at once, each checked against its hash."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from servicekit.objects import Listed, MissingObjectError, ObjectStore, ObjectStoreError

from myspinbot.backup.index import Entry, IndexWriter
from myspinbot.backup.manifest import DamagedBackupError
from myspinbot.backup.meter import Work
from myspinbot.backup.shelf import Backup, Draft, Shelf
from myspinbot.errors import REFUSED, CommandError

_AT_ONCE = 8
Item = TypeVar("Item")


async def everything(store: ObjectStore) -> list[Listed]:
    """All objects of the bucket."""
    return [listed async for listed in store.entries("")]


async def back_up(
    store: ObjectStore,
    shelf: Shelf,
    draft: Draft,
    listed: Iterable[Listed],
    *,
    known: Mapping[tuple[str, str, int], Entry],
    work: Work,
) -> int:
    """Copy what is not known yet and list all; returns how many were erased meanwhile."""
    new = []
    with IndexWriter(draft.index) as index:
        for each in listed:
            entry = known.get((each.key, each.etag, each.size))
            if entry is not None:
                index.add(entry)
            else:
                new.append(each)
        gone = 0

        async def fetch(each: Listed, number: int) -> None:
            nonlocal gone
            try:
                index.add(await _fetch(store, shelf, each, shelf.incoming(number), work))
            except MissingObjectError:
                gone += 1

        await several(new, fetch)
    return gone


async def _fetch(
    store: ObjectStore, shelf: Shelf, listed: Listed, incoming: Path, work: Work
) -> Entry:
    media_type, chunks = await store.open(listed.key)
    digest = hashlib.sha256()
    size = 0
    descriptor = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        async with aclosing(chunks):
            async for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                size += len(chunk)
                work.advance(len(chunk))
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    if size != listed.size:
        raise ObjectStoreError(f"{listed.key} came with {size} of {listed.size} bytes")
    sha256 = digest.hexdigest()
    shelf.keep(incoming, sha256)
    return Entry(listed.key, listed.etag, size, sha256, media_type)


async def check_free(store: ObjectStore, entries: Sequence[Entry]) -> set[str]:
    """The keys that an earlier try has restored; CommandError if there are other objects."""
    sizes = {entry.key: entry.size for entry in entries}
    there = await everything(store)
    for listed in there:
        if sizes.get(listed.key) != listed.size:
            raise CommandError(
                f"The bucket {store.bucket} holds objects that are not of this backup, "
                f"such as {listed.key}.",
                "Restore into an empty bucket: name a new one with --s3-bucket.",
                REFUSED,
            )
    return {listed.key for listed in there}


async def restore(store: ObjectStore, backup: Backup, entries: Iterable[Entry], work: Work) -> None:
    """Put objects into the bucket."""

    async def put(entry: Entry, _number: int) -> None:
        blob = backup.blob(entry.sha256)
        try:
            artifact = await store.put_file(entry.key, blob, entry.media_type)
        except FileNotFoundError:
            raise DamagedBackupError(blob, "is missing") from None
        if artifact.sha256 != entry.sha256:
            await store.delete(entry.key)
            raise DamagedBackupError(blob, "is not what its name says")
        work.advance(entry.size)

    await several(entries, put)


async def several(items: Iterable[Item], do: Callable[[Item, int], Awaitable[None]]) -> None:
    """Do it for all, some at a time, each with the number of its place among those."""
    waiting = iter(items)

    async def one_after_the_other(number: int) -> None:
        for item in waiting:
            await do(item, number)

    tasks = [asyncio.create_task(one_after_the_other(number)) for number in range(_AT_ONCE)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
