"""What is remembered of an upload between its parts, and how its parts are cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from contracts.artifacts import Artifact, ObjectKey
from contracts.base import Contract, Sha256, Timestamp
from pydantic import Field

from gateway.uploads.judge import FileKind

KEPT_S = 86_400
"""How long an upload may take, and then how long it may wait to be used."""
FOLDER = "incoming/"
"""Where uploads lie until a job takes a copy."""

_LEAST_PART = 8 << 20
_MOST_PARTS = 9_000
_MEGABYTE = 1 << 20


class UploadRecord(Contract):
    """One upload of an owner's."""

    kind: FileKind
    size: Annotated[int, Field(ge=1)]
    sha256: Sha256
    key: ObjectKey
    multipart: str | None = Field(
        default=None, description="the store's name for it while parts are missing"
    )
    part_bytes: int
    media_type: str | None = Field(default=None, description="once it is complete")
    expires_at: Timestamp

    @property
    def complete(self) -> bool:
        """Whether it has arrived and is what it should be."""
        return self.media_type is not None

    @property
    def artifact(self) -> Artifact:
        """The complete upload as an object."""
        if self.media_type is None:
            raise ValueError("the upload is not complete")
        return Artifact(
            key=self.key, size=self.size, sha256=self.sha256, media_type=self.media_type
        )

    def parts(self) -> Iterator[Part]:
        """The parts, which are all of the same size but for the last."""
        for number, first in enumerate(range(0, self.size, self.part_bytes), 1):
            yield Part(number, min(self.part_bytes, self.size - first))

    def seconds_left(self, now: datetime) -> int:
        """How long it is still kept, at least a second."""
        return max(int((self.expires_at - now).total_seconds()), 1)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an upload: its number from 1, and its bytes."""

    number: int
    size: int


def part_bytes(size: int) -> int:
    """How large the parts of a file are: whole mebibytes, as few parts as the store takes."""
    least = -(-size // _MOST_PARTS)
    return max(_LEAST_PART, -(-least // _MEGABYTE) * _MEGABYTE)
