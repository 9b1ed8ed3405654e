# ruff: noqa: RUF001 - phonemes are written in IPA
"""Which mouth belongs to which sound.

A viseme is a pose of the mouth in eight numbers. The numbers were tuned by eye on portraits;
the classes are those of the usual viseme sets (see Fisher 1968, and the Oculus and Annosoft
sets of practice). Diphthongs are two poses one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gpu_runner.engines.warp.timings import Phoneme

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Pose(NamedTuple):
    """A mouth, each part from 0 (at rest) to 1 (as far as speech goes).

    `jaw` drops, `lower` and `upper` pull the lips apart, `wide` spreads and `round` purses
    them, `press` closes them tightly, `tuck` draws the lower one under the upper teeth,
    `tongue` lifts the tongue's tip.
    """

    jaw: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    wide: float = 0.0
    round: float = 0.0
    press: float = 0.0
    tuck: float = 0.0
    tongue: float = 0.0


@dataclass(frozen=True, slots=True)
class Viseme:
    """A pose and how strongly it insists against its neighbours.

    `jaw_weight` is its say on how far the mouth opens, `round_weight` on the rounding, `weight`
    on all else. `closes` marks sounds that cannot be spoken with open lips.
    """

    pose: Pose
    jaw_weight: float = 1.0
    round_weight: float = 1.0
    weight: float = 1.0
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A viseme with its time, in seconds."""

    viseme: Viseme
    start: float
    end: float


def _vowel(*pose: float) -> Viseme:
    return Viseme(Pose(*pose))


def _consonant(pose: Pose, jaw_weight: float = 1.0) -> Viseme:
    # Lips take their rounding from the vowels around: "too" is round from the t on.
    return Viseme(pose, jaw_weight=jaw_weight, round_weight=0.15)


AA = _vowel(0.95, 0.10, 0.15)
AE = _vowel(0.80, 0.25, 0.20, 0.35)
EH = _vowel(0.52, 0.25, 0.15, 0.30)
IH = _vowel(0.32, 0.30, 0.10, 0.30)
IY = _vowel(0.20, 0.40, 0.20, 0.60)
AH = _vowel(0.48, 0.10)
OH = _vowel(0.62, 0.0, 0.0, 0.0, 0.55)
UH = _vowel(0.30, 0.05, 0.0, 0.0, 0.60)
OU = _vowel(0.22, 0.0, 0.0, 0.0, 0.95)
ER = _vowel(0.30, 0.15, 0.0, 0.0, 0.35)
WW = _vowel(0.10, 0.0, 0.0, 0.0, 1.0)
RR = _vowel(0.20, 0.10, 0.0, 0.0, 0.40)
CH = Viseme(Pose(0.12, 0.45, 0.40, round=0.45))
SS = _consonant(Pose(0.08, 0.50, 0.25, 0.30), jaw_weight=1.4)
DD = _consonant(Pose(0.16, 0.30, 0.15, tongue=0.60))
TH = _consonant(Pose(0.20, 0.25, 0.15, tongue=0.85))
KK = _consonant(Pose(0.26, 0.15), jaw_weight=0.7)
HH = Viseme(Pose(0.30, 0.05), jaw_weight=0.3, round_weight=0.05, weight=0.3)
JJ = _consonant(Pose(0.18, 0.30, 0.15, 0.40))
FF = _consonant(Pose(0.06, upper=0.55, tuck=1.0), jaw_weight=2.2)
PP = Viseme(Pose(press=0.8), jaw_weight=3.0, round_weight=0.15, weight=3.0, closes=True)
# The mouth that Japanese or a foreign voice makes for an unlisted sound: slightly open.
OTHER = Viseme(Pose(0.25, 0.10), jaw_weight=0.5, round_weight=0.1, weight=0.3)

_SPELLING: dict[str, tuple[Viseme, ...]] = {}
for _viseme, _symbols in (
    (AA, "ɑaɒ"),
    (AE, "æ"),
    (EH, "ɛeœø"),
    (IH, "ɪᵻɨ"),
    (IY, "iy"),
    (AH, "ʌəɐᵊɤ"),
    (OH, "ɔo"),
    (UH, "ʊɯ"),
    (OU, "u"),
    (ER, "ɜɚɝ"),
    (WW, "wɥ"),
    (RR, "ɹrɻʁ"),
    (CH, "ʃʒʧʤɕʂʐʑʨʥ"),
    (SS, "szʦʣ"),
    (DD, "tdnlTɾɖʈɳɽ"),
    (TH, "θð"),
    (KK, "kɡgŋxɣqχcɟ"),
    (HH, "hɦç"),
    (JJ, "jɲʎʝ"),
    (FF, "fvʋ"),
    (PP, "pbmɸβ"),
):
    _SPELLING |= dict.fromkeys(_symbols, (_viseme,))
_SPELLING |= {
    "A": (EH, IY),
    "I": (AA, IH),
    "O": (OH, OU),
    "Q": (AH, OU),
    "W": (AA, OU),
    "Y": (OH, IH),
}
# Marks of stress, length and manner: they colour a sound but have no mouth of their own.
_MARKS = frozenset("ˈˌːʰʲ̃ᵝʔ")
# The first half of a diphthong is the longer one.
_GLIDE_AT = 0.55


def is_known(symbol: str) -> bool:
    """Whether `symbol` has a mouth, is a mark, or is silence."""
    return not symbol or symbol in _SPELLING or symbol in _MARKS


def segments(phonemes: Iterable[Phoneme]) -> Iterator[Segment]:
    """The mouths of `phonemes`, in order of time; silence gives none."""
    for phoneme in sorted(phonemes, key=lambda each: each.start):
        symbol = phoneme.symbol
        if not symbol or symbol in _MARKS or phoneme.end <= phoneme.start:
            continue
        parts = _SPELLING.get(symbol, (OTHER,))
        start = phoneme.start
        for index, viseme in enumerate(parts, start=1):
            share = 1.0 if index == len(parts) else _GLIDE_AT
            end = phoneme.start + share * (phoneme.end - phoneme.start)
            yield Segment(viseme, start, end)
            start = end
