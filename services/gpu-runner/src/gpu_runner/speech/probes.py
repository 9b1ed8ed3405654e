"""Sentences that a voice is fitted on, and how each packaged voice says them.

A packaged voice says a sentence the same way each time, so that was done once and for all: to
speak them anew took a third of a fit's time. `pretrain.probes` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpu_runner.speech.sound import Samples, read_wav

_SPOKEN = Path(__file__).parent / "spoken"


@dataclass(frozen=True, slots=True)
class Probe:
    """A sentence to try voices with."""

    name: str
    text: str

    @property
    def symbols(self) -> str:
        """In Kokoro's phonemes."""
        from gpu_runner.speech.phonemes import pronounce

        return pronounce(self.text).symbols

    def spoken_by(self, packaged_voice: str) -> Samples:
        """How a packaged voice says it, without silence around it."""
        return read_wav(_SPOKEN / f"{packaged_voice}-{self.name}.flac")


SHORT = Probe("warm", "My voice is warm and clear.")
"""Compares packaged voices and their mixtures."""

LONG = (
    Probe("boat", "She thought about how far the green boat would go."),
    Probe(
        "oak",
        "Most of the children were playing under the old oak trees near the church.",
    ),
    Probe("market", "Yesterday we bought some bread, cheese and fruit at the market."),
    Probe(
        "river",
        "A quiet river runs through the valley, and small birds sing above the water.",
    ),
    Probe(
        "box",
        "Please put the heavy box on the table, next to the window, and close the door.",
    ),
)
"""The conversion is fitted on all of them, as what suits one misleads on the next."""
