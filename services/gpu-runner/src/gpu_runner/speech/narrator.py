"""Speaks a whole script in a fitted voice, and knows when everything was said.

Sentence by sentence: pronounce, synthesise, cut the model's own silence at both ends, set a
natural pause, convert. Timings refer to the finished sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpu_runner.speech import subtitles, timeline
from gpu_runner.speech.conversion import Conversion, convert
from gpu_runner.speech.kokoro import LONGEST, Kokoro, Style, Utterance
from gpu_runner.speech.phonemes import Pronunciation, pieces, pronounce
from gpu_runner.speech.profile import VoiceProfile
from gpu_runner.speech.script import Sentence
from gpu_runner.speech.sound import RATE, Samples, amplify, join, level
from gpu_runner.speech.timeline import Span, Timeline

LEAD_SECONDS = 0.15
SENTENCE_PAUSE_SECONDS = 0.4
PARAGRAPH_PAUSE_SECONDS = 0.75
LEVEL_DBFS = -20.0

_BEFORE_SECONDS = 0.075
_AFTER_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Speech:
    """A spoken script: sound at 24 kHz, its timings, and the words as they were said."""

    samples: Samples
    timeline: Timeline
    spoken_words: tuple[str, ...]


def narrate(
    sentences: Sequence[Sentence],
    profile: VoiceProfile,
    kokoro: Kokoro,
    *,
    speed: float = 1.0,
    progress: Callable[[int], None] = lambda _: None,
    longest: int = LONGEST,
) -> Speech:
    """Speak `sentences`; `progress` is told after each how many are done.

    A sentence of more than `longest` symbols is spoken in pieces, cut at its pauses.

    Raises:
        ValueError: nothing in the sentences can be spoken.

    """
    style = profile.style()
    sound: list[Samples] = [_silence(LEAD_SECONDS)]
    at = LEAD_SECONDS
    phonemes: list[Span] = []
    words: list[Span] = []
    cues: list[Span] = []
    spoken: list[str] = []
    for done, sentence in enumerate(sentences, start=1):
        pronunciation = pronounce(sentence.read)
        if pronunciation.words:
            utterance = _speak(pieces(pronunciation, longest), style, kokoro, speed)
            edges = [float(edge) + at for edge in utterance.edges]
            phonemes += timeline.phoneme_spans(pronunciation.symbols, edges)
            said = timeline.word_spans(sentence.shown, pronunciation, edges)
            words += said
            cues += subtitles.cues(said)
            spoken += [word.text for word in pronunciation.words]
            pause = PARAGRAPH_PAUSE_SECONDS if sentence.ends_paragraph else SENTENCE_PAUSE_SECONDS
            if done == len(sentences):
                pause = SENTENCE_PAUSE_SECONDS
            silence = _silence(max(0.0, pause - _trailing_silence(pronunciation, utterance)))
            sound += [utterance.samples, silence]
            at += utterance.seconds + silence.size / RATE
        progress(done)
    if not spoken:
        raise ValueError("nothing to speak")
    samples = join(sound)
    duration = samples.size / RATE
    return revoiced(
        Speech(
            samples=samples,
            timeline=Timeline(
                duration=duration,
                phonemes=tuple(timeline.with_silences(phonemes, duration)),
                words=tuple(words),
                cues=tuple(cues),
            ),
            spoken_words=tuple(spoken),
        ),
        profile.conversion,
    )


def revoiced(speech: Speech, conversion: Conversion) -> Speech:
    """The same speech in another colour of voice, at the common level; timings stay true."""
    converted = convert(speech.samples, conversion)
    return replace(speech, samples=amplify(converted, LEVEL_DBFS - level(converted)))


def _speak(
    parts_of_sentence: Sequence[Pronunciation], style: Style, kokoro: Kokoro, speed: float
) -> Utterance:
    """One utterance of a whole sentence, in pieces if it is too long for the model."""
    parts = [trimmed(kokoro.speak(piece.symbols, style, speed)) for piece in parts_of_sentence]
    if len(parts) == 1:
        return parts[0]
    edges: list[float] = []
    at = 0.0
    for part in parts:
        # A cut swallowed one space, so its symbol is given the time between two pieces.
        edges += [float(edge) + at for edge in part.edges]
        at += part.seconds
    return Utterance(join([part.samples for part in parts]), np.array(edges))


def trimmed(utterance: Utterance) -> Utterance:
    """Cut the silence at both ends down to what a first and a last sound need."""
    first = max(0.0, float(utterance.edges[0]) - _BEFORE_SECONDS)
    last = min(utterance.seconds, float(utterance.edges[-1]) + _AFTER_SECONDS)
    samples = utterance.samples[round(first * RATE) : round(last * RATE)]
    return Utterance(samples, utterance.edges - round(first * RATE) / RATE)


def _trailing_silence(pronunciation: Pronunciation, utterance: Utterance) -> float:
    last_word = pronunciation.words[-1]
    return utterance.seconds - float(utterance.edges[last_word.past])


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)
