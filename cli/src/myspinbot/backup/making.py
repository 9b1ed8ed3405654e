"""Makes a backup of an installation, which may go on working meanwhile.

The order makes the copy one of a single moment, the end of the copied log: views that are
older catch up with it, and whatever its events name was stored before they were told. What is
erased while the backup is made is missing in it, and counted.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING

from eventlog import archive
from eventlog.broker import Broker, connect
from eventlog.errors import BrokerError, DeniedError, EventLogError, UnavailableError
from servicekit.objects import Listed, ObjectStore, ObjectStoreError, open_store

from myspinbot.backup import keys, objects, streams, views
from myspinbot.backup.index import Entry, read_index
from myspinbot.backup.manifest import FORMAT, Manifest, ObjectsPart, part_of
from myspinbot.backup.meter import work
from myspinbot.backup.shelf import Backup, Draft, Shelf
from myspinbot.errors import FAILED, NOT_ALLOWED, UNREACHABLE, CommandError
from myspinbot.screen import hint, size

if TYPE_CHECKING:
    from myspinbot.backup.installation import Installation

_SPARE_BYTES = 64 << 20


async def make(installation: Installation, shelf: Shelf, *, with_keys: bool) -> Backup:
    """Make a backup in a folder of backups that is held; CommandError if that fails."""
    began = datetime.now(UTC)
    with understood():
        broker = await _admin(installation)
        try:
            async with open_store(installation.store) as store:
                return await _make(installation, shelf, broker, store, began, with_keys=with_keys)
        finally:
            await broker.close()


async def _make(
    installation: Installation,
    shelf: Shelf,
    broker: Broker,
    store: ObjectStore,
    began: datetime,
    *,
    with_keys: bool,
) -> Backup:
    known = shelf.known()
    if shelf.unfinished():
        hint("An earlier backup was cut off; what it has copied is used.")
    draft = shelf.begin(began)
    views_part = (
        await views.back_up(installation.views, draft.folder) if installation.views else None
    )
    log_size = sum([await _stream_size(broker, name) for name in streams.order()])
    _check_room(shelf, log_size)
    with work("Log", log_size) as progress:
        parts = [
            await streams.back_up(broker, name, draft.folder, progress) for name in streams.order()
        ]
    objects_part = await _objects(store, shelf, draft, known)
    content = Manifest(
        format=FORMAT,
        id=draft.id,
        version=metadata.version("myspinbot"),
        source=installation.name,
        began=began,
        finished=datetime.now(UTC),
        streams=tuple(parts),
        objects=objects_part,
        views=views_part,
        keys=keys.back_up(installation.keys, draft.folder)
        if with_keys and installation.keys
        else None,
    )
    backup = shelf.finish(draft, content)
    shelf.clear_unfinished()
    return backup


async def _objects(
    store: ObjectStore, shelf: Shelf, draft: Draft, known: Mapping[tuple[str, str, int], Entry]
) -> ObjectsPart:
    listed = await objects.everything(store)
    new = [each for each in listed if (each.key, each.etag, each.size) not in known]
    _check_room(shelf, _sum(new))
    note = f"{len(new)} new of {len(listed)}, {size(_sum(new))}"
    with work("Objects", _sum(new), note) as progress:
        gone = await objects.back_up(store, shelf, draft, listed, known=known, work=progress)
    entries = list(read_index(draft.index))
    return ObjectsPart(
        index=part_of(draft.folder, draft.index),
        count=len(entries),
        size=sum(entry.size for entry in entries),
        gone=gone,
    )


async def _admin(installation: Installation) -> Broker:
    try:
        return await connect(installation.broker)
    except OSError as error:
        raise UnavailableError(f"{installation.broker.url} ({error})") from error


async def _stream_size(broker: Broker, name: str) -> int:
    found = await archive.facts(broker, name)
    if found is None:
        raise CommandError(
            f"The broker has no stream {name}.",
            "Start the system once with this version, which makes it, and try again.",
        )
    return int(found.state["bytes"])


def _sum(listed: list[Listed]) -> int:
    return sum(each.size for each in listed)


def _check_room(shelf: Shelf, needed: int) -> None:
    check_room(shelf.root, needed, "the backup")


def check_room(place: object, needed: int, what: str) -> None:
    """CommandError if there is not enough room for so many bytes in a folder."""
    free = shutil.disk_usage(str(place)).free
    if free < needed + _SPARE_BYTES:
        raise CommandError(
            f"There is no room for {what}: it takes {size(needed)}, and {place} has "
            f"{size(free)} free.",
            "Make room, or choose a folder on another disk.",
        )


@contextlib.contextmanager
def understood() -> Iterator[None]:
    """Tell errors of broker and object store as cause and remedy."""
    try:
        yield
    except DeniedError as error:
        raise CommandError(
            "The broker does not let this user copy streams.",
            "Name the seed of the role `admin` with --seed.",
            NOT_ALLOWED,
        ) from error
    except UnavailableError as error:
        raise CommandError(
            f"The broker did not answer ({error.what}).",
            "Check its address and that it runs, and try again: what was copied is used.",
            UNREACHABLE,
        ) from error
    except (BrokerError, archive.ArchiveError) as error:
        raise CommandError(f"The broker refused: {error}.", "Its log says more.", FAILED) from error
    except EventLogError as error:
        raise CommandError(f"The log cannot be copied: {error}.", "Try again.", FAILED) from error
    except ObjectStoreError as error:
        raise CommandError(
            f"The object store failed: {error}.",
            "Check its address and keys and that it runs, and try again: what was copied is used.",
            UNREACHABLE,
        ) from error
