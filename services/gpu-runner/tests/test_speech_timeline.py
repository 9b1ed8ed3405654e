"""When what is said: phonemes without gaps, words as written."""

# ruff: noqa: RUF001 - phonetic symbols and typographic signs are what is tested.

from __future__ import annotations

import itertools

import pytest
from gpu_runner.speech.phonemes import Pronunciation, Word
from gpu_runner.speech.timeline import (
    SILENCE,
    Span,
    phoneme_spans,
    with_silences,
    word_spans,
)
from hypothesis import given
from hypothesis import strategies as st

SYMBOLS = "ˈpat ə, ˌfu."


@given(st.lists(st.integers(1, 12), min_size=len(SYMBOLS), max_size=len(SYMBOLS)))
def test_phonemes_and_pauses_follow_each_other_without_a_gap(frames: list[int]) -> None:
    edges = [0.0, *itertools.accumulate(count * 0.025 for count in frames)]
    spans = phoneme_spans(SYMBOLS, edges)
    assert spans[0].start == edges[0]
    assert spans[-1].end == pytest.approx(edges[-1])
    assert all(a.end == pytest.approx(b.start) for a, b in itertools.pairwise(spans))
    assert "".join(span.text for span in spans) == "patəfu"


def test_a_stress_mark_belongs_to_its_vowel_and_a_short_comma_is_no_pause() -> None:
    short = phoneme_spans("ˈa,b", [0.0, 0.1, 0.2, 0.25, 0.4])
    assert short == [Span("a", 0.0, 0.225), Span("b", 0.225, 0.4)]
    long = phoneme_spans("ˈa,b", [0.0, 0.1, 0.2, 0.35, 0.4])
    assert long == [Span("a", 0.0, 0.2), Span(SILENCE, 0.2, 0.35), Span("b", 0.35, 0.4)]


def test_words_written_as_digits_share_the_time_of_the_words_spoken() -> None:
    spoken = ["paid", "five", "dollars", "twice"]
    words = tuple(Word(text, 2 * i, 2 * i + 1) for i, text in enumerate(spoken))
    pronunciation = Pronunciation("a a a a", words)
    edges = [float(i) for i in range(8)]
    spans = word_spans("paid $5 – twice!", pronunciation, edges)
    assert spans == [Span("paid", 0, 1), Span("$5 –", 2, 5), Span("twice!", 6, 7)]


def test_silences_fill_every_gap_and_merge() -> None:
    filled = with_silences([Span("", 0.5, 1.0), Span("a", 1.0, 2.0)], 3.0)
    assert filled == [Span("", 0.0, 1.0), Span("a", 1.0, 2.0), Span("", 2.0, 3.0)]
