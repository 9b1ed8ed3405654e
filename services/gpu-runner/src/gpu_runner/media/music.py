"""Music under speech: looped to its length, lower while somebody speaks, faded at both ends.

Levels are told relative to the speech itself, so that a quiet clip and a loud song go together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from gpu_runner.speech.decoding import decode
from gpu_runner.speech.sound import resample
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LONGEST_SECONDS = 600.0
# How far the music comes up where nobody speaks, in dB.
RISE = 8.0
# A pause shorter than twice the hold leaves the music down; it comes and goes over the glide.
HOLD, GLIDE = 0.45, 0.18
# The end of the music overlaps with its beginning where it is looped, in seconds.
OVERLAP = 1.0
FADE_IN, FADE_OUT = 0.4, 2.0
# Speech is what is at most so far below its loud parts, in dB.
SPEECH_RANGE = 35.0
BLOCK = 0.02
PEAK = 0.98


def read_music(path: Path, rate: int) -> NDArray[np.float32]:
    """Music as mono samples (n,) at `rate` hertz, of any sound file that can be decoded.

    Raises:
        StageError: `music-unreadable`, also for silence, or `music-too-long`.

    """
    try:
        recording = decode(path, LONGEST_SECONDS)
    except StageError as error:
        if error.code == "clip-too-long":
            raise StageError(
                "music-too-long",
                f"the music plays longer than {LONGEST_SECONDS / 60:.0f} minutes",
                "Cut it; it is repeated as often as the video needs.",
            ) from error
        raise _unreadable("is not a sound file of a known kind") from error
    music = resample(recording.channels.mean(axis=0), recording.rate, rate)
    if len(music) < rate // 2 or float(np.abs(music).max()) < 1e-4:
        raise _unreadable("is silent or shorter than half a second")
    return music


def lay_under(
    speech: NDArray[np.float32], music: NDArray[np.float32], rate: int, level: float
) -> NDArray[np.float32]:
    """Mix `music` under `speech`.

    Args:
        speech: mono samples (n,), -1…1.
        music: mono samples of any length above half a second.
        rate: of both, in hertz.
        level: of the music relative to the speech in dB, while there is speech.

    Returns:
        The mix (n,), no louder than `PEAK`.

    """
    power, sounding = _activity(speech, rate)
    loud = float(np.sqrt(power[sounding].mean())) if sounding.any() else 0.1
    own = float(np.sqrt(np.mean(music.astype(np.float64) ** 2)))
    held = maximum_filter1d(sounding.astype(np.float64), 2 * round(HOLD / BLOCK) + 1)
    under = gaussian_filter1d(held, GLIDE / BLOCK, mode="nearest")
    gain = loud / own * 10 ** ((level + RISE * (1 - under)) / 20)
    centres = (np.arange(len(gain)) + 0.5) * BLOCK * rate
    at = np.arange(len(speech))
    bed = looped(music, len(speech), rate) * np.interp(at, centres, gain)
    bed *= ramps(len(speech), rate, FADE_IN, FADE_OUT)
    mix = speech + bed
    return np.asarray(mix * min(1.0, PEAK / float(np.abs(mix).max())), dtype=np.float32)


def looped(music: NDArray[np.float32], length: int, rate: int) -> NDArray[np.float64]:
    """`music` repeated to `length` samples; each repetition fades in over the end of the last."""
    overlap = min(round(OVERLAP * rate), len(music) // 4)
    turn = np.linspace(0, np.pi / 2, overlap)
    bed = np.zeros(length + len(music))
    for start in range(0, length, len(music) - overlap):
        again = music.astype(np.float64)
        if start:
            again[:overlap] *= np.sin(turn)
        again[len(music) - overlap :] *= np.cos(turn)
        bed[start : start + len(music)] += again
    return bed[:length]


def ramps(length: int, rate: int, fade_in: float, fade_out: float) -> NDArray[np.float64]:
    """A gain (length,) that rises from 0 over `fade_in` and falls to 0 over `fade_out` seconds.

    Each is half the length at most.
    """
    gain = np.ones(length)
    for seconds, part in ((fade_in, slice(None)), (fade_out, slice(None, None, -1))):
        count = min(round(seconds * rate), length // 2)
        if count > 0:
            gain[part][:count] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / count)
    return gain


def _activity(
    speech: NDArray[np.float32], rate: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Power of each block of `speech`, and in which of them somebody speaks."""
    size = max(1, round(BLOCK * rate))
    starts = np.arange(0, len(speech), size)
    power = np.add.reduceat(speech.astype(np.float64) ** 2, starts) / size
    loud = float(np.percentile(power, 95))
    return power, power > max(loud * 10 ** (-SPEECH_RANGE / 10), 1e-9)


def _unreadable(cause: str) -> StageError:
    return StageError(
        "music-unreadable",
        f"the music {cause}",
        "Send music as WAV, MP3, FLAC, OGG, M4A or WebM, or leave it out.",
    )
