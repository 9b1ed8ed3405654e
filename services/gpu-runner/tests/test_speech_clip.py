"""Recordings as people send them: what is made of them, and what is refused with what reason."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from gpu_runner.speech.clip import SPEECH_LEVEL_DBFS, clipped_ratio, prepare_clip
from gpu_runner.speech.conversion import Conversion, convert
from gpu_runner.speech.sound import RATE, Samples, level, read_wav, resample
from gpu_runner.speech.speakers import likeness_of_two
from gpu_runner.stage import StageError
from numpy.typing import NDArray

SAMPLE = Path(__file__).parents[3] / "samples" / "voice.ogg"


@pytest.fixture(scope="module")
def speech() -> Samples:
    samples, rate = soundfile.read(SAMPLE, dtype="float32")
    assert rate == RATE
    return samples


def wav(path: Path, samples: NDArray[np.floating], rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, format="WAV")
    return path


def encoded(path: Path, samples: Samples, codec: str, container: str) -> Path:
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=48_000, layout="stereo")
        resampler = av.AudioResampler(stream.format, "stereo", 48_000)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        fifo = av.AudioFifo()
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            fifo.write(part)
        for part in fifo.read_many(stream.codec_context.frame_size or 1024, partial=True):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "container", "found"),
    [
        ("mp3", "mp3", "mp3"),
        ("flac", "flac", "flac"),
        ("libopus", "ogg", "ogg"),
        ("aac", "ipod", "mov"),
        ("libopus", "webm", "matroska"),
        ("pcm_s16le", "wav", "wav"),
    ],
)
def test_every_usual_kind_of_recording_becomes_the_same_clean_speech(
    codec: str, container: str, found: str, speech: Samples, tmp_path: Path
) -> None:
    source = encoded(tmp_path / "recording.bin", speech, codec, container)
    report = prepare_clip(source, tmp_path / "clip.wav")
    clip = read_wav(tmp_path / "clip.wav")
    assert report.container == found
    assert report.source_rate == 48_000
    assert report.source_seconds == pytest.approx(speech.size / RATE, abs=0.1)
    assert report.seconds == pytest.approx(clip.size / RATE)
    assert 0.6 * report.source_seconds < report.speech_seconds <= report.seconds
    # Pauses that were kept lower the mean, so the level of all is a little below speech's.
    assert SPEECH_LEVEL_DBFS - 2 < level(clip) < SPEECH_LEVEL_DBFS + 0.5
    assert np.abs(clip).max() < 0.9


def test_pauses_are_cut_and_the_noise_floor_is_reported(speech: Samples, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 10 ** (-60 / 20), 6 * RATE + speech.size)
    noise[3 * RATE : 3 * RATE + speech.size] += speech
    report = prepare_clip(wav(tmp_path / "in.wav", noise), tmp_path / "out.wav")
    assert report.seconds < speech.size / RATE + 0.5
    assert report.noise_floor_dbfs == pytest.approx(-60, abs=2)
    assert report.warnings == ()


@pytest.mark.parametrize(("gain", "warning"), [(0.01, "quiet"), (12.0, "clipped")])
def test_a_bad_recording_is_used_with_a_warning(
    gain: float, warning: str, speech: Samples, tmp_path: Path
) -> None:
    recording = np.clip(speech * gain, -1, 1)
    report = prepare_clip(wav(tmp_path / "in.wav", recording), tmp_path / "out.wav")
    assert warning in report.warnings
    assert level(read_wav(tmp_path / "out.wav")) > -26


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_a_telephones_sound_is_told_even_when_its_file_has_a_higher_rate(
    rate: int, speech: Samples, tmp_path: Path
) -> None:
    narrow = resample(speech, RATE, 8_000)
    path = wav(tmp_path / "in.wav", resample(narrow, 8_000, rate), rate)
    report = prepare_clip(path, tmp_path / "out.wav")
    assert report.warnings == ("narrow-band",)
    assert report.high_band_db < -60


def test_two_voices_in_a_clip_are_told(speech: Samples, tmp_path: Path) -> None:
    man = convert(speech, Conversion(pitch=0.5, formants=0.8))
    child = convert(speech, Conversion(pitch=1.6, formants=1.2))
    half = speech.size // 2
    dialogue = np.concatenate([man[:half], child[half:]])
    alone, both = (
        prepare_clip(wav(tmp_path / "in.wav", each), tmp_path / "out.wav")
        for each in (child, dialogue)
    )
    assert "several-voices" not in alone.warnings
    assert "several-voices" in both.warnings
    assert both.likeness_of_two < alone.likeness_of_two - 0.15


def test_a_few_odd_moments_are_no_second_voice() -> None:
    one, other = np.eye(256, dtype=np.float32)[:2]
    assert likeness_of_two(np.stack([one] * 9 + [other])) == 1
    assert likeness_of_two(np.stack([one] * 3 + [other] * 3)) == 1
    assert likeness_of_two(np.stack([one] * 5 + [other] * 5)) == pytest.approx(0)


def test_opposite_phases_in_two_channels_do_not_cancel(speech: Samples, tmp_path: Path) -> None:
    stereo = np.stack([speech, -speech], axis=1)
    report = prepare_clip(wav(tmp_path / "in.wav", stereo), tmp_path / "out.wav")
    assert report.speech_seconds > 5


def test_flat_tops_are_counted_even_when_the_recording_was_turned_down(speech: Samples) -> None:
    assert clipped_ratio(speech) == 0
    assert clipped_ratio(np.clip(speech * 10, -1, 1) * np.float32(0.3)) > 0.01


Signal = Callable[[Samples], NDArray[np.floating]]
SECONDS = np.arange(5 * RATE) / RATE


@pytest.mark.parametrize(
    ("code", "signal"),
    [
        ("clip-silent", lambda _: np.zeros(5 * RATE)),
        ("clip-too-short", lambda speech: speech[: 2 * RATE]),
        ("clip-without-speech", lambda _: np.random.default_rng(0).normal(0, 0.1, 5 * RATE)),
        ("clip-too-long", lambda _: np.zeros(601 * RATE, np.int16)),
    ],
)
def test_a_recording_that_cannot_serve_is_refused_with_a_remedy(
    code: str, signal: Signal, speech: Samples, tmp_path: Path
) -> None:
    with pytest.raises(StageError) as caught:
        prepare_clip(wav(tmp_path / "in.wav", signal(speech)), tmp_path / "out.wav")
    assert caught.value.code == code
    assert caught.value.remedy
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("hertz", [50.0, 60.0])
def test_a_voice_over_mains_hum_is_heard_and_kept_without_it(
    hertz: float, speech: Samples, tmp_path: Path
) -> None:
    """A man's recording was once refused as none of speech: the pitch found was a hum's."""
    seconds = np.arange(speech.size) / RATE
    hum = 2.0 * np.std(speech) * np.sin(2 * np.pi * hertz * seconds)
    clean = prepare_clip(wav(tmp_path / "clean.wav", speech), tmp_path / "clean-out.wav")
    report = prepare_clip(wav(tmp_path / "in.wav", speech + hum), tmp_path / "out.wav")
    assert report.median_pitch_hz == pytest.approx(clean.median_pitch_hz, rel=0.05)
    assert report.speech_seconds == pytest.approx(clean.speech_seconds, rel=0.05)
    kept = read_wav(tmp_path / "out.wav")
    power = np.abs(np.fft.rfft(kept)) ** 2
    at = np.fft.rfftfreq(kept.size, 1 / RATE)
    assert power[np.abs(at - hertz) < 1.0].max() < 1e-4 * power.max()


@pytest.mark.parametrize("hertz", [50.0, 220.0, 1000.0])
def test_a_tone_is_no_speech(hertz: float, tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * hertz * SECONDS)
    with pytest.raises(StageError) as caught:
        prepare_clip(wav(tmp_path / "in.wav", tone), tmp_path / "out.wav")
    assert caught.value.code in {"clip-without-speech", "clip-too-short", "clip-silent"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00",
        b"#EXTM3U\nfile:///etc/hostname\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        b"fLaC" + bytes(200),
        b"OggS" + bytes(200),
    ],
)
def test_what_is_no_sound_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    path.write_bytes(content)
    with pytest.raises(StageError) as caught:
        prepare_clip(path, tmp_path / "out.wav")
    assert caught.value.code == "not-audio"


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(StageError) as caught:
        prepare_clip(path, tmp_path / "out.wav")
    assert caught.value.code == "not-audio"


def test_a_recording_that_breaks_off_is_used_as_far_as_it_goes(
    speech: Samples, tmp_path: Path
) -> None:
    whole = encoded(tmp_path / "whole.mp3", speech, "mp3", "mp3").read_bytes()
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole[: len(whole) // 2])
    report = prepare_clip(cut, tmp_path / "out.wav")
    assert report.source_seconds == pytest.approx(speech.size / RATE / 2, rel=0.1)


def test_the_report_is_plain_json_without_names(speech: Samples, tmp_path: Path) -> None:
    report = prepare_clip(wav(tmp_path / "secret-name.wav", speech), tmp_path / "out.wav")
    metrics = report.metrics()
    assert "secret" not in str(metrics)
    assert all(isinstance(value, int | float | str | list) for value in metrics.values())
