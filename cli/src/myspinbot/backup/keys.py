"""The keys and secrets of a local home: without them a restored one makes new ones."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path, PurePosixPath

from myspinbot.backup.manifest import DamagedBackupError, Part, part_of

_FILE = "keys.tar"
_LARGEST = 1 << 20
"""No key and no certificate has so many bytes."""


def back_up(keys: Path, folder: Path) -> Part:
    """Put all files of the folder of keys into one that only its owner may read."""
    path = folder / _FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for each in sorted(keys.rglob("*")):
            if each.is_file() and not each.name.startswith("."):
                content = each.read_bytes()
                member = tarfile.TarInfo(each.relative_to(keys).as_posix())
                member.size, member.mode = len(content), 0o600
                tar.addfile(member, io.BytesIO(content))
    return part_of(folder, path)


def restore(archive: Path, keys: Path) -> None:
    """Put the keys into a folder that has none."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                path = keys / name
                strange = name.is_absolute() or ".." in name.parts or path.exists()
                # A link would be followed within the archive, to something or to nothing.
                content = tar.extractfile(member) if member.isfile() else None
                if content is None or strange or member.size > _LARGEST:
                    raise DamagedBackupError(archive, f"holds a strange thing, {member.name!r}")
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content.read())
    except tarfile.TarError as error:
        raise DamagedBackupError(archive, f"cannot be read ({error})") from error
