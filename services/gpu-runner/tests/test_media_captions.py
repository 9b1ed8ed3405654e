"""Subtitles, as they are read, laid out and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gpu_runner.media.captions import BOTTOM, MOST_LINES, Captions, cues_of, read_webvtt
from gpu_runner.speech.subtitles import webvtt
from gpu_runner.speech.timeline import Span
from gpu_runner.stage import StageError

SIZES = [(640, 360), (360, 360), (360, 640)]
LONG = "Many people read subtitles on their way to work, with the sound of their phones turned off."


def written(folder: Path, text: str) -> Path:
    path = folder / "some.vtt"
    path.write_text(text, "utf-8")
    return path


def test_what_the_speech_stage_writes_is_read_back(tmp_path: Path) -> None:
    spans = [Span("Salt & pepper,\nif you <like>", 0.5, 2.0), Span("and nothing else.", 2.5, 4.0)]
    found = read_webvtt(written(tmp_path, webvtt(spans)))
    assert [cue.text for cue in found] == ["Salt & pepper, if you <like>", "and nothing else."]
    assert [cue.start for cue in found] == [0.5, 2.5]
    assert found[0].end == pytest.approx(2.3, abs=0.01)


def test_settings_tags_notes_and_short_times_are_understood(tmp_path: Path) -> None:
    text = (
        "\ufeffWEBVTT - title\r\n\r\nNOTE a --> is no time here\r\n\r\nSTYLE\r\n::cue {}\r\n\r\n"
        "00:01.000 --> 00:02.500 align:start\r\n<v Ann>Well, <i>yes</i>\r\n"
    )
    with pytest.raises(StageError):
        read_webvtt(written(tmp_path, text))
    path = written(tmp_path, text.replace("NOTE a --> is no time here", "NOTE of no use"))
    assert read_webvtt(path) == [Span("Well, yes", 1.0, 2.5)]


@pytest.mark.parametrize(
    "text", ["1\n00:00:01,000 --> 00:00:02,000\nSubRip\n", "", "WEBVTT\n\n-->"]
)
def test_files_of_another_kind_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(StageError) as refusal:
        read_webvtt(written(tmp_path, text))
    assert refusal.value.code == "subtitles-unreadable"


def test_no_cue_goes_across_the_end_of_a_sentence() -> None:
    words = [
        Span(text, i, i + 0.5) for i, text in enumerate(("Yes.", "Come", "in!", "Sit", "down"))
    ]
    assert [cue.text for cue in cues_of(words)] == ["Yes.", "Come in!", "Sit down"]


@pytest.mark.parametrize("size", SIZES)
def test_two_lines_at_most_are_drawn_clear_of_the_edges(size: tuple[int, int]) -> None:
    width, height = size
    captions = Captions([Span(f"{LONG} {'x' * 90}", 1.0, 9.0)], width, height)
    assert captions.cues[0].start == 1.0
    assert captions.cues[-1].end == pytest.approx(9.0)
    said = "".join(cue.text for cue in captions.cues)
    assert said.replace("\n", "").replace(" ", "") == f"{LONG} {'x' * 90}".replace(" ", "")
    for cue, after in zip(captions.cues, [*captions.cues[1:], None], strict=True):
        assert cue.text.count("\n") < MOST_LINES
        assert after is None or cue.end == after.start
        frame = np.full((height, width, 3), 120, np.uint8)
        captions.draw(frame, (cue.start + cue.end) / 2)
        rows, columns = np.nonzero((frame > 200).all(axis=-1))
        assert columns.min() >= 0.05 * width
        assert columns.max() <= 0.95 * width
        assert rows.max() <= (1 - BOTTOM) * height + 1
        assert rows.min() >= 0.6 * height


def test_letters_can_be_read_on_white_and_on_black() -> None:
    captions = Captions([Span("Legible", 0.0, 1.0)], 360, 360)
    for ground in (0, 255):
        frame = np.full((360, 360, 3), ground, np.uint8)
        captions.draw(frame, 0.5)
        assert (frame > 240).sum() > 300
        assert (frame < 15).sum() > 300


def test_nothing_is_drawn_before_after_and_between_cues() -> None:
    captions = Captions([Span("one", 1.0, 2.0), Span("two", 3.0, 4.0)], 360, 360)
    for seconds, drawn in ((0.5, False), (1.5, True), (2.5, False), (3.5, True), (4.0, False)):
        frame = np.full((360, 360, 3), 120, np.uint8)
        captions.draw(frame, seconds)
        assert (frame != 120).any() == drawn


def test_accents_and_emoji_are_left_away_and_other_scripts_refused() -> None:
    captions = Captions([Span("Caf\u00e9 \u2014 d\u00e9j\u00e0 vu \U0001f600", 0.0, 1.0)], 360, 360)
    assert captions.cues[0].text == "Cafe - deja vu"
    with pytest.raises(StageError) as refusal:
        Captions([Span("\u3053\u3093\u306b\u3061\u306f", 0.0, 1.0)], 360, 360)
    assert refusal.value.code == "subtitles-undrawable"
