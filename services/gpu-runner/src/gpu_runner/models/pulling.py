"""Pulling a model: what it would cost is told first, and no byte comes before consent and room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from gpu_runner.models.download import download, present
from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.hub import Hub, Offer
from gpu_runner.models.licence import Acceptance
from gpu_runner.models.lock import LOCK_FILE, Damage, Lock, damages, read_lock, write_whole
from gpu_runner.models.manifest import Model, Source
from gpu_runner.models.store import Store

_ACCEPTANCE = "licence-accepted.json"
Told = Callable[[int], None]
"""Hears how many bytes of the model are there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pull would do: `remaining_bytes` come over the network, `free_bytes` are there."""

    model: Model
    offer: Offer
    remaining_bytes: int
    free_bytes: int
    acceptance: Acceptance | None

    @property
    def consent_missing(self) -> bool:
        """Whether the licence must be accepted first."""
        return self.model.licence.must_be_accepted and self.acceptance is None


def source_of(model: Model) -> Source:
    """Where a model comes from; ModelError if it is in the package."""
    if model.source is None:
        raise ModelError(
            f"the model {model.name} comes with the package",
            "There is nothing to pull",
            Fault.MISUSED,
        )
    return model.source


def plan(store: Store, model: Model, hub: Hub, revision: str | None = None) -> Plan:
    """Ask the hub what a pull would bring; ModelError if it cannot be asked."""
    source = source_of(model)
    offer = hub.ask(source, revision or source.revision)
    installed = _installed(store, model, offer)
    there = store.folder(model.name) if installed else store.partial(model.name)
    have = sum(present(there, file) for file in offer.files)
    return Plan(
        model=model,
        offer=offer,
        remaining_bytes=offer.size_bytes - have,
        free_bytes=shutil.disk_usage(_nearest(store.root)).free,
        acceptance=_accepted(store, model),
    )


def pull(
    store: Store,
    planned: Plan,
    hub: Hub,
    *,
    accepted_by: str | None,
    now: Callable[[], datetime],
    told: Told,
) -> Lock:
    """Have all files of a plan, checked; what is there already is checked and kept.

    Raises:
        ModelError: no consent, no room, another pull, a hub that fails, wrong content.

    """
    model, offer = planned.model, planned.offer
    acceptance = planned.acceptance
    if planned.consent_missing:
        if accepted_by is None:
            raise ModelError(
                f"the model {model.name} comes under the licence {model.licence.title}, which "
                "nobody accepted here",
                f"Read {model.licence.url} and give --accept-licence",
                Fault.MISUSED,
            )
        acceptance = Acceptance(licence=model.licence.title, by=accepted_by, at=now())
    if planned.remaining_bytes > planned.free_bytes:
        raise ModelError(
            f"the model {model.name} needs {_megabytes(planned.remaining_bytes)} more, and the "
            f"disk of {store.root} has {_megabytes(planned.free_bytes)} left",
            "Make room, or choose a folder on another disk with MYSPINBOT_MODELS",
        )
    with store.hold(model.name):
        lock = _installed(store, model, offer)
        if lock is not None and not _damaged(store.folder(model.name), lock, told):
            return lock
        folder = store.begin(model.name)
        if acceptance is not None:
            write_whole(folder / _ACCEPTANCE, acceptance.model_dump_json(by_alias=True))
        files, done = [], 0
        for file in offer.files:
            files.append(
                download(folder, hub, offer, file, lambda count, at=done: told(at + count))
            )
            done += file.size_bytes
        made = Lock(
            model=model.name,
            endpoint=offer.endpoint,
            repository=offer.repository,
            revision=offer.revision,
            licence=model.licence.title,
            licence_url=model.licence.url,
            acceptance=acceptance,
            pulled_at=now(),
            files=tuple(files),
        )
        _clear(folder, made)
        write_whole(folder / LOCK_FILE, made.model_dump_json(by_alias=True, indent=2) + "\n")
        store.install(model.name)
    return made


def _installed(store: Store, model: Model, offer: Offer) -> Lock | None:
    """The lock of a model that is there at the offered revision."""
    lock = store.lock(model.name)
    same = lock is not None and (lock.repository, lock.revision) == (
        offer.repository,
        offer.revision,
    )
    return lock if same else None


def _damaged(folder: Path, lock: Lock, told: Told) -> bool:
    done = 0
    for found in damages(folder, lock):
        if isinstance(found, Damage):
            # Named damaged by its size too, so that `Store.begin` takes the rest over.
            (folder / found.path).unlink(missing_ok=True)
            return True
        done += found
        told(done)
    return False


def _accepted(store: Store, model: Model) -> Acceptance | None:
    """A consent to this model's licence that was given here earlier."""
    try:
        partial = store.partial(model.name) / _ACCEPTANCE
        acceptance = (
            Acceptance.model_validate_json(partial.read_bytes())
            if partial.is_file()
            else read_lock(store.folder(model.name)).acceptance
        )
    except (ModelError, OSError, ValidationError):
        return None
    known = acceptance is not None and acceptance.licence == model.licence.title
    return acceptance if known else None


def _clear(folder: Path, lock: Lock) -> None:
    """Remove what an earlier pull of another revision has left."""
    keep = {file.path for file in lock.files}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in keep:
            path.unlink()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def _nearest(folder: Path) -> Path:
    """The folder, or the closest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())
