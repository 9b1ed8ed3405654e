"""Speaks a whole script in a fitted voice, and knows when everything was said.

Sentence by sentence: pronounce, synthesise, cut the model's own silence at both ends, convert, set
a natural pause. Each is handed on as soon as it sounds, so a long script needs no more memory than
a short one. Timings refer to the finished sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
class Manner:
    """How to speak: pace relative to the voice's own, shift of pitch, factor on all pauses."""

    speed: float = 1.0
    semitones: float = 0.0
    pause: float = 1.0

    def voice(self, conversion: Conversion) -> Conversion:
        """The profile's conversion and the shift in one, since every vocoding costs clarity."""
        if self.semitones == 0:
            return conversion
        return replace(conversion, pitch=conversion.pitch * 2.0 ** (self.semitones / 12.0))


PLAIN = Manner()


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence that was spoken: its words as they were said, from `start` to `end` seconds."""

    words: tuple[str, ...]
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Narration:
    """What was spoken and when, without the sound."""

    timeline: Timeline
    said: tuple[Said, ...]

    @property
    def spoken_words(self) -> tuple[str, ...]:
        return tuple(word for sentence in self.said for word in sentence.words)


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
    manner: Manner = PLAIN,
    *,
    longest: int = LONGEST,
) -> Speech:
    """Speak `sentences` as `speak` does, and keep all of the sound, at the common level."""
    sound: list[Samples] = []
    told = speak(
        sentences,
        profile,
        kokoro,
        lambda _, samples: sound.append(samples),
        manner,
        longest=longest,
    )
    samples = np.concatenate(sound)
    return Speech(
        samples=amplify(samples, LEVEL_DBFS - level(samples)),
        timeline=told.timeline,
        spoken_words=told.spoken_words,
    )


def speak(
    sentences: Sequence[Sentence],
    profile: VoiceProfile,
    kokoro: Kokoro,
    sink: Callable[[int, Samples], None],
    manner: Manner = PLAIN,
    *,
    longest: int = LONGEST,
) -> Narration:
    """Speak `sentences`; `sink` is given each one's number, from 1, and sound with its pause.

    The sounds follow each other without a gap; one is empty if its sentence has nothing to say. A
    sentence of more than `longest` symbols is spoken in pieces, cut at its pauses.

    Raises:
        ValueError: nothing in the sentences can be spoken.

    """
    style = profile.style()
    conversion = manner.voice(profile.conversion)
    count = 0
    phonemes: list[Span] = []
    words: list[Span] = []
    cues: list[Span] = []
    said: list[Said] = []
    for number, sentence in enumerate(sentences, start=1):
        pronunciation = pronounce(sentence.read)
        if not pronunciation.words:
            sink(number, _silence(0))
            continue
        lead = _silence(0 if count else LEAD_SECONDS)
        spoken = _utterance(pieces(pronunciation, longest), style, kokoro, manner.speed)
        pause = manner.pause * _pause_seconds(sentence, last=number == len(sentences))
        utterance, silence = _ended(spoken, pronunciation, pause)
        begin = (count + lead.size) / RATE
        edges = [float(edge) + begin for edge in utterance.edges]
        written = timeline.word_spans(sentence.shown, pronunciation, edges)
        phonemes += timeline.phoneme_spans(pronunciation.symbols, edges)
        words += written
        cues += subtitles.cues(written)
        samples = join([lead, convert(utterance.samples, conversion), silence])
        count += samples.size
        said.append(
            Said(
                tuple(word.text for word in pronunciation.words),
                begin,
                begin + utterance.seconds,
            )
        )
        sink(number, samples)
    if not said:
        raise ValueError("nothing to speak")
    duration = count / RATE
    return Narration(
        Timeline(
            duration=duration,
            phonemes=tuple(timeline.with_silences(phonemes, duration)),
            words=tuple(words),
            cues=tuple(cues),
        ),
        tuple(said),
    )


def grouped(said: Sequence[Said], longest_seconds: float) -> Iterator[list[Said]]:
    """Neighbouring sentences in groups that last no longer than this, or one by one."""
    group: list[Said] = []
    for sentence in said:
        if group and sentence.end - group[0].start > longest_seconds:
            yield group
            group = []
        group.append(sentence)
    if group:
        yield group


def _pause_seconds(sentence: Sentence, *, last: bool) -> float:
    ends_paragraph = sentence.ends_paragraph and not last
    return PARAGRAPH_PAUSE_SECONDS if ends_paragraph else SENTENCE_PAUSE_SECONDS


def _ended(
    utterance: Utterance, pronunciation: Pronunciation, pause: float
) -> tuple[Utterance, Samples]:
    """The utterance, and the silence with which `pause` seconds follow its last word.

    The model's own silence behind a full stop is cut if it is longer than the pause.
    """
    last_word = float(utterance.edges[pronunciation.words[-1].past])
    missing = pause - (utterance.seconds - last_word)
    if missing >= 0:
        return utterance, _silence(missing)
    kept = utterance.samples[: round((last_word + pause) * RATE)]
    edges = np.minimum(utterance.edges, kept.size / RATE)
    return Utterance(kept, edges), _silence(0)


def revoiced(speech: Speech, conversion: Conversion) -> Speech:
    """The same speech in another colour of voice, at the common level; timings stay true."""
    converted = convert(speech.samples, conversion)
    return replace(speech, samples=amplify(converted, LEVEL_DBFS - level(converted)))


def _utterance(
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


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)
