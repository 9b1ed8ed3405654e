"""Archives that would write outside of their folder, or unpack to more than there is."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

from tests.security.corpus.inputs import Place, failed, hostile

_DAMAGED = failed("DamagedBackupError")


def tar(*members: tarfile.TarInfo, content: bytes = b"mine") -> bytes:
    """A tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            opened.addfile(member, io.BytesIO(content))
    return file.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """An entry of an archive."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def _both(make: Callable[[], bytes], code: str) -> None:
    """The archives of keys and of checkpoints are opened by different programs."""
    hostile(Place.KEYS, _DAMAGED)(make)
    hostile(Place.CHECKPOINT, failed(code))(make)


def way_up() -> bytes:
    """A file beside the folder."""
    return tar(member("../mine"))


def device() -> bytes:
    """A device of the machine."""
    return tar(member("null", tarfile.CHRTYPE))


def link_out() -> bytes:
    """A link out of the folder, and a file that is written through it."""
    return tar(member("link", tarfile.SYMTYPE, ".."), member("link/mine"))


def hard_link_out() -> bytes:
    """A second name for a file outside of the folder."""
    return tar(member("mine", tarfile.LNKTYPE, "../../outside"))


for _make, _code in (
    (way_up, "OutsideDestinationError"),
    (device, "SpecialFileError"),
    (link_out, "LinkOutsideDestinationError"),
    (hard_link_out, "LinkOutsideDestinationError"),
):
    _both(_make, _code)


@hostile(Place.KEYS, _DAMAGED)
def absolute_way() -> bytes:
    """A file at an absolute place."""
    return tar(member("/mine/key"))


@hostile(Place.KEYS, _DAMAGED)
def no_archive() -> bytes:
    """Something else."""
    return b"<html>" * 200


@hostile(Place.KEYS, _DAMAGED)
def twice_the_same() -> bytes:
    """A key that comes twice, the second in the place of the first."""
    return tar(member("key"), member("key"))


@hostile(Place.KEYS, _DAMAGED)
def link_to_nothing() -> bytes:
    """A link to what the archive does not have."""
    return tar(member("key", tarfile.SYMTYPE, "/etc/passwd"))


@hostile(Place.KEYS, _DAMAGED)
def keys_of_a_gigabyte() -> bytes:
    """An entry that claims far more than keys are."""
    made = member("key")
    made.size = 1 << 30
    return made.tobuf() + bytes(10_240)
