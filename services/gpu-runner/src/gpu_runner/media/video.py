"""Writing of MP4 files that play everywhere: H.264 and AAC, index first.

Sound and picture are fed in step, so that nothing piles up in memory however long the video
is, and both streams end at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from numpy.typing import NDArray

AUDIO_RATE = 48_000
AUDIO_BLOCK = 1024
AUDIO_BITRATE = 128_000


@dataclass(frozen=True, slots=True)
class StreamLengths:
    """Lengths of a file's streams in seconds, and the number of pictures."""

    video: float
    audio: float
    frames: int


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    count: int,
    fps: int,
    sound: NDArray[np.float32],
    sample_rate: int,
    crf: int = 18,
) -> Path:
    """Write pictures and sound as MP4.

    Args:
        path: the file to write.
        frames: `count` pictures (height, width, 3), sides even.
        count: number of pictures; sound is cut or padded with silence to their length.
        fps: pictures per second.
        sound: mono samples (n,), -1…1.
        sample_rate: of `sound`, in hertz.
        crf: x264's quality, lower is better; 18 is visually lossless.

    Returns:
        `path`.

    """
    blocks = _audio_blocks(sound, sample_rate, count / fps)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream(
            "libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast"}
        )
        audio: AudioStream = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        audio.bit_rate = AUDIO_BITRATE
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        heard = 0.0
        for index, rgb in enumerate(frames):
            if index == 0:
                video.height, video.width = rgb.shape[:2]
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            picture.pts, picture.time_base = index, Fraction(1, fps)
            container.mux(video.encode(picture))
            while heard <= index / fps and (block := next(blocks, None)) is not None:
                heard += block.samples / AUDIO_RATE
                container.mux(audio.encode(block))
        container.mux(video.encode(None))
        for block in blocks:
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path


def stream_lengths(path: Path) -> StreamLengths:
    """Read how long picture and sound of a file really are."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        return StreamLengths(
            float((video.duration or 0) * (video.time_base or 0)),
            float((audio.duration or 0) * (audio.time_base or 0)),
            video.frames,
        )


def _audio_blocks(
    sound: NDArray[np.float32], sample_rate: int, seconds: float
) -> Iterator[av.AudioFrame]:
    wanted = round(seconds * sample_rate)
    fitted = np.zeros(wanted, np.float32)
    fitted[: min(wanted, len(sound))] = sound[:wanted]
    resampler = av.AudioResampler(
        format="fltp", layout="mono", rate=AUDIO_RATE, frame_size=AUDIO_BLOCK
    )
    for start in range(0, wanted, sample_rate):
        frame = av.AudioFrame.from_ndarray(
            fitted[None, start : start + sample_rate], format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts = sample_rate, start
        frame.time_base = Fraction(1, sample_rate)
        yield from resampler.resample(frame)
    yield from resampler.resample(None)
