"""Objects of the store in a folder, each once, under the hash of its content."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.artifacts import Artifact

from myspinbot.embedded.home import Home
from myspinbot.errors import FAILED, MISUSED, UNREACHABLE, CommandError

if TYPE_CHECKING:
    from servicekit.objects import ObjectStore, StoreAddress


@dataclass(slots=True)
class Carried:
    """How it went with objects, in numbers. `missing` are those that were in neither place."""

    moved: int = 0
    moved_bytes: int = 0
    there: int = 0
    missing: int = 0
    refused: int = 0

    def document(self) -> dict[str, int]:
        """For programs."""
        return {
            "moved": self.moved,
            "movedBytes": self.moved_bytes,
            "there": self.there,
            "missing": self.missing,
            "refused": self.refused,
        }


def store_of(home: Home | None, environment: Mapping[str, str]) -> StoreAddress | None:
    """Where the objects are: as the services are told it, else of the local system, if it is that.

    None if neither is known. Raises CommandError if what is known is not enough.
    """
    if home is None and not environment.get("MYSPINBOT_S3_ENDPOINT"):
        return None
    # Imported where it is used: the library behind it is heavy.
    from servicekit.objects import StoreAddress
    from servicekit.settings import Environment, SettingsError

    from myspinbot.backup.installation import at_home

    if environment.get("MYSPINBOT_S3_ENDPOINT"):
        try:
            return StoreAddress.of(Environment(environment))
        except SettingsError as error:
            raise CommandError(
                f"The object store is not fully named: {error}.",
                "Set MYSPINBOT_S3_ENDPOINT, MYSPINBOT_S3_ACCESS_KEY and MYSPINBOT_S3_SECRET_KEY "
                "as for the gateway.",
                MISUSED,
            ) from error
    note = home.running() if home is not None else None
    return at_home(home, note).store if home is not None and note is not None else None


def must_be_known(address: StoreAddress | None) -> StoreAddress:
    """The address; CommandError if there is none."""
    if address is None:
        raise CommandError(
            "It is not said where the objects of that system are.",
            "Set MYSPINBOT_S3_ENDPOINT, MYSPINBOT_S3_ACCESS_KEY and MYSPINBOT_S3_SECRET_KEY as for "
            "its gateway.",
            MISUSED,
        )
    return address


@asynccontextmanager
async def reached(address: StoreAddress) -> AsyncIterator[ObjectStore]:
    """The store; what goes wrong with it is a CommandError."""
    from servicekit.objects import ObjectStoreError, open_store

    try:
        async with open_store(address, patience_s=30) as store:
            yield store
    except ObjectStoreError as error:
        raise CommandError(
            f"The object store at {address.endpoint} failed: {error}.",
            "Check that it runs and that its keys are right; then do the same again: what is done "
            "is not done twice.",
            UNREACHABLE,
        ) from error


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of contents, such as `3f/3fa8…`."""

    root: Path

    def place(self, artifact: Artifact) -> Path:
        """Where the content of an object is, or would be."""
        return self.root / artifact.sha256[:2] / artifact.sha256

    def has(self, artifact: Artifact) -> bool:
        """Whether it is there, as far as its size tells."""
        try:
            return self.place(artifact).stat().st_size == artifact.size
        except OSError:
            return False

    def prepare(self) -> None:
        """Make the folder, for its owner only: it holds faces and voices."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(
                f"The folder {self.root} cannot be made: {error.strerror}.",
                "Name another one with --artifacts.",
                MISUSED,
            ) from error


async def collect(
    store: ObjectStore,
    folder: Folder,
    objects: Iterable[Artifact],
    told: Callable[[int, int | None], None],
) -> Carried:
    """Fetch into the folder what is not in it. What the store does not have is counted."""
    from servicekit.objects import CorruptObjectError, MissingObjectError

    from myspinbot.backup.objects import several

    carried = Carried()

    async def fetch(artifact: Artifact, _place: int) -> None:
        if folder.has(artifact):
            carried.there += 1
        else:
            try:
                await store.get_file(artifact, folder.place(artifact))
            except MissingObjectError:
                carried.missing += 1
            except CorruptObjectError as error:
                raise CommandError(
                    f"{error}.",
                    "`myspinbot events verify --artifacts` shows what is wrong; a backup has it.",
                    FAILED,
                ) from error
            else:
                carried.moved += 1
                carried.moved_bytes += artifact.size
        told(carried.there + carried.moved + carried.missing, None)

    await several(objects, fetch)
    return carried


async def bring(
    store: ObjectStore,
    folder: Folder | None,
    objects: Iterable[Artifact],
    told: Callable[[int, int | None], None],
) -> Carried:
    """Put into the store what it lacks and the folder has, checked against its hash.

    An object of another size under the same key stays as it is, and is counted as refused.
    """
    from myspinbot.backup.objects import several

    carried = Carried()

    async def put(artifact: Artifact, _place: int) -> None:
        size = await store.size(artifact.key)
        if size is not None:
            carried.there += size == artifact.size
            carried.refused += size != artifact.size
        elif folder is None or not folder.has(artifact):
            carried.missing += 1
        elif await asyncio.to_thread(_hash_of, folder.place(artifact)) != artifact.sha256:
            raise CommandError(
                f"{folder.place(artifact)} is not what its name says.",
                "Export the artifacts anew, or remove this file to go on without it.",
            )
        else:
            await store.put_file(artifact.key, folder.place(artifact), artifact.media_type)
            carried.moved += 1
            carried.moved_bytes += artifact.size
        told(carried.there + carried.refused + carried.missing + carried.moved, None)

    await several(objects, put)
    return carried


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
