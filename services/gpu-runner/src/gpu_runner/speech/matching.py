"""Finds the packaged voice, the mixture and the conversion that resemble a speaker most.

Four steps, from coarse to fine, each scored by the speaker encoder on the first half of the
clip: every packaged voice; small random steps in the space of Kokoro's styles around the best (a
(1+1) evolution strategy); then, for as many of them as there is time for, a pattern search over
WORLD's pitch, melody and formants, and the colour, by the encoder's gradient. "No conversion"
competes with the rest and wins ties, because a vocoder costs clarity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpu_runner.speech import conversion as world
from gpu_runner.speech import probes
from gpu_runner.speech.colouring import coloured
from gpu_runner.speech.conversion import LIMIT_DB, Analysis, Conversion
from gpu_runner.speech.kokoro import Kokoro, base_voices
from gpu_runner.speech.narrator import trimmed
from gpu_runner.speech.probes import Probe
from gpu_runner.speech.profile import VoiceProfile
from gpu_runner.speech.search import Axis, Point, climb
from gpu_runner.speech.sound import Samples, join
from gpu_runner.speech.speaker import Embedding, SpeakerEncoder, normalised, similarity

STYLE_WIDTH = 256

_WORTH = 0.01
"""By how much a conversion must beat none."""

_MATCH_STRENGTH = 0.7
_FIRST_STEP = 0.2
_OFFSET_SHARE = 0.15
_COARSE_SHARE = 0.4
_PITCH_AXES = (
    Axis(-1.5, 1.5, 0.15),  # octaves of pitch
    Axis(-1.0, 1.0, 0.4),  # octaves of melody's range
    Axis(-0.35, 0.35, 0.08),  # octaves of formant shift
    Axis(0.0, 1.2, 0.4),  # share of the measured difference in colour
)


@dataclass(frozen=True, slots=True)
class Target:
    """The speaker to resemble: embeddings of both halves and of all, pitch, and colour.

    `ceiling` is the similarity of the two halves: no imitation can be expected to pass it.
    """

    fit: Embedding
    heldout: Embedding
    whole: Embedding
    pitch_hz: float
    spectrum: NDArray[np.float64]

    @property
    def ceiling(self) -> float:
        return similarity(self.fit, self.heldout)


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted voice, and its similarity to the first half."""

    profile: VoiceProfile
    similarity: float


@dataclass(frozen=True, slots=True)
class Match:
    """Fitted voices, the most promising one first, and the best packaged voice as it is."""

    fits: tuple[Fit, ...]
    nearest: VoiceProfile
    tries: int


@dataclass(frozen=True, slots=True)
class Try:
    """One voice that was tried, in the search of `what`.

    `score` is its similarity to the target less what its conversion costs; `best` is the highest
    score so far in the same search.
    """

    number: int
    what: str
    score: float
    best: float


@dataclass(frozen=True, slots=True)
class Budget:
    """How many styles may be tried, how many voices are fitted, by how many conversions each.

    How like a voice is before it is fitted tells little of how like it can be made, so to fit
    several is what more time is best spent on. Four in ten of the conversions are a search of
    pitch, melody and formants, the others steps of the colour's gradient.
    """

    styles: int
    voices: int
    conversions: int

    @property
    def tries(self) -> int:
        return self.styles + self.voices * self.conversions


@dataclass(frozen=True, slots=True)
class _Candidate:
    timbre: NDArray[np.float32]
    prosody: NDArray[np.float32]
    offset: NDArray[np.float32]
    packaged: int | None = None
    """Which of the packaged voices it is, if it is one as it stands."""

    score: float = -1.0


def measure(samples: Samples, encoder: SpeakerEncoder) -> Target:
    """What is to be matched, from mono speech at 24 kHz of three seconds or more."""
    half = samples.size // 2
    first = world.analyse(samples[:half])
    fit, heldout = encoder.embed(samples[:half]), encoder.embed(samples[half:])
    return Target(
        fit=fit,
        heldout=heldout,
        whole=normalised(fit + heldout),
        pitch_hz=world.median_pitch(first),
        spectrum=world.long_term_spectrum(first),
    )


class VoiceMatcher:
    """Searches a voice for one target; `tried` is called after every try."""

    def __init__(
        self,
        target: Target,
        kokoro: Kokoro,
        encoder: SpeakerEncoder,
        rng: np.random.Generator,
        tried: Callable[[Try], None] = lambda _: None,
    ) -> None:
        self._target = target
        self._kokoro = kokoro
        self._encoder = encoder
        self._rng = rng
        self._tried = tried
        self._names = tuple(base_voices())
        self._tries = 0
        self._best: dict[str, float] = {}

    def match(self, budget: Budget) -> Match:
        """Search."""
        packaged, best = self._search_style(budget.styles)
        nearest = packaged[0]
        candidates = packaged if best is nearest else [best, *packaged]
        fits = []
        for candidate in candidates[: budget.voices]:
            spoken = [self._speak(candidate, probe) for probe in probes.LONG]
            conversion, likeness = self._search_conversion(budget.conversions, spoken)
            fits.append(Fit(self._profile(candidate, conversion), likeness))
        return Match(tuple(fits), self._profile(nearest), self._tries)

    def _search_style(self, tries: int) -> tuple[list[_Candidate], _Candidate]:
        """The packaged voices, the best one first, and the best style found around that."""
        packaged = []
        for index, weights in enumerate(np.eye(len(self._names), dtype=np.float32)):
            pure = _Candidate(weights, weights, np.zeros(STYLE_WIDTH, np.float32), index)
            packaged.append(self._scored(pure))
        packaged.sort(key=lambda candidate: -candidate.score)
        best = packaged[0]
        scale = np.concatenate([voice.mean(axis=0) for voice in base_voices().values()])
        scale = scale.reshape(len(self._names), STYLE_WIDTH).std(axis=0)
        step = _FIRST_STEP
        for _ in range(tries - len(packaged)):
            child = self._scored(self._mutated(best, scale, step))
            # The one-fifth rule: about one success in five steps keeps the step as it is.
            step = min(0.6, step * 1.5) if child.score > best.score else max(0.05, step * 0.9)
            best = max(best, child, key=lambda candidate: candidate.score)
        return packaged, best

    def _mutated(self, parent: _Candidate, scale: NDArray[np.float32], step: float) -> _Candidate:
        def nudge(weights: NDArray[np.float32]) -> NDArray[np.float32]:
            noise = self._rng.normal(0.0, step, weights.size)
            # Weights keep their sum: a style's length is no part of who speaks.
            return np.asarray(weights + noise - noise.mean(), dtype=np.float32)

        noise = self._rng.normal(0.0, step * _OFFSET_SHARE / _FIRST_STEP, STYLE_WIDTH)
        return _Candidate(
            nudge(parent.timbre),
            nudge(parent.prosody),
            (parent.offset + noise * scale).astype(np.float32),
        )

    def _scored(self, candidate: _Candidate) -> _Candidate:
        """How like the target this style is once pitch and colour are roughly matched."""
        analysis = world.analyse(self._speak(candidate, probes.SHORT))
        rough = self._conversion(analysis, (self._pitch_gap(analysis), 0.0, 0.0, _MATCH_STRENGTH))
        sound = world.synthesise(analysis, rough)
        score = similarity(self._encoder.embed(sound), self._target.fit) - cost(rough)
        self._count("style", score)
        return replace(candidate, score=score)

    def _search_conversion(self, tries: int, spoken: Sequence[Samples]) -> tuple[Conversion, float]:
        """The best conversion of this speech, and its similarity to the target with it."""
        analyses = [world.analyse(each) for each in spoken]
        first = analyses[0]

        def score(point: Point) -> float:
            converted = self._conversion(first, point)
            sound = world.synthesise(first, converted)
            found = similarity(self._encoder.embed(sound), self._target.fit) - cost(converted)
            self._count("conversion", found)
            return found

        gap = self._pitch_gap(first)
        starts = [(0.0,) * 4, (gap, 0.0, 0.0, 0.0), (gap, 0.0, 0.0, _MATCH_STRENGTH)]
        coarse = climb(score, starts, _PITCH_AXES, max(1, round(tries * _COARSE_SHARE)))
        found = coloured(
            analyses,
            self._conversion(first, coarse.point),
            self._target.fit,
            self._encoder,
            steps=tries - coarse.tries,
            stepped=lambda value: self._count("colour", value),
        )
        converted = self._likeness([world.synthesise(each, found) for each in analyses])
        untouched = self._likeness(spoken)
        if converted - cost(found) < untouched + _WORTH:
            return Conversion(), untouched
        return found, converted

    def _likeness(self, sounds: Sequence[Samples]) -> float:
        return similarity(self._encoder.embed(join(list(sounds))), self._target.fit)

    def _conversion(self, analysis: Analysis, point: Point) -> Conversion:
        pitch, melody, formants, colour = point
        difference = self._target.spectrum - world.long_term_spectrum(analysis)
        gains = np.clip(colour * difference, -LIMIT_DB, LIMIT_DB)
        return Conversion(
            pitch=2.0**pitch,
            melody=2.0**melody,
            formants=2.0**formants,
            equaliser_db=tuple(float(gain) for gain in gains),
        )

    def _pitch_gap(self, analysis: Analysis) -> float:
        """Octaves from this pitch to the target's."""
        pitch = world.median_pitch(analysis)
        if pitch <= 0 or self._target.pitch_hz <= 0:
            return 0.0
        return float(np.clip(np.log2(self._target.pitch_hz / pitch), -1.5, 1.5))

    def _speak(self, candidate: _Candidate, probe: Probe) -> Samples:
        if candidate.packaged is not None:
            return probe.spoken_by(self._names[candidate.packaged])
        style = self._profile(candidate).style()
        return trimmed(self._kokoro.speak(probe.symbols, style)).samples

    def _profile(self, candidate: _Candidate, conversion: Conversion | None = None) -> VoiceProfile:
        return VoiceProfile(
            bases=self._names,
            timbre=candidate.timbre,
            prosody=candidate.prosody,
            offset=candidate.offset,
            conversion=conversion or Conversion(),
            target=self._target.whole,
        )

    def _count(self, what: str, score: float) -> None:
        self._tries += 1
        best = max(score, self._best.get(what, score))
        self._best[what] = best
        self._tried(Try(self._tries, what, score, best))


def cost(conversion: Conversion) -> float:
    """What a strong conversion costs in naturalness, on the scale of similarity."""
    return float(
        0.03 * abs(np.log2(conversion.pitch))
        + 0.01 * abs(np.log2(conversion.melody))
        + 0.1 * abs(np.log2(conversion.formants))
    )
