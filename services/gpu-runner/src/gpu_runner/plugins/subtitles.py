"""Subtitles of a speech that a plug-in made, from its timings, if it made none itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gpu_runner.engines.warp.timings import Word, read_timings
from gpu_runner.speech.subtitles import cues, srt, webvtt
from gpu_runner.speech.timeline import Span

_ENDS_SENTENCE = tuple(".!?…。！？")  # noqa: RUF001 - those of Chinese and Japanese
_CLOSING = "\"'”’»)]」』"  # noqa: RUF001 - as typeset


def write_subtitles(timings: Path, folder: Path) -> list[Path]:
    """WebVTT and SubRip files of the words that a timings file has.

    Raises:
        StageError: `timings-unreadable`.

    """
    words = read_timings(timings).words
    shown = [cue for sentence in _sentences(words) for cue in cues(sentence)]
    made = []
    for name, text in (("subtitles.vtt", webvtt(shown)), ("subtitles.srt", srt(shown))):
        (folder / name).write_text(text, encoding="utf-8")
        made.append(folder / name)
    return made


def _sentences(words: Sequence[Word]) -> Iterator[list[Span]]:
    """The words, a sentence at a time."""
    sentence: list[Span] = []
    for word in words:
        sentence.append(Span(word.text, word.start, word.end))
        if word.text.rstrip(_CLOSING).endswith(_ENDS_SENTENCE):
            yield sentence
            sentence = []
    if sentence:
        yield sentence
