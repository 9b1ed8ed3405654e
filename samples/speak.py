# ruff: noqa: INP001 - a script to run, not a package.
"""Speaks the sample voice clip: a voice that belongs to nobody.

Run it from the top folder with the project's Python: `python samples/speak.py`. It mixes
packaged voices into one that is none of them, shifts it a little, and reads a text written
for this purpose. Source and licence stand in `VOICE-SOURCE.md`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from gpu_runner.speech.conversion import Conversion
from gpu_runner.speech.kokoro import Kokoro, base_voices
from gpu_runner.speech.narrator import narrate
from gpu_runner.speech.profile import VoiceProfile
from gpu_runner.speech.script import read_script
from gpu_runner.speech.sound import RATE

TEXT = (
    "Hello, and welcome. I am a voice that nobody was born with: a few packaged voices,"
    " stirred together. Give me a line to read, and I will gladly say it for you."
)
TIMBRE = {"jf_alpha": 0.45, "jf_gongitsune": 0.2, "jf_nezumi": 0.0, "jf_tebukuro": 0.0,
          "jm_kumo": 0.35}  # fmt: skip
PROSODY = {"jf_alpha": 0.55, "jf_gongitsune": 0.1, "jf_nezumi": 0.0, "jf_tebukuro": 0.1,
           "jm_kumo": 0.25}  # fmt: skip


def main() -> None:
    """Write `voice.ogg` beside this file."""
    names = tuple(base_voices())
    profile = VoiceProfile(
        bases=names,
        timbre=np.array([TIMBRE[name] for name in names], np.float32),
        prosody=np.array([PROSODY[name] for name in names], np.float32),
        offset=np.zeros(256, np.float32),
        conversion=Conversion(pitch=0.88, formants=0.94),
        target=np.zeros(256, np.float32),
    )
    speech = narrate(read_script(TEXT.encode()), profile, Kokoro())
    soundfile.write(Path(__file__).with_name("voice.ogg"), speech.samples, RATE)


if __name__ == "__main__":
    main()
