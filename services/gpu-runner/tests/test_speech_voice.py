"""The real models: what they say is understood, timed exactly, and changed as asked."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gpu_runner.speech import activity
from gpu_runner.speech.colouring import coloured
from gpu_runner.speech.conversion import (
    BANDS_HZ,
    LIMIT_DB,
    SHAPES,
    Conversion,
    analyse,
    convert,
    gains_db,
    median_pitch,
    shapes,
)
from gpu_runner.speech.kokoro import Kokoro, base_voices
from gpu_runner.speech.narrator import LEVEL_DBFS, Manner, Said, Speech, grouped, narrate, speak
from gpu_runner.speech.phonemes import pronounce
from gpu_runner.speech.profile import VoiceProfile, load_profile, save_profile
from gpu_runner.speech.recognizer import Recognizer, spoken_word_error_rate
from gpu_runner.speech.script import read_script
from gpu_runner.speech.search import Axis, climb
from gpu_runner.speech.sound import RATE, Samples, Take, level, read_wav
from gpu_runner.speech.speaker import SpeakerEncoder, similarity
from gpu_runner.stage import StageError
from safetensors import safe_open
from safetensors.numpy import save_file

SAMPLE = Path(__file__).parents[3] / "samples" / "voice.ogg"
TEXT = "On the 3rd of May, we paid $5 for maps. Peter brought both of them home."


@pytest.fixture(scope="module")
def kokoro() -> Kokoro:
    return Kokoro()


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    return SpeakerEncoder()


def packaged(name: str, conversion: Conversion | None = None) -> VoiceProfile:
    bases = tuple(base_voices())
    weights = np.array([name == base for base in bases], np.float32)
    return VoiceProfile(
        bases=bases,
        timbre=weights,
        prosody=weights,
        offset=np.zeros(256, np.float32),
        conversion=conversion or Conversion(),
        target=np.full(256, 1 / 16, np.float32),
    )


@pytest.fixture(scope="module")
def speech(kokoro: Kokoro) -> Speech:
    return narrate(read_script(TEXT.encode()), packaged("jf_nezumi"), kokoro)


def sound_of(speech: Speech, start: float, end: float) -> Samples:
    return speech.samples[round(start * RATE) : round(end * RATE)]


def test_a_listener_understands_what_was_written(speech: Speech) -> None:
    heard = Recognizer().transcribe(speech.samples)
    assert spoken_word_error_rate(speech.spoken_words, heard) <= 0.2


def test_timings_cover_the_sound_exactly(speech: Speech) -> None:
    timings = speech.timeline.as_json()
    phonemes = timings["phonemes"]
    assert timings["duration"] == pytest.approx(speech.samples.size / RATE, abs=1e-4)
    assert phonemes[0]["start"] == 0
    assert phonemes[-1]["end"] == timings["duration"]
    total = sum(phoneme["end"] - phoneme["start"] for phoneme in phonemes)
    assert total == pytest.approx(timings["duration"], abs=1e-3)
    assert [word["text"] for word in timings["words"]] == TEXT.split()


def test_vowels_are_loud_and_silences_quiet_where_the_timings_say_so(speech: Speech) -> None:
    spans = speech.timeline.phonemes
    vowels = [sound_of(speech, s.start, s.end) for s in spans if s.text and s.text in "AIOæɛu"]
    # The first and last moments of a silence belong to the sounds beside it.
    silences = [
        sound_of(speech, s.start + 0.1, s.end - 0.1)
        for s in spans
        if not s.text and s.end - s.start > 0.3
    ]
    assert len(vowels) > 5
    assert len(silences) > 1
    assert min(map(level, vowels)) > max(map(level, silences)) + 20


def test_speed_shortens_the_speech_and_keeps_its_pitch(kokoro: Kokoro) -> None:
    sentences = read_script(b"Slow and steady wins the race.")
    slow = narrate(sentences, packaged("jm_kumo"), kokoro, Manner(speed=0.8))
    fast = narrate(sentences, packaged("jm_kumo"), kokoro, Manner(speed=1.3))
    assert fast.timeline.duration < 0.8 * slow.timeline.duration
    pitches = [median_pitch(analyse(speech.samples)) for speech in (slow, fast)]
    assert pitches[0] == pytest.approx(pitches[1], rel=0.15)


def test_pitch_moves_by_semitones_without_clicks_and_nothing_else_changes(
    kokoro: Kokoro, speech: Speech
) -> None:
    sentences = read_script(TEXT.encode())
    higher = narrate(sentences, packaged("jf_nezumi"), kokoro, Manner(semitones=3))
    assert higher.timeline == speech.timeline
    plain, shifted = (median_pitch(analyse(each.samples)) for each in (speech, higher))
    assert shifted / plain == pytest.approx(2 ** (3 / 12), rel=0.04)
    steepest, steeper = (np.abs(np.diff(each.samples)).max() for each in (speech, higher))
    assert steeper < 2 * steepest


def test_pauses_between_sentences_last_as_asked(kokoro: Kokoro) -> None:
    sentences = read_script(b"We came. We saw.\n\nWe left.")
    pauses = {}
    for factor in (0.5, 1.0, 2.0):
        speech = narrate(sentences, packaged("jm_kumo"), kokoro, Manner(pause=factor))
        words = speech.timeline.words
        pauses[factor] = [words[at + 1].start - words[at].end for at in (1, 3)]
        phonemes = speech.timeline.phonemes
        assert all(a.end == pytest.approx(b.start) for a, b in itertools.pairwise(phonemes))
        assert phonemes[-1].end == pytest.approx(speech.samples.size / RATE)
    for short, usual, long in zip(*(pauses[factor] for factor in (0.5, 1.0, 2.0)), strict=True):
        # Before its first word a sentence has a breath of its own, which no factor changes.
        assert (long - usual) == pytest.approx(2 * (usual - short), abs=0.03)
    assert pauses[1.0][0] == pytest.approx(0.475, abs=0.05)
    assert pauses[1.0][1] == pytest.approx(0.825, abs=0.05)


def test_each_sentence_is_handed_on_as_it_sounds_and_together_they_are_the_speech(
    kokoro: Kokoro, speech: Speech, tmp_path: Path
) -> None:
    take = Take(tmp_path / "raw.f32")
    numbers = []

    def heard(number: int, samples: Samples) -> None:
        numbers.append(number)
        take.append(samples)

    told = speak(read_script(TEXT.encode()), packaged("jf_nezumi"), kokoro, heard)
    take.write_wav(tmp_path / "speech.wav", LEVEL_DBFS)
    assert numbers == [1, 2]
    assert told.said[0].end < told.said[1].start < told.said[1].end < told.timeline.duration
    written = read_wav(tmp_path / "speech.wav")
    np.testing.assert_allclose(written, speech.samples, atol=1e-4)
    np.testing.assert_array_equal(
        read_wav(tmp_path / "speech.wav", 0.5, 1.5), written[RATE // 2 : RATE * 3 // 2]
    )
    assert not (tmp_path / "raw.f32").exists()


def test_a_long_speech_is_listened_to_in_groups_of_whole_sentences() -> None:
    ends = [20.0, 50.0, 59.0, 70.0, 200.0, 201.0]
    said = [Said((str(end),), start, end) for start, end in zip([0.0, *ends], ends, strict=False)]
    groups = [[sentence.end for sentence in group] for group in grouped(said, 60.0)]
    assert groups == [[20.0, 50.0, 59.0], [70.0], [200.0], [201.0]]
    assert list(grouped([], 60.0)) == []


def test_a_sentence_longer_than_the_model_takes_is_spoken_whole(kokoro: Kokoro) -> None:
    text = "We count two, three, four, and five hundred of them."
    (sentence,) = read_script(text.encode())
    assert len(pronounce(sentence.read).symbols) > 30
    speech = narrate([sentence], packaged("jf_tebukuro"), kokoro, longest=30)
    spans = speech.timeline.phonemes
    assert spans[-1].end == pytest.approx(speech.samples.size / RATE)
    assert all(a.end == pytest.approx(b.start) for a, b in itertools.pairwise(spans))
    assert len(speech.timeline.words) == len(text.split())


@pytest.fixture(scope="module")
def voice() -> Samples:
    samples, _ = soundfile.read(SAMPLE, dtype="float32")
    return samples[: 4 * RATE]


def test_no_conversion_leaves_the_sound_untouched(voice: Samples) -> None:
    assert convert(voice, Conversion()) is voice


def test_a_conversion_changes_pitch_by_its_factor_and_not_the_length(voice: Samples) -> None:
    lower = convert(voice, Conversion(pitch=0.75))
    assert lower.size == voice.size
    assert median_pitch(analyse(lower)) == pytest.approx(
        0.75 * median_pitch(analyse(voice)), rel=0.05
    )


def test_the_equaliser_raises_the_band_it_names(voice: Samples) -> None:
    gains = [0.0] * len(BANDS_HZ)
    gains[8] = 10.0
    plain, raised = (
        np.abs(np.fft.rfft(convert(voice, Conversion(melody=melody, equaliser_db=tuple(g)))))
        for melody, g in ((0.999, [0.0] * len(BANDS_HZ)), (0.999, gains))
    )
    hertz = np.fft.rfftfreq(voice.size, 1 / RATE)

    def gain_near(centre: float) -> float:
        near = (hertz > centre * 0.97) & (hertz < centre * 1.03)
        return float(10 * np.log10(np.sum(raised[near] ** 2) / np.sum(plain[near] ** 2)))

    assert gain_near(BANDS_HZ[8]) == pytest.approx(9, abs=2)
    assert gain_near(BANDS_HZ[5]) == pytest.approx(0, abs=1)


def test_shading_colours_one_sound_otherwise_than_another(voice: Samples) -> None:
    shading = np.zeros((SHAPES, len(BANDS_HZ)))
    shading[0] = np.linspace(2.0, -2.0, len(BANDS_HZ))
    analysis = analyse(voice)
    conversion = Conversion(shading_db=tuple(map(tuple, shading.tolist())))
    gains = gains_db(analysis, conversion)
    hiss = shapes(analysis)[:, 0] < -1  # its upper bands are the louder ones
    assert hiss.any()
    assert gains[hiss, -1].min() > 2 > -2 > gains[hiss, 0].max()
    assert np.abs(gains).max() <= LIMIT_DB
    softer, within = gains_db(analysis, conversion.softened(0.5)), np.abs(gains) < LIMIT_DB
    np.testing.assert_allclose(softer[within], gains[within] / 2)
    assert np.abs(convert(voice, conversion) - convert(voice, Conversion(melody=0.999))).max() > 0.1


def test_colour_that_follows_the_encoders_gradient_sounds_more_like_the_target(
    voice: Samples, encoder: SpeakerEncoder
) -> None:
    wanted = encoder.embed(convert(voice, Conversion(pitch=1.3, formants=1.2)))
    start, scores = Conversion(pitch=1.3), []
    found = coloured([analyse(voice)], start, wanted, encoder, steps=12, stepped=scores.append)
    before, after = (
        similarity(encoder.embed(convert(voice, each)), wanted) for each in (start, found)
    )
    assert len(scores) == 12
    # What was promised without the vocoder holds with it.
    assert after == pytest.approx(max(scores), abs=0.05)
    assert after > before + 0.05
    assert found.softened(0.0) == start


def test_the_encoder_tells_speakers_apart(encoder: SpeakerEncoder, voice: Samples) -> None:
    whole, _ = soundfile.read(SAMPLE, dtype="float32")
    other = convert(voice, Conversion(pitch=0.6, formants=0.85))
    same = similarity(encoder.embed(voice), encoder.embed(whole[6 * RATE :]))
    different = similarity(encoder.embed(voice), encoder.embed(other))
    assert same > 0.8 > different
    assert np.linalg.norm(encoder.embed(voice)) == pytest.approx(1, abs=1e-5)


def test_a_profile_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    equaliser = tuple(float(band % 5 - 2) for band in range(len(BANDS_HZ)))
    shading = tuple(tuple(gain * row for gain in equaliser) for row in range(SHAPES))
    profile = packaged("jm_kumo", Conversion(0.9, 1.1, 1.05, equaliser, shading))
    save_profile(tmp_path / "voice.safetensors", profile)
    loaded = load_profile(tmp_path / "voice.safetensors")
    assert loaded.conversion == profile.conversion
    assert loaded.bases == profile.bases
    np.testing.assert_array_equal(loaded.style(), profile.style())
    np.testing.assert_array_equal(loaded.style(), base_voices()["jm_kumo"])


def test_a_profile_of_the_first_version_still_speaks(tmp_path: Path) -> None:
    conversion = Conversion(0.9, 1.1, 1.05, (3.0,) * len(BANDS_HZ))
    save_profile(tmp_path / "new.safetensors", packaged("jm_kumo", conversion))
    with safe_open(tmp_path / "new.safetensors", framework="numpy") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del tensors["shading_db"]
    save_file(tensors, tmp_path / "old.safetensors", metadata=header | {"version": "1"})
    assert load_profile(tmp_path / "old.safetensors").conversion == conversion
    save_file(tensors, tmp_path / "next.safetensors", metadata=header | {"version": "3"})
    with pytest.raises(StageError) as caught:
        load_profile(tmp_path / "next.safetensors")
    assert caught.value.code == "voice-profile-too-new"


@pytest.mark.parametrize("content", [b"", b"not a profile", b"\x80\x04\x95pickle" * 20])
def test_a_file_that_is_no_profile_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    path.write_bytes(content)
    with pytest.raises(StageError) as caught:
        load_profile(path)
    assert caught.value.code == "voice-profile-invalid"


def test_a_profile_with_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    profile = packaged("jm_kumo")
    profile.offset[3] = np.nan
    save_profile(tmp_path / "voice.safetensors", profile)
    with pytest.raises(StageError, match="not finite"):
        load_profile(tmp_path / "voice.safetensors")


def test_climbing_finds_the_top_within_its_tries() -> None:
    tried: list[tuple[float, ...]] = []

    def score(point: tuple[float, ...]) -> float:
        tried.append(point)
        return -((point[0] - 0.7) ** 2) - (point[1] + 0.3) ** 2

    best = climb(score, [(0.0, 0.0), (-1.0, 1.0)], [Axis(-1, 1, 0.5)] * 2, tries=60, finest=0.01)
    assert best.point == pytest.approx((0.7, -0.3), abs=0.03)
    assert len(tried) == len(set(tried)) == best.tries <= 60


def test_pitch_is_found_in_a_voice(voice: Samples) -> None:
    pitch = activity.pitch(voice)
    assert 150 < np.median(pitch[pitch > 0]) < 260


def test_naming_the_parameters_loads_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from gpu_runner.engines.world import synthesize_speech, train_voice\n"
        "heavy = {'torch', 'numpy', 'onnxruntime', 'gruut', 'faster_whisper', 'librosa'}\n"
        "assert not heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
