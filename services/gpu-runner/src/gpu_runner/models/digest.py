"""Checksums of files as hubs tell them.

A large file has the SHA-256 of its content (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md);
a small one lies in git itself, which names it by the SHA-1 of a header and its content
(https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpu_runner.models.errors import ModelError

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """What the content of a file must come to."""

    kind: Literal["sha256", "git"]
    value: str


class Hasher:
    """Reads a file's content once for both its SHA-256 and the digest that the hub tells."""

    def __init__(self, size_bytes: int) -> None:
        self._sha256 = hashlib.sha256()
        # No protection rests on SHA-1: what is pulled is locked by its SHA-256.
        self._git = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """The next part of the content."""
        self._sha256.update(chunk)
        self._git.update(chunk)

    @property
    def sha256(self) -> str:
        """SHA-256 of all that was read, in hexadecimal digits."""
        return self._sha256.hexdigest()

    def comes_to(self, digest: Digest) -> bool:
        """Whether all that was read is what it must be."""
        own = self._sha256 if digest.kind == "sha256" else self._git
        return own.hexdigest() == digest.value


def read_into(hasher: Hasher, path: Path) -> int:
    """Let `hasher` read a file; how many bytes that were. ModelError if it cannot be read."""
    done = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
                done += len(chunk)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}", "Check the disk and its permissions"
        ) from error
    return done
