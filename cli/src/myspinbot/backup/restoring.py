"""Makes an installation from a backup: a local home, or an empty one that runs elsewhere.

A local home is filled beside its place, by a broker and an object store of its own, and put
there with one renaming when all of it is whole and on the disk. So a restore that fails or is
killed has changed nothing, and is started again from the beginning.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eventlog.archive import StreamFacts
from eventlog.board import Board
from eventlog.broker import Broker, connect
from eventlog.errors import UnavailableError
from eventlog.topology import ensure
from servicekit.objects import open_store

from contracts import subjects
from myspinbot.backup import keys, objects, streams, views
from myspinbot.backup.index import Entry
from myspinbot.backup.installation import Installation, holds_data, of_new_home
from myspinbot.backup.making import check_room, understood
from myspinbot.backup.meter import work
from myspinbot.backup.shelf import Backup, settle, sync
from myspinbot.backup.verifying import objects_of, verify
from myspinbot.embedded.home import Home
from myspinbot.embedded.processes import kill_leftovers
from myspinbot.errors import REFUSED, CommandError
from myspinbot.screen import hint

# Short, because the paths of sockets below it must be.
_BESIDE = ".new"


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it: where the data that was there is now, and whether the views came back."""

    moved_to: Path | None = None
    with_views: bool = True


async def into_home(backup: Backup, home: Home, *, replace: bool) -> Restored:
    """Restore into a local home that has no data; with `replace` the data is moved aside.

    Raises HomeHeldError if a system runs there, and CommandError for all else.
    """
    with home.hold():
        occupied = holds_data(home)
        if occupied and not replace:
            raise CommandError(
                f"{home.root} holds data already.",
                "Name a new folder with --home, or move that data aside with --replace.",
                REFUSED,
            )
        beside = Home(home.root / _BESIDE)
        _clear(beside)
        # Once as it is, and once more while the broker syncs its own copy of the log.
        check_room(home.root, 2 * _log_size(backup) + backup.manifest.size, "what is restored")
        await verify(backup)
        beside.prepare()
        if backup.manifest.keys:
            keys.restore(backup.folder / backup.manifest.keys.path, beside.keys)
        async with of_new_home(beside) as installation:
            with_views = await fill(installation, backup)
        await asyncio.to_thread(settle, beside.data)
        moved_to = _put(beside, home, occupied=occupied)
    return Restored(moved_to, with_views)


async def into_installation(backup: Backup, installation: Installation) -> Restored:
    """Restore into broker, bucket and database of another installation, all of them empty.

    What an earlier try of the same restore has done is not done again.
    """
    await verify(backup)
    return Restored(with_views=await fill(installation, backup))


async def fill(installation: Installation, backup: Backup) -> bool:
    """Put everything into an empty installation; returns whether the views came back too."""
    with understood():
        entries = objects_of(backup)
        broker = await connect(installation.broker)
        try:
            await _check_silent(broker)
            await streams.check_free(broker, backup.manifest.streams, backup.manifest.id)
            url = _views_to_load(installation, backup)
            before = await streams.log_made(broker, backup.manifest.id)
            loaded = url is not None and await views.check_free(url, before)
            async with open_store(installation.store) as store:
                await store.ensure_bucket()
                there = await objects.check_free(store, entries)
                log = await _log(broker, backup)
                missing = [entry for entry in entries if entry.key not in there]
                with work("Objects", _sum(missing)) as progress:
                    await objects.restore(store, backup, missing, progress)
            if url is not None and not loaded:
                old = backup.manifest.log.created
                await views.restore(url, backup.folder, old=old, new=log.created)
            # Brings the streams to this version's configuration, and makes those that are new.
            await ensure(broker, replicas=int(log.config["num_replicas"]))
        finally:
            await broker.close()
    return url is not None


async def _log(broker: Broker, backup: Backup) -> StreamFacts:
    """Restore all streams; returns the facts about the log."""
    parts = backup.manifest.streams
    made = {}
    with work("Log", sum(part.file.size for part in parts)) as progress:
        for part in parts:
            made[part.name] = await streams.restore(
                broker, part, backup.folder, backup.manifest.id, progress
            )
    return made[subjects.JOBS]


def _views_to_load(installation: Installation, backup: Backup) -> str | None:
    """The database that the views of the backup go into; None if they are left out."""
    part, url = backup.manifest.views, installation.views
    if part is None or url is None:
        return None
    if not views.fits(url, part):
        hint(f"The views in the backup are of {part.kind}; others are filled from the log.")
        return None
    return url


async def _check_silent(broker: Broker) -> None:
    """CommandError if services are at work: they would act on a half-restored log."""
    try:
        board = Board(broker, subjects.RUNNERS, subjects.ALL_RUNNERS)
        living = [note.subject for note in [each async for each in board.all(">")]]
    except UnavailableError:
        return
    if living:
        raise CommandError(
            f"Services of the installation are at work ({', '.join(living)}).",
            "Stop gateway, planner, projector and runners, wait half a minute, and try again.",
            REFUSED,
        )


def _put(beside: Home, home: Home, *, occupied: bool) -> Path | None:
    moved_to = None
    if occupied:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        moved_to = home.root / f"data-before-{stamp}"
        home.data.rename(moved_to)
    else:
        _remove_empty(home.data)
    beside.data.rename(home.data)
    sync(home.root)
    _clear(beside)
    return moved_to


def _remove_empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()


def _clear(beside: Home) -> None:
    """Remove what an earlier restore has left, which is nobody's data yet."""
    if beside.root.exists():
        kill_leftovers(beside.note().stack)
        shutil.rmtree(beside.root)


def _log_size(backup: Backup) -> int:
    return sum(int(part.state["bytes"]) for part in backup.manifest.streams)


def _sum(entries: Sequence[Entry]) -> int:
    return sum(entry.size for entry in entries)
