"""Decides while a file arrives whether it is what it should be.

No I/O is done here and only a file's first bytes are held, so the same judge serves files
that come in a form and those that lie in the store already.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.problems import Problem, ProblemKind
from gateway.settings import Limits
from gateway.uploads import content

_PROBE_FROM = 16 << 10
# A picture's size stands in its first bytes, but for a few with large profiles or previews,
# or with their directory at the end. Those that tell it later are judged by the stage that decodes.
_PROBE_TO = 4 << 20


class FileKind(StrEnum):
    """What a file is for."""

    PHOTO = "photo"
    CLIP = "clip"
    MUSIC = "music"


@dataclass(slots=True)
class Judge:
    """One file while its bytes go by. `label` is what problems call it, such as "photo 3"."""

    kind: FileKind
    label: str
    limits: Limits
    size: int = 0
    media_type: str | None = None
    """Known after the first few bytes, at the latest when the file has ended."""
    _head: bytearray = field(default_factory=bytearray)
    _probe_at: int | None = _PROBE_FROM

    def feed(self, data: bytes) -> None:
        """Look at more bytes; Problem as soon as they cannot be what they should."""
        self.size += len(data)
        check_size(self.kind, self.label, self.size, self.limits)
        if self.media_type is None or self._probe_at is not None:
            self._head += data
        if self.media_type is None and len(self._head) >= content.HEAD_BYTES:
            self._recognise()
        if self._probe_at is not None and len(self._head) >= self._probe_at:
            self._probe()

    def finish(self) -> str:
        """The file's media type, now that it has ended; Problem if it is none."""
        if self.media_type is None:
            self._recognise()
        if self._probe_at is not None:
            self._probe()
            if self._probe_at is not None:
                raise self._not_a_picture("is cut off or damaged")
        assert self.media_type is not None  # noqa: S101 - `_recognise` raises otherwise
        return self.media_type

    def _recognise(self) -> None:
        head = bytes(self._head)
        if self.kind is FileKind.PHOTO:
            self.media_type = content.picture_type(head)
            if self.media_type is None:
                known = "is a HEIF picture" if content.is_heif(head) else "is not a picture"
                raise self._not_a_picture(known)
        else:
            self._probe_at = None
            self.media_type = content.sound_type(head)
            if self.media_type is None:
                raise Problem(
                    ProblemKind.NOT_A_RECORDING,
                    f"The {self.label} is not a sound file of a known kind.",
                    "Send a WAV, MP3, FLAC, OGG, M4A or WebM file.",
                    field=self.kind.value,
                )
            self._head.clear()

    def _probe(self) -> None:
        size = content.picture_size(bytes(self._head))
        if size is not None:
            self._check_pixels(*size)
        elif self._probe_at is not None and len(self._head) < _PROBE_TO:
            while self._probe_at <= len(self._head):
                self._probe_at *= 4
            return
        self._probe_at = None
        self._head.clear()

    def _check_pixels(self, width: int, height: int) -> None:
        most = self.limits.photo_pixels
        if width * height > most:
            raise Problem(
                ProblemKind.PICTURE_TOO_LARGE,
                f"The {self.label} claims to have more than {most / 1e6:g} million pixels.",
                "Scale it down and try again.",
                limit=most,
            )

    def _not_a_picture(self, what: str) -> Problem:
        return Problem(
            ProblemKind.NOT_A_PICTURE,
            f"The {self.label} {what}.",
            "Send a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF file that opens in a picture viewer.",
            field=self.kind.value,
        )


def check_size(kind: FileKind, label: str, size: int, limits: Limits) -> None:
    """Problem if a file of this kind may not be so large."""
    most, enough = {
        FileKind.PHOTO: (limits.photo_bytes, "4 megapixels are plenty for a photo."),
        FileKind.CLIP: (limits.clip_bytes, "a minute of clear speech is enough."),
        FileKind.MUSIC: (limits.music_bytes, "music is repeated as often as the video needs."),
    }[kind]
    if size > most:
        raise Problem(
            ProblemKind.UPLOAD_TOO_LARGE,
            f"The {label} is larger than {most / 1e6:g} MB.",
            f"Send a smaller file: {enough}",
            limit=most,
        )
