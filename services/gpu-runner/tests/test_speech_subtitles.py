"""Subtitles: a file that players take, and cues that a viewer can read."""

from __future__ import annotations

import html
import itertools
import re
from dataclasses import dataclass

from gpu_runner.speech.subtitles import LONGEST_LINE, LONGEST_SECONDS, MOST_LINES, cues, srt, webvtt
from gpu_runner.speech.timeline import Span
from hypothesis import given
from hypothesis import strategies as st

TIMING = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d\d):([0-5]\d):([0-5]\d)\.(\d{3})")


@dataclass(frozen=True)
class Cue:
    start: int
    end: int
    lines: list[str]


def parse(text: str) -> list[Cue]:
    """A stricter reading than the standard's: only what we write, and nothing that is near it."""
    header, *blocks = text.removesuffix("\n").split("\n\n")
    assert header == "WEBVTT"
    found = []
    for number, block in enumerate(blocks, start=1):
        name, timing, *lines = block.split("\n")
        assert name == str(number)
        match = TIMING.fullmatch(timing)
        assert match, timing
        first, second = ([int(part) for part in match.groups()[at : at + 4]] for at in (0, 4))
        start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (first, second))
        assert lines
        for line in lines:
            assert line.strip()
            assert "-->" not in line
            assert not re.search(r"<|>|&(?!amp;|lt;|gt;)", line), line
        found.append(Cue(start, end, [html.unescape(line) for line in lines]))
    return found


def said(*texts: str, each_s: float = 0.4, gap_s: float = 0.1) -> list[Span]:
    at, words = 0.15, []
    for text in texts:
        words.append(Span(text, at, at + each_s))
        at += each_s + gap_s
    return words


WORDS = st.lists(
    st.tuples(
        st.text(
            st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=60
        ),
        st.floats(0, 9),
        st.floats(0, 3),
    ),
    min_size=1,
    max_size=40,
)


@given(WORDS)
def test_whatever_is_said_can_be_read_in_time(drawn: list[tuple[str, float, float]]) -> None:
    at, words = 0.0, []
    for text, length, gap in drawn:
        words.append(Span(text, at, at + length))
        at += length + gap
    found = parse(webvtt(cues(words)))
    shown = "".join("".join(cue.lines) for cue in found)
    assert shown.replace(" ", "") == "".join(text for text, _, _ in drawn)
    for cue in found:
        assert cue.start < cue.end
        assert cue.end - cue.start <= LONGEST_SECONDS * 1000 + 1
        assert len(cue.lines) <= MOST_LINES
        assert all(len(line) <= LONGEST_LINE for line in cue.lines)
    assert all(a.start <= b.start for a, b in itertools.pairwise(found))


def test_cues_of_speech_at_its_usual_pace_never_overlap() -> None:
    words = said(*(f"word{number}," for number in range(60)))
    found = parse(webvtt(cues(words)))
    assert len(found) > 3
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))


def test_the_two_lines_of_a_cue_are_of_about_the_same_length() -> None:
    text = "I have lived beside the harbour all my life, and I know each of its boats."
    [cue] = parse(webvtt(cues(said(*text.split(), each_s=0.25))))
    assert cue.lines == [
        "I have lived beside the harbour all",
        "my life, and I know each of its boats.",
    ]


def test_a_cue_ends_at_a_clause_rather_than_in_the_midst_of_the_next() -> None:
    text = (
        "When the boats come home in the evening after a long day at sea, everybody who has time "
        "goes down to look at them."
    )
    first, second = parse(webvtt(cues(said(*text.split(), each_s=0.2))))
    assert first.lines[-1].endswith("sea,")
    assert second.lines[0].startswith("everybody")


def test_signs_that_mean_something_to_a_player_are_escaped() -> None:
    text = webvtt(cues([Span("<b>&", 3723.0, 3723.5)]))
    assert text == "WEBVTT\n\n1\n01:02:03.000 --> 01:02:03.800\n&lt;b&gt;&amp;\n"


def test_a_word_longer_than_a_line_is_cut() -> None:
    [cue] = parse(webvtt(cues([Span("x" * 60, 0.0, 3.0)])))
    assert cue.lines == ["x" * LONGEST_LINE, "x" * 18]


def test_subrip_holds_the_same_cues_with_commas_and_no_header() -> None:
    words = said(*(f"word{number}," for number in range(60)))
    (_, *blocks), subrip = webvtt(cues(words)).split("\n\n"), srt(cues(words))
    stamp = re.compile(r"(?<=\d\d:\d\d)\.(?=\d{3})")
    assert subrip.split("\n\n") == [stamp.sub(",", block) for block in blocks]


def test_nothing_in_a_subrip_file_can_be_taken_for_a_tag_or_a_time() -> None:
    text = srt(cues([Span("<b>", 0.0, 0.5), Span("-->", 0.5, 1.0), Span("&", 1.0, 1.5)]))
    _, timing, line = text.splitlines()
    assert timing == "00:00:00,000 --> 00:00:01,800"
    assert "-->" not in line
    assert "<b" not in line
    assert line.replace("\u2060", "") == "<b> --> &"
