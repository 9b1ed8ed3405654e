"""Music under speech, measured by its own frequency in the mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from gpu_runner.media.music import PEAK, RISE, lay_under, looped, ramps, read_music
from gpu_runner.stage import StageError
from numpy.typing import NDArray

RATE = 16_000
TONE = 440.0


def tone(seconds: float, hertz: float, level: float = 0.3) -> NDArray[np.float32]:
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def strength(sound: NDArray[np.float32], hertz: float, start: float, end: float) -> float:
    """Level in dB of one frequency between two times."""
    part = sound[round(start * RATE) : round(end * RATE)].astype(np.float64)
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / RATE)
    return float(20 * np.log10(np.abs((part * turn).mean()) * 2 + 1e-9))


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    quiet = np.zeros(4 * RATE, np.float32)
    return np.concatenate([tone(4, 150), quiet, tone(4, 150)])


def test_music_is_under_speech_and_comes_up_in_pauses(speech: NDArray[np.float32]) -> None:
    mix = lay_under(speech, tone(3, TONE, 0.9), RATE, -20.0)
    said = strength(mix, 150, 1.5, 3)
    spoken, paused = strength(mix, TONE, 1.5, 3), strength(mix, TONE, 5.5, 6.5)
    assert said == pytest.approx(20 * np.log10(0.3), abs=0.3)
    assert spoken - said == pytest.approx(-20, abs=1.5)
    assert paused - spoken == pytest.approx(RISE, abs=1.5)


def test_the_level_does_not_depend_on_how_loud_the_music_is(speech: NDArray[np.float32]) -> None:
    loud, soft = (lay_under(speech, tone(3, TONE, level), RATE, -12.0) for level in (0.9, 0.01))
    assert np.abs(loud - soft).max() < 0.01


def test_music_begins_and_ends_in_silence(speech: NDArray[np.float32]) -> None:
    mix = lay_under(np.zeros_like(speech), tone(3, TONE), RATE, 0.0)
    assert len(mix) == len(speech)
    assert np.abs(mix[:20]).max() < 0.01
    assert np.abs(mix[-20:]).max() < 0.01
    assert np.abs(mix).max() > 0.05


def test_a_loop_has_no_gap_and_no_click() -> None:
    bed = looped(tone(2.37, TONE), 10 * RATE, RATE)
    level = np.sqrt(np.convolve(bed**2, np.ones(800) / 800, "valid"))
    # Two copies of a single tone may weaken each other where they overlap; a silence would be 0.
    assert level.min() > 0.02
    assert np.abs(np.diff(bed)).max() < 0.12
    assert len(bed) == 10 * RATE


def test_the_mix_is_never_clipped(speech: NDArray[np.float32]) -> None:
    mix = lay_under(speech * 3.2, tone(3, TONE, 0.9), RATE, 0.0)
    assert np.abs(mix).max() <= PEAK + 1e-6


def test_ramps_are_half_the_length_at_most() -> None:
    assert ramps(100, 10, 0.0, 0.0).tolist() == [1.0] * 100
    gain = ramps(100, 10, 60.0, 60.0)
    assert gain[0] == gain[-1] == 0
    assert gain.argmax() in {49, 50}


def test_compressed_stereo_is_read_at_the_rate_wanted(tmp_path: Path) -> None:
    both = np.stack([tone(2, TONE), tone(2, TONE)], axis=1)
    for name in ("a.flac", "a.ogg", "a.mp3"):
        soundfile.write(tmp_path / name, both, RATE)
        music = read_music(tmp_path / name, 48_000)
        assert len(music) == pytest.approx(2 * 48_000, rel=0.05)
        assert np.abs(music).max() == pytest.approx(0.3, abs=0.05)


def test_what_is_no_music_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("la la la", "utf-8")
    soundfile.write(tmp_path / "silent.wav", np.zeros(2 * RATE), RATE)
    soundfile.write(tmp_path / "short.wav", tone(0.2, TONE), RATE)
    for name in ("text.mp3", "silent.wav", "short.wav"):
        with pytest.raises(StageError) as refusal:
            read_music(tmp_path / name, RATE)
        assert refusal.value.code == "music-unreadable"
        assert "voice" not in refusal.value.cause


def test_music_of_more_than_ten_minutes_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.tile(tone(1, 50), 601), RATE)
    with pytest.raises(StageError) as refusal:
        read_music(tmp_path / "long.flac", RATE)
    assert refusal.value.code == "music-too-long"
