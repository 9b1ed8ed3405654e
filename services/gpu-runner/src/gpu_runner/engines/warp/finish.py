"""The last touch on frames and sound: subtitles and fades."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.media.captions import Captions, cues_of, read_webvtt
from gpu_runner.media.music import lay_under, ramps, read_music
from gpu_runner.media.video import AUDIO_RATE
from gpu_runner.speech.sound import resample
from gpu_runner.speech.timeline import Span
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gpu_runner.engines.warp.timings import Timings


class Finish:
    """Draws subtitles into frames and fades the first and last of them. Any thread may use it."""

    def __init__(self, count: int, fps: int, fade_s: float, captions: Captions | None) -> None:
        """Prepare for `count` frames, faded over `fade_s` seconds at either end."""
        self._fps, self._captions = fps, captions
        # Read in the middle of each frame, so that the first is as bright as the last.
        self._light = ramps(2 * count + 1, 2 * fps, fade_s, fade_s)[1::2]

    def __call__(self, index: int, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frame number `index` as it is shown; `rgb` (height, width, 3) stays as it is."""
        light = float(self._light[index])
        if self._captions is None and light == 1:
            return rgb
        shown = rgb.copy()
        if self._captions is not None:
            self._captions.draw(shown, (index + 0.5) / self._fps)
        if light < 1:
            shown = np.asarray(cv2.convertScaleAbs(shown, alpha=light), dtype=np.uint8)
        return shown


def faded(
    sound: NDArray[np.float32], rate: int, timings: Timings, fade_s: float
) -> NDArray[np.float32]:
    """`sound` (n,), faded at both ends, but only in the silence around the speech: no word is lost.

    Args:
        sound: mono samples.
        rate: of `sound`, in hertz.
        timings: what is spoken when.
        fade_s: the longest fade, in seconds.

    """
    spoken = [phoneme for phoneme in timings.phonemes if phoneme.symbol]
    length = len(sound) / rate
    begin = min((phoneme.start for phoneme in spoken), default=length / 2)
    end = max((phoneme.end for phoneme in spoken), default=length / 2)
    gain = ramps(len(sound), rate, min(fade_s, begin), min(fade_s, max(0.0, length - end)))
    return (sound * gain).astype(np.float32)


def soundtrack(
    speech: NDArray[np.float32], rate: int, timings: Timings, fade_s: float
) -> NDArray[np.float32]:
    """`speech` (n,) faded, at the rate of the video's sound, `AUDIO_RATE`."""
    return resample(faded(speech, rate, timings, fade_s), rate, AUDIO_RATE)


def with_music(speech: NDArray[np.float32], path: Path, level: float) -> NDArray[np.float32]:
    """`speech` (n,) at `AUDIO_RATE` with the music of a file at `level` dB under it.

    Raises:
        StageError: `music-unreadable` or `music-too-long`.

    """
    return lay_under(speech, read_music(path, AUDIO_RATE), AUDIO_RATE, level)


def captions_of(timings: Timings, subtitles: Path | None, width: int, height: int) -> Captions:
    """The captions for frames of a size: of a WebVTT file, or else of the words in `timings`.

    Raises:
        StageError: `subtitles-unreadable`, `subtitles-undrawable`, or `subtitles-missing` where
            neither says what is spoken.

    """
    if subtitles is not None:
        spans = read_webvtt(subtitles)
    else:
        spans = cues_of(Span(word.text, word.start, word.end) for word in timings.words)
    if not spans:
        raise StageError(
            "subtitles-missing",
            "there are no words to write into the picture",
            "Bind the subtitles of the speech, or leave burn_subtitles off.",
        )
    return Captions(spans, width, height)
