# ruff: noqa: RUF001 - phonemes are written in IPA
"""From phonemes to the mouth's movement, without any picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gpu_runner.engines.warp.articulation import LEAD, articulate
from gpu_runner.engines.warp.motion import blink_times, blinks, live
from gpu_runner.engines.warp.timings import Phoneme, Timings, read_timings
from gpu_runner.engines.warp.visemes import Pose, is_known, segments
from gpu_runner.stage import StageError
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

RATE, FPS = 24_000, 25


def spoken(symbols: str, each: float = 0.09, lead_in: float = 0.3, tail: float = 0.4) -> Timings:
    """`symbols` one after the other, a blank being a pause of 0.4 s."""
    at, phonemes = lead_in, []
    for symbol in symbols:
        length = 0.4 if symbol == " " else each
        phonemes.append(Phoneme(symbol=symbol.strip(), start=at, end=at + length))
        at += length
    return Timings(sample_rate=RATE, duration=at + tail, phonemes=tuple(phonemes))


def hum(timings: Timings) -> NDArray[np.float32]:
    """A sound that is loud exactly while phonemes sound."""
    time = np.arange(int(timings.duration * RATE)) / RATE
    loud = np.zeros_like(time)
    for phoneme in timings.phonemes:
        if phoneme.symbol:
            loud[(time >= phoneme.start) & (time < phoneme.end)] = 1.0
    return (0.3 * loud * np.sin(2 * np.pi * 140 * time)).astype(np.float32)


def track(timings: Timings, fps: int = FPS):
    return articulate(timings, hum(timings), RATE, fps, int(np.ceil(timings.duration * fps)))


def frames_between(start: float, end: float, fps: int = FPS) -> NDArray[np.intp]:
    times = (np.arange(2000) + 0.5) / fps
    return np.flatnonzero((times >= start) & (times <= end))


def test_an_open_vowel_opens_wider_than_a_close_one() -> None:
    timings = spoken("tɑtɛtɪtut", each=0.2)
    mouth = track(timings)
    opening = {
        phoneme.symbol: mouth.opening[frames_between(phoneme.start, phoneme.end)].max()
        for phoneme in timings.phonemes
    }
    assert opening["ɑ"] > opening["ɛ"] > opening["u"]


@pytest.mark.parametrize("consonant", ["p", "b", "m"])
@pytest.mark.parametrize("fps", [25, 30])
def test_lips_close_at_p_b_and_m_even_in_fast_speech(consonant: str, fps: int) -> None:
    timings = spoken(f"ɑ{consonant}ɑ{consonant}ɑ", each=0.06)
    mouth = track(timings, fps)
    for phoneme in timings.phonemes:
        if phoneme.symbol == consonant:
            near = frames_between(phoneme.start - LEAD - 0.01, phoneme.end - LEAD + 0.01, fps)
            assert mouth.opening[near].min() < 0.004


def test_lips_do_not_close_at_other_consonants() -> None:
    mouth = track(spoken("ɑkɑkɑ", each=0.06))
    assert mouth.opening[frames_between(0.36, 0.52)].min() > 0.02


def test_the_mouth_is_shut_in_pauses() -> None:
    timings = spoken("hɑlo wɜld")
    mouth = track(timings)
    pauses = timings.pauses(0.15)
    assert len(pauses) == 3
    for start, end in pauses:
        inside = frames_between(start + 0.09, end - 0.13)
        assert inside.size
        assert mouth.opening[inside].max() < 0.002


def test_the_mouth_moves_before_the_sound() -> None:
    timings = spoken("ɑ", each=0.2)
    mouth = track(timings)
    assert mouth.opening[frames_between(0.24, 0.30)].max() > 0.01


def test_rounding_spreads_over_consonants() -> None:
    rounded = track(spoken("tsu", each=0.08)).column("round")
    assert rounded[frames_between(0.30, 0.42)].max() > 0.4


def test_quiet_speech_opens_less_within_a_sentence() -> None:
    timings = spoken("ɑtɑtɑtɑtɑtɑt", each=0.12)
    sound = hum(timings)
    sound[len(sound) // 2 :] *= 0.05
    count = int(timings.duration * FPS)
    opening = articulate(timings, sound, RATE, FPS, count).opening
    assert opening[: count // 2].max() > 1.2 * opening[count // 2 + 4 :].max()


def test_every_symbol_of_the_voice_has_a_mouth() -> None:
    symbols = "AIOWYʤʧɹɜəɐɪʊɑɔʌæɛiupbmfvθðszʃʒtdkɡnŋlwjhˈˌ"
    assert all(is_known(symbol) for symbol in symbols)
    assert not is_known("☃")


def test_a_diphthong_is_two_mouths_in_its_time() -> None:
    parts = list(segments([Phoneme(symbol="O", start=1.0, end=1.2)]))
    assert [part.start for part in parts] == [1.0, pytest.approx(1.11)]
    assert parts[-1].end == pytest.approx(1.2)
    assert parts[0].viseme.pose.round < parts[1].viseme.pose.round


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="pbmɑiuszfkO ☃", min_size=1, max_size=25), st.floats(0.02, 0.3))
def test_any_speech_gives_a_track_within_bounds(symbols: str, each: float) -> None:
    timings = spoken(symbols, each=each)
    mouth = track(timings)
    assert mouth.pose.shape == (len(mouth.opening), len(Pose._fields))
    assert np.isfinite(mouth.pose).all()
    assert mouth.pose.min() >= 0
    assert mouth.pose.max() <= 1.15
    assert (mouth.opening <= 0.21).all()


def test_a_timing_file_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    for text in ("{}", "no json", '{"sample_rate":24000,"duration":1,"phonemes":[]}'):
        path.write_text(text)
        with pytest.raises(StageError) as refusal:
            read_timings(path)
        assert refusal.value.code == "timings-unreadable"


def test_blinks_come_every_few_seconds_and_prefer_pauses() -> None:
    pauses = [(at, at + 0.4) for at in np.arange(1.0, 60.0, 1.6)]
    for seed in range(5):
        moments = np.array(blink_times(60.0, pauses, np.random.default_rng(seed)))
        assert 10 <= len(moments) <= 22
        assert ((np.diff(moments) > 0.9) & (np.diff(moments) < 6.0)).all()
        assert np.allclose((moments - 1.2) % 1.6 % 1.599, 0, atol=0.01)
        assert len(blink_times(60.0, [], np.random.default_rng(seed))) >= 10


@pytest.mark.parametrize("fps", [25, 30])
def test_every_blink_shows_the_eyes_shut_in_some_frame(fps: int) -> None:
    time = (np.arange(300) + 0.5) / fps
    for moment in np.linspace(2.0, 2.04, 9):
        assert blinks(time, [float(moment)]).max() > 0.97


def test_movement_is_small_slow_and_repeatable() -> None:
    loud = np.abs(np.sin(np.arange(750) / 9))
    first, again = (live(loud, [], FPS, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.yaw, again.yaw)
    assert 0.8 < first.yaw.std() < 3.5
    assert np.abs(first.yaw).max() < 8
    assert np.abs(np.diff(first.yaw)).max() < 0.6
    assert abs(first.yaw[0]) < 0.05
