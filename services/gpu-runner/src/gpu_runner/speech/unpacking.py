"""Unpacks sound that came from outside, within the process that is for it (`media.decoder`).

The container is chosen here from the first bytes and named to FFmpeg, because its own
guessing also finds playlists and scripts that read other files. Decoding stops at a time
limit, so a small file that unpacks to hours costs no more than the limit; what is decoded is
sent on piece by piece, so none of it stays in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

HIGHEST_RATE = 48_000
_NAMES = "WAV, MP3, FLAC, OGG, M4A or WebM"

Send = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Sound:
    """What was sent: float32 samples at `rate` Hz of one or two `channels`, these side by side."""

    channels: int
    rate: int
    container: str
    codec: str


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


def unpack_sound(file: IO[bytes], limit_seconds: float, send: Send) -> Sound:
    """Decode the first audio stream; see `decode`."""
    import av

    container = container_of(file.read(16))
    file.seek(0)
    if container is None:
        raise not_audio("the voice clip is not a sound file of a known kind")
    try:
        # No other file and no address may be followed to, whatever the container is.
        with av.open(file, format=container, options={"protocol_whitelist": "none"}) as opened:
            if not opened.streams.audio:
                raise not_audio("the voice clip's file holds no sound")
            stream = opened.streams.audio[0]
            channels, rate = _read(opened, stream, limit_seconds, send)
            codec = str(stream.codec_context.name)
    except (av.error.FFmpegError, ValueError, LookupError, OverflowError) as error:
        raise not_audio("the voice clip is damaged and could not be decoded") from error
    if channels == 0:
        raise not_audio("the voice clip's file holds no sound")
    return Sound(channels, rate, container, codec)


def _read(
    opened: InputContainer, stream: AudioStream, limit_seconds: float, send: Send
) -> tuple[int, int]:
    """Decode packet by packet; a damaged packet after good ones ends the recording."""
    import av

    resampler = None
    channels, rate, count = 0, 0, 0

    def pass_on(made: list[AudioFrame]) -> None:
        nonlocal channels, count
        for out in made:
            block = np.nan_to_num(np.asarray(out.to_ndarray(), dtype=np.float32))
            channels = len(block)
            count += out.samples
            send(block.T.tobytes())

    for packet in opened.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            if count:
                break
            raise
        for frame in frames:
            if resampler is None:
                rate = min(frame.sample_rate, HIGHEST_RATE)
                layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
                resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            pass_on(resampler.resample(frame))
            if count > limit_seconds * rate:
                raise StageError(
                    "clip-too-long",
                    f"the voice clip plays longer than {limit_seconds:.0f} seconds",
                    "Cut out the best half minute of speech and send that",
                )
    if resampler is not None:
        pass_on(resampler.resample(None))
    return channels, rate


def _starts_mpeg_audio(head: bytes) -> bool:
    """Sync word, then a version, layer III, and a bit rate that is not reserved."""
    return (
        len(head) >= 3
        and head[0] == 0xFF
        and head[1] & 0xE6 == 0xE2
        and head[1] & 0x18 != 0x08
        and head[2] & 0xF0 != 0xF0
    )


def not_audio(cause: str) -> StageError:
    return StageError("not-audio", cause, f"Send the speech as {_NAMES}")
