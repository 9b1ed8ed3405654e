"""When each phoneme and each word is spoken: what moves the lips and times the subtitles.

The synthesiser says how long each of its symbols lasts, stress marks, spaces and
punctuation among them. Here they become what a listener hears: phonemes, silences and the
words as they were written. Pure: numbers in, numbers out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from gpu_runner.speech.phonemes import PAUSES, STRESS, Pronunciation
from gpu_runner.speech.sound import RATE

SILENCE = ""

_SHORTEST_PAUSE = 0.07


@dataclass(frozen=True, slots=True)
class Span:
    """Something that sounds from `start` to `end`, in seconds."""

    text: str
    start: float
    end: float

    def later(self, seconds: float) -> Span:
        return Span(self.text, self.start + seconds, self.end + seconds)


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of a speech. `phonemes` cover it without a gap; a silence is a phoneme of no symbol.

    `cues` are its subtitles, see `subtitles.cues`.
    """

    duration: float
    phonemes: tuple[Span, ...]
    words: tuple[Span, ...]
    cues: tuple[Span, ...]

    def as_json(self) -> dict[str, Any]:
        """The `timings` artifact: seconds, rounded to a tenth of a millisecond."""
        return {
            "sample_rate": RATE,
            "duration": round(self.duration, 4),
            "phonemes": [_span_json("symbol", span) for span in self.phonemes],
            "words": [_span_json("text", span) for span in self.words],
        }


def phoneme_spans(symbols: str, edges: Sequence[float]) -> list[Span]:
    """The sounding phonemes and the pauses of one utterance, without a gap between them.

    `edges` has `len(symbols) + 1` times. A stress mark is the onset of its vowel; a space
    between words is no pause, so its neighbours share it; punctuation is a pause if it
    lasts, otherwise it too belongs to its neighbours.
    """
    spans: list[Span] = []
    start = float(edges[0])
    for index, symbol in enumerate(symbols):
        end = float(edges[index + 1])
        if symbol in STRESS:
            continue
        if symbol in PAUSES and end - start >= _SHORTEST_PAUSE:
            spans.append(Span(SILENCE, start, end))
        elif symbol == " " or symbol in PAUSES:
            # The previous sound rings through the first half, the next begins in the second.
            middle = (start + end) / 2
            if spans and spans[-1].text:
                spans[-1] = Span(spans[-1].text, spans[-1].start, middle)
                start = middle
            continue
        else:
            spans.append(Span(symbol, start, end))
        start = end
    if spans and start < float(edges[-1]):
        spans[-1] = Span(spans[-1].text, spans[-1].start, float(edges[-1]))
    return spans


def word_spans(shown: str, pronunciation: Pronunciation, edges: Sequence[float]) -> list[Span]:
    """Times of the words as they were written.

    Written and spoken words differ ("$45.50" is five words). Those that agree are anchors;
    what lies between two anchors shares their time by its length.
    """
    written = _tokens(shown)
    spoken = pronunciation.words
    times = [(float(edges[word.first]), float(edges[word.past])) for word in spoken]
    matcher = SequenceMatcher(
        None,
        [_plain(word) for word in written],
        [_plain(word.text) for word in spoken],
        autojunk=False,
    )
    spans: list[Span] = []
    for _, first, past, first_spoken, past_spoken in matcher.get_opcodes():
        tokens = written[first:past]
        if not tokens:
            continue
        if len(tokens) == past_spoken - first_spoken:
            spans += [
                Span(token, *time)
                for token, time in zip(tokens, times[first_spoken:past_spoken], strict=True)
            ]
            continue
        at = spans[-1].end if spans else (times[0][0] if times else float(edges[0]))
        begin, end = (
            (times[first_spoken][0], times[past_spoken - 1][1])
            if past_spoken > first_spoken
            else (at, at)
        )
        spans += _shared(tokens, begin, end)
    return spans


def with_silences(spans: Iterable[Span], duration: float) -> list[Span]:
    """Fill every gap from 0 to `duration` with a silence, and merge silences that touch."""
    filled: list[Span] = []

    def add(span: Span) -> None:
        if span.end <= span.start:
            return
        if filled and not filled[-1].text and not span.text:
            filled[-1] = Span(SILENCE, filled[-1].start, span.end)
        else:
            filled.append(span)

    at = 0.0
    for span in spans:
        add(Span(SILENCE, at, span.start))
        add(span)
        at = span.end
    add(Span(SILENCE, at, duration))
    return filled


def _tokens(shown: str) -> list[str]:
    """Words as written; a sign that stands alone, such as a dash, goes with the word before."""
    tokens: list[str] = []
    for piece in shown.split():
        if tokens and not re.search(r"\w", piece):
            tokens[-1] += f" {piece}"
        else:
            tokens.append(piece)
    return tokens


def _shared(tokens: Sequence[str], begin: float, end: float) -> list[Span]:
    total = sum(len(token) for token in tokens)
    spans = []
    at = begin
    for token in tokens:
        until = at + (end - begin) * len(token) / total
        spans.append(Span(token, at, until))
        at = until
    return spans


def _plain(word: str) -> str:
    return re.sub(r"\W", "", word).lower()


def _span_json(name: str, span: Span) -> dict[str, Any]:
    return {name: span.text, "start": round(span.start, 4), "end": round(span.end, 4)}
