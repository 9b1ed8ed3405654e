"""Writes how the packaged voices say the sentences that voices are fitted on.

Needed when a sentence, a packaged voice or Kokoro changes: `python -m pretrain.probes`, in
`services/gpu-runner`. A test compares what is there with what they say.
"""

from __future__ import annotations

from pathlib import Path

import soundfile
from gpu_runner.speech.kokoro import Kokoro, base_voices
from gpu_runner.speech.narrator import trimmed
from gpu_runner.speech.probes import LONG, SHORT
from gpu_runner.speech.sound import RATE

FOLDER = Path(__file__).parents[1] / "src" / "gpu_runner" / "speech" / "spoken"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    kokoro = Kokoro()
    for voice, style in base_voices().items():
        for probe in (SHORT, *LONG):
            spoken = trimmed(kokoro.speak(probe.symbols, style)).samples
            soundfile.write(FOLDER / f"{voice}-{probe.name}.flac", spoken, RATE, "PCM_16")


if __name__ == "__main__":
    main()
