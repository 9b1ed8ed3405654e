"""One file from a hub to the disk: resumed where it ended, checked, then given its name."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from gpu_runner.models.digest import Hasher, read_into
from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.hub import Hub, HubFile, Offer
from gpu_runner.models.lock import LockedFile

Told = Callable[[int], None]
"""Hears how many bytes of a file are there."""


def begun(folder: Path, file: HubFile) -> Path:
    """Where a file grows: a part of another content is never gone on with."""
    target = folder / file.path
    return target.with_name(f"{target.name}.{file.digest.value[:16]}.part")


def present(folder: Path, file: HubFile) -> int:
    """How many bytes of a file are in a folder, as far as sizes tell."""
    for path in (folder / file.path, begun(folder, file)):
        if path.is_file():
            size = path.stat().st_size
            return size if size <= file.size_bytes else 0
    return 0


def download(folder: Path, hub: Hub, offer: Offer, file: HubFile, told: Told) -> LockedFile:
    """Have a file of an offer in a folder; what is there of it already is not sent again.

    Raises:
        ModelError: the hub fails, the disk is full, or the content is not what the hub told.

    """
    target = folder / file.path
    if target.is_file():
        hasher = Hasher(file.size_bytes)
        told(read_into(hasher, target))
        if hasher.comes_to(file.digest):
            return _locked(file, hasher)
        target.unlink()
    part = begun(folder, file)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hasher = _fill(part, hub, offer, file, told)
    except OSError as error:
        raise _disk(error, folder) from error
    if not hasher.comes_to(file.digest):
        part.unlink()
        raise ModelError(
            f"the file {file.path} came with another content than the hub had told",
            "Try again; if it comes wrong again, look for a proxy that changes what it passes on",
        )
    part.replace(target)
    return _locked(file, hasher)


def _locked(file: HubFile, hasher: Hasher) -> LockedFile:
    return LockedFile(path=file.path, size_bytes=file.size_bytes, sha256=hasher.sha256)


def _fill(part: Path, hub: Hub, offer: Offer, file: HubFile, told: Told) -> Hasher:
    hasher = Hasher(file.size_bytes)
    done = read_into(hasher, part) if part.is_file() else 0
    left = tries = hub.tries + 1
    with part.open("ab") as growing:
        while done != file.size_bytes:
            if done > file.size_bytes:
                hasher, done = _afresh(growing, file)
            before = done
            try:
                with hub.stream(offer, file, done) as (first, chunks):
                    if first != done:
                        hasher, done = _afresh(growing, file)
                    for chunk in chunks:
                        growing.write(chunk)
                        hasher.update(chunk)
                        done += len(chunk)
                        told(done)
                        if done > file.size_bytes:
                            return hasher
            except ConnectionError as error:
                left = tries if done > before else left - 1
                if left <= 0:
                    raise _broken(offer, file) from error
            else:
                if done < file.size_bytes and (left := left - 1) <= 0:
                    raise _broken(offer, file)
        growing.flush()
        os.fsync(growing.fileno())
    return hasher


def _afresh(growing: IO[bytes], file: HubFile) -> tuple[Hasher, int]:
    growing.truncate(0)
    return Hasher(file.size_bytes), 0


def _broken(offer: Offer, file: HubFile) -> ModelError:
    return ModelError(
        f"the hub at {offer.endpoint} breaks off while it sends {file.path}",
        "Try again: what came is kept",
        Fault.AWAY,
    )


def _disk(error: OSError, folder: Path) -> ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError(
            f"the disk of {folder} is full", "Make room and try again: what came is kept"
        )
    return ModelError(
        f"{folder} cannot be written: {error.strerror or error}",
        "Choose another folder with MYSPINBOT_MODELS",
    )
