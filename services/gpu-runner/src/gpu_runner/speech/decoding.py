"""Opens a sound file that a stranger sent: it is unpacked by a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpu_runner.media import decoder
from gpu_runner.speech.unpacking import HIGHEST_RATE, not_audio

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BYTES_PER_SECOND = HIGHEST_RATE * 2 * 4
_LONGEST_BLOCK = 64 << 20


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


def decode(path: Path, limit_seconds: float) -> Recording:
    """Decode the first audio stream, at its own rate (at most 48 kHz), mono or stereo.

    Raises:
        StageError: `not-audio` if the file is none of the known kinds, holds no sound or is
            damaged from the start; `clip-too-long` if it plays longer than the limit.

    """
    wish = {"kind": "sound", "seconds": limit_seconds}
    most = int(limit_seconds * _BYTES_PER_SECOND) + _LONGEST_BLOCK
    try:
        told, made = decoder.ask(wish, path, most)
    except decoder.ConfinedError as error:
        raise not_audio("the voice clip takes too much to be decoded") from error
    samples = np.frombuffer(made, np.float32).reshape(-1, told["channels"])
    channels = np.ascontiguousarray(samples.T)
    return Recording(channels, told["rate"], told["container"], told["codec"])
