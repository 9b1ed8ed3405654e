"""The clip that a voice is taken from."""

import numpy as np
import soundfile
import torch
import torchaudio
from telling import UnusableError

RATE = 22_050
SHORTEST_S = 2.0
_QUIETEST = 1e-3


def read(path):
    """Mono samples (1, length) at 22050 Hz; UnusableError if it is no sound, silent or short."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise UnusableError(
            "clip-unreadable", "the voice clip is no sound that can be read", "Record it again"
        ) from error
    if len(samples) < SHORTEST_S * rate:
        raise UnusableError(
            "clip-too-short",
            f"the voice clip is shorter than {SHORTEST_S:.0f} seconds",
            "Record ten to thirty seconds of one person speaking",
        )
    mono = samples.mean(axis=1)
    if not np.isfinite(mono).all() or np.abs(mono).max() < _QUIETEST:
        raise UnusableError("clip-silent", "nothing is heard in the voice clip", "Record it again")
    return torchaudio.functional.resample(torch.from_numpy(mono)[None], rate, RATE).clamp(-1, 1)
