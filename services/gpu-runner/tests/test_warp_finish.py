"""A video with all that can be asked for, and the measures that say what came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from gpu_runner.engines.warp.finish import Finish, captions_of, faded
from gpu_runner.engines.warp.measure import lag
from gpu_runner.engines.warp.render_video import Params, run
from gpu_runner.engines.warp.timings import Phoneme, Timings, Word
from gpu_runner.faces.crops import widest_face
from gpu_runner.media.animation import Animation
from gpu_runner.stage import StageContext, StageError, StageResult
from numpy.typing import NDArray
from PIL import Image
from test_warp_render import RATE, context, decoded, drawing

TUNE = 1000.0


def timings(duration: float = 3.0) -> Timings:
    return Timings(
        sample_rate=RATE,
        duration=duration,
        phonemes=(Phoneme(symbol="a", start=0.5, end=duration - 0.2),),
        words=(Word(text="Ah.", start=0.5, end=duration - 0.2),),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[StageContext, StageResult]:
    folder = tmp_path_factory.mktemp("finished")
    params = Params(
        aspect="16:9",
        size=256,
        fade_s=0.3,
        background_blur=0.6,
        burn_subtitles=True,
        mark="AI generated",
        crf=24,
    )
    here = context(folder, drawing("3-office"), params)
    time = np.arange(2 * RATE) / RATE
    soundfile.write(folder / "music.flac", 0.4 * np.sin(2 * np.pi * TUNE * time), RATE)
    (folder / "some.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nHappy to meet you\n")
    extra = {"music": [folder / "music.flac"], "subtitles": [folder / "some.vtt"]}
    here = replace(here, inputs={**here.inputs, **extra})
    return here, run(here)


def test_all_wishes_come_true_in_one_video(finished: tuple[StageContext, StageResult]) -> None:
    _, result = finished
    frames = decoded(result.outputs["video"][0])
    assert frames[0].shape == (256, 456, 3)
    assert frames[0].mean() < 0.2 * frames[20].mean()
    assert frames[-1].mean() < 0.2 * frames[20].mean()
    lower = [frame[190:245].max(axis=-1) for frame in frames]
    letters = [(row > 235).sum() for row in lower]
    assert letters[37] > letters[15] + 150
    assert letters[60] < letters[15] + 50


def test_a_mark_is_seen_from_the_first_frame_to_the_last_and_on_the_poster(
    finished: tuple[StageContext, StageResult],
) -> None:
    _, result = finished
    frames = decoded(result.outputs["video"][0])
    poster = np.asarray(Image.open(result.outputs["poster"][0]).convert("RGB"))
    with Image.open(result.outputs["animation"][0]) as moving:
        shown = np.asarray(moving.convert("RGB"))
    for picture in (frames[0], frames[30], frames[-1], poster, shown):
        height, width = picture.shape[:2]
        third = width // 3
        edges = np.abs(np.diff(picture[: height // 8].mean(axis=2), axis=1)) > 60
        assert edges[:, -third:].sum() > 40
        assert edges[:, :third].sum() == 0


def test_music_is_heard_beneath_the_speech(finished: tuple[StageContext, StageResult]) -> None:
    _, result = finished
    with av.open(str(result.outputs["video"][0])) as container:
        rate = container.streams.audio[0].rate
        heard = np.concatenate(
            [frame.to_ndarray()[0] for frame in container.decode(container.streams.audio[0])]
        )
    turn = np.exp(-2j * np.pi * TUNE * np.arange(len(heard)) / rate)
    middle = slice(rate, 4 * rate)
    tune = 20 * np.log10(2 * np.abs((heard * turn)[middle].mean()) / np.sqrt(2))
    speech = 10 * np.log10(np.mean(heard[middle] ** 2))
    assert -30 < tune - speech < -10


def test_every_render_measures_itself(finished: tuple[StageContext, StageResult]) -> None:
    _, result = finished
    metrics = result.metrics
    assert abs(metrics["lag_frames"]) < 2
    assert abs(metrics["lag_intended_frames"]) < 0.75
    assert metrics["stream_difference_seconds"] <= 0.05
    assert metrics["shut_in_pauses"] > 0.8
    assert metrics["pbm_closed"] == round(metrics["closed_at_pbm"] * metrics["pbm_seen"])
    assert metrics["pbm_seen"] == 9
    assert metrics["flicker_background"] < 0.1
    told = json.loads(result.outputs["report"][0].read_text("utf-8"))["metrics"]
    assert told == json.loads(json.dumps(metrics))


def test_the_poster_is_a_plain_frame_of_full_size(
    finished: tuple[StageContext, StageResult],
) -> None:
    _, result = finished
    poster = np.asarray(Image.open(result.outputs["poster"][0]))
    assert poster.shape == (256, 456, 3)
    widest_face(poster, "the poster")


def test_the_animation_is_short_small_and_moves(
    finished: tuple[StageContext, StageResult],
) -> None:
    _, result = finished
    (path,) = result.outputs["animation"]
    assert path.stat().st_size < 300_000
    with Image.open(path) as image:
        assert image.format == "WEBP"
        assert image.size == (428, 240)
        count = image.n_frames
        seconds = 0.0
        pictures = []
        for number in range(count):
            image.seek(number)
            pictures.append(np.asarray(image.convert("RGB")).astype(int))
            seconds += image.info["duration"] / 1000
    assert 2.5 < seconds < 3.5
    assert max(np.abs(one - pictures[0]).max() for one in pictures) > 40


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (10, 5), (500, 38)])
def test_an_animation_takes_what_a_short_video_has(tmp_path: Path, count: int, kept: int) -> None:
    animation = Animation(count, 25, 0.3)
    rng = np.random.default_rng(1)
    for index in range(count):
        animation.see(index, rng.integers(0, 255, (16, 16, 3), dtype=np.uint8))
    with Image.open(animation.write(tmp_path / "a.webp")) as image:
        assert getattr(image, "n_frames", 1) == kept


@pytest.mark.parametrize("late", [-2, 0, 3])
def test_a_lag_is_found_whatever_its_direction(late: int) -> None:
    rng = np.random.default_rng(3)
    expected = np.convolve(rng.standard_normal(200), np.hanning(7), "same")
    at = list(range(0, 200, 3))
    seen = np.roll(expected, late)[at] + 0.1 * rng.standard_normal(len(at))
    found = lag(seen, at, expected)
    assert found is not None
    assert found == pytest.approx(late, abs=0.3)


def test_there_is_no_lag_where_nothing_moves() -> None:
    assert lag(np.zeros(50), range(50), np.zeros(50)) is None
    assert lag(np.zeros(2), range(2), np.arange(2.0)) is None


def test_fading_takes_no_word_away() -> None:
    sound = np.ones(3 * RATE, np.float32)
    quiet = faded(sound, RATE, timings(), 2.0)
    assert quiet[0] == 0
    assert np.all(quiet[RATE // 2 : round(2.8 * RATE)] == 1)
    assert np.array_equal(faded(sound, RATE, timings(), 0.0), sound)


def test_a_frame_in_the_middle_is_handed_on_untouched() -> None:
    frame = np.full((8, 8, 3), 200, np.uint8)
    finish = Finish(50, 25, 0.4, None)
    assert finish(25, frame) is frame
    light: list[float] = [float(finish(index, frame).mean()) for index in range(50)]
    assert light[:11] == sorted(light[:11])
    assert light[:10] == light[:-11:-1]
    assert frame.min() == 200


def test_subtitles_come_from_the_words_where_there_is_no_file() -> None:
    assert [cue.text for cue in captions_of(timings(), None, 256, 256).cues] == ["Ah."]
    silent = timings().model_copy(update={"words": ()})
    with pytest.raises(StageError) as refusal:
        captions_of(silent, None, 256, 256)
    assert refusal.value.code == "subtitles-missing"


def test_broken_music_and_subtitles_are_refused_before_anything_is_rendered(
    tmp_path: Path,
) -> None:
    portrait: NDArray[np.uint8] = drawing()
    here = context(tmp_path, portrait, Params(burn_subtitles=True))
    wrong = tmp_path / "wrong"
    wrong.write_text("no such thing", "utf-8")
    for name, code in (("music", "music-unreadable"), ("subtitles", "subtitles-unreadable")):
        with pytest.raises(StageError) as refusal:
            run(replace(here, inputs={**here.inputs, name: [wrong]}))
        assert refusal.value.code == code
    assert list(here.output.iterdir()) == []
