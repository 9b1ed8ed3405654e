"""Opens a sound file that a stranger sent.

The container is chosen here from the first bytes and named to FFmpeg, because its own
guessing also finds playlists and scripts that read other files. Decoding stops at a time
limit, so a small file that unpacks to hours costs no more than the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_HIGHEST_RATE = 48_000
_NAMES = "WAV, MP3, FLAC, OGG, M4A or WebM"


@dataclass(frozen=True, slots=True)
class Recording:
    """Decoded sound: `channels` has shape (1 or 2, samples), float32, at `rate` Hz."""

    channels: NDArray[np.float32]
    rate: int
    container: str
    codec: str

    @property
    def seconds(self) -> float:
        return int(self.channels.shape[1]) / self.rate


_SIGNATURES = (
    ("wav", 8, b"WAVE"),
    ("flac", 0, b"fLaC"),
    ("ogg", 0, b"OggS"),
    ("mov", 4, b"ftyp"),
    ("matroska", 0, b"\x1a\x45\xdf\xa3"),
    ("mp3", 0, b"ID3"),
)


def container_of(head: bytes) -> str | None:
    """FFmpeg's name of the container that starts with these (at least 16) bytes."""
    for container, offset, signature in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return container
    return "mp3" if _starts_mpeg_audio(head) else None


def decode(path: Path, limit_seconds: float) -> Recording:
    """Decode the first audio stream, at its own rate (at most 48 kHz), mono or stereo.

    Raises:
        StageError: `not-audio` if the file is none of the known kinds, holds no sound or is
            damaged from the start; `clip-too-long` if it plays longer than the limit.

    """
    import av

    with path.open("rb") as file:
        container = container_of(file.read(16))
    if container is None:
        raise _not_audio("the voice clip is not a sound file of a known kind")
    try:
        with av.open(str(path), format=container, options={"protocol_whitelist": "file"}) as opened:
            if not opened.streams.audio:
                raise _not_audio("the voice clip's file holds no sound")
            channels, rate, codec = _read(opened, opened.streams.audio[0], limit_seconds)
    except (av.error.FFmpegError, ValueError, LookupError, OverflowError) as error:
        raise _not_audio("the voice clip is damaged and could not be decoded") from error
    if channels.shape[1] == 0:
        raise _not_audio("the voice clip's file holds no sound")
    return Recording(channels, rate, container, codec)


def _read(
    opened: InputContainer, stream: AudioStream, limit_seconds: float
) -> tuple[NDArray[np.float32], int, str]:
    """Decode packet by packet; a damaged packet after good ones ends the recording."""
    import av

    blocks: list[NDArray[np.float32]] = []
    resampler = None
    rate, count = 0, 0
    for packet in opened.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            if blocks:
                break
            raise
        for frame in frames:
            if resampler is None:
                rate = min(frame.sample_rate, _HIGHEST_RATE)
                layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
                resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            for out in resampler.resample(frame):
                blocks.append(np.asarray(out.to_ndarray(), dtype=np.float32))
                count += out.samples
            if count > limit_seconds * rate:
                raise StageError(
                    "clip-too-long",
                    f"the voice clip plays longer than {limit_seconds:.0f} seconds",
                    "Cut out the best half minute of speech and send that",
                )
    if resampler is not None:
        blocks += [np.asarray(out.to_ndarray(), np.float32) for out in resampler.resample(None)]
    codec = str(stream.codec_context.name)
    if not blocks:
        return np.zeros((1, 0), np.float32), 1, codec
    return np.nan_to_num(np.concatenate(blocks, axis=1)), rate, codec


def _starts_mpeg_audio(head: bytes) -> bool:
    """Sync word, then a version, layer III, and a bit rate that is not reserved."""
    return (
        len(head) >= 3
        and head[0] == 0xFF
        and head[1] & 0xE6 == 0xE2
        and head[1] & 0x18 != 0x08
        and head[2] & 0xF0 != 0xF0
    )


def _not_audio(cause: str) -> StageError:
    return StageError("not-audio", cause, f"Send the speech as {_NAMES}")
