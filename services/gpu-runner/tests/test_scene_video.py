# ruff: noqa: RUF001 - phonemes are written in IPA
"""Moving scenes: models of random weights for the drawing, a portrait that sways for the mouth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts.stagelog import Level
from gpu_runner.engines import ENGINES
from gpu_runner.engines.i2v import drawing as drawn_scenes
from gpu_runner.engines.i2v.drawing import Model, require_room
from gpu_runner.engines.i2v.families import LTX, SVD, WAN, open_source
from gpu_runner.engines.i2v.params import Params
from gpu_runner.engines.i2v.render_video import run, take_of
from gpu_runner.engines.i2v.timing import positions
from gpu_runner.engines.i2v.tracking import follow
from gpu_runner.engines.warp import measure
from gpu_runner.engines.warp.film import film, read_script
from gpu_runner.engines.warp.inputs import read_sitter
from gpu_runner.faces.mesh import find_meshes
from gpu_runner.stage import StageContext, StageError, StageResult
from mini_support import Memory
from numpy.typing import NDArray
from test_warp_render import context, decoded, drawing, woman
from video_support import swaying, tokenize_as_published, write_ltx, write_svd, write_wan

RATE = 7.0
SMALL = {"size": 256, "scene_side": 128, "pictures": 5, "steps": 1}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models so small are only slowed down by threads that wait for each other."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_warp_render.SENTENCE", "mɑmɑ bɑ")


@pytest.fixture(scope="module")
def svd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_svd(tmp_path_factory.mktemp("svd"))


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[StageContext, StageResult]:
    """A swaying portrait that speaks."""
    folder = tmp_path_factory.mktemp("filmed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("test_warp_render.SENTENCE", "mɑmɑ bɑ  pɑp tu bɑ")
        here = context(folder, woman(), Params(size=256))  # type: ignore[arg-type]
    speech = read_script(here)
    sitter = read_sitter(here.one("portrait"), "1:1", 256)
    take, told = take_of(here, sitter, speech, swaying(sitter.canvas, 6), RATE)
    return here, film(here, speech, take, 0.0, lambda *_: None, told=told)


def test_a_scene_runs_there_and_back_without_a_jerk() -> None:
    at = positions(200, 25, 15, RATE)
    steps = np.diff(at)
    assert at[0] < 1
    assert at.min() >= 0
    assert 13 < at.max() <= 14
    assert np.abs(steps).max() <= RATE / 25 + 1e-9
    # Never from one direction into the other within a frame.
    assert np.abs(np.diff(steps)).max() < 0.3 * RATE / 25
    assert (np.sign(steps[10]), np.sign(steps[70]), np.sign(steps[120])) == (1, -1, 1)
    assert not positions(50, 25, 1, RATE).any()
    assert positions(10, 25, 97, 25.0)[9] == pytest.approx(9, abs=0.01)


def test_the_mouth_follows_the_speech_on_a_face_that_moves(
    filmed: tuple[StageContext, StageResult],
) -> None:
    _, result = filmed
    told = result.metrics
    assert (told["scene"], told["scene_pictures"], told["scene_followed"]) == ("moving", 6, 6)
    assert told["opening_vs_intended"] > 0.75
    assert abs(told["lag_intended_frames"]) < 1
    assert told["closed_at_pbm"] > 0.8
    assert abs(told["opening_in_pauses"]) < 0.012
    assert told["identity_distance"] < 0.5


def test_the_video_shows_the_scene_and_has_all_that_other_videos_have(
    filmed: tuple[StageContext, StageResult],
) -> None:
    _, result = filmed
    assert set(result.outputs) == {"video", "poster", "animation", "report"}
    frames = decoded(result.outputs["video"][0])
    assert len(frames) == result.metrics["frames"]
    # Six pictures at seven a second end after 0.71 s, and are back after twice that.
    begin, end, back = (find_meshes(frames[i])[0] for i in (0, 18, 36))
    assert end.width > 1.04 * begin.width
    assert end.centre[0] - begin.centre[0] > 5
    assert abs(back.centre[0] - begin.centre[0]) < 4
    report = json.loads(result.outputs["report"][0].read_text())
    assert report["metrics"]["scene"] == "moving"


def test_the_mouth_of_a_scene_is_closed_before_it_is_opened(
    filmed: tuple[StageContext, StageResult],
) -> None:
    here, _ = filmed
    sitter = read_sitter(here.one("portrait"), "1:1", 256)
    pictures = swaying(sitter.canvas, 6)
    take, _ = take_of(here, sitter, read_script(here), pictures, RATE)
    for picture in (0, 5):
        mesh = take.mesh_of(picture)
        # She smiles, and shows her teeth.
        before = measure.lip_gap(pictures[picture], mesh)
        assert measure.lip_gap(take.at_rest(picture), mesh) < 0.6 * before


def test_a_face_is_followed_as_far_as_it_is_seen() -> None:
    portrait = drawing()
    (first,) = find_meshes(portrait)
    pictures = swaying(portrait, 5)
    noise = np.random.default_rng(1).integers(0, 255, portrait.shape).astype(np.uint8)
    meshes = follow([*pictures, noise, *pictures], first, RATE)
    assert len(meshes) == len(pictures)
    for mesh, rgb in zip(meshes, pictures, strict=True):
        (seen,) = find_meshes(rgb)
        assert np.abs(mesh.points[:, :2] - seen.points[:, :2]).mean() < 3
    assert follow([noise], first, RATE) == []


@pytest.mark.usefixtures("few_words")
def test_a_scene_without_a_face_leaves_the_portrait_to_speak(svd: Path, tmp_path: Path) -> None:
    """What random weights draw is nobody."""
    here = _remembering(context(tmp_path, drawing(), Params(**SMALL)))  # type: ignore[arg-type]
    result = run(here, svd)
    assert (result.metrics["scene"], result.metrics["scene_pictures"]) == ("lost", 5)
    warnings = [said for level, said in here.report.said_lines if level is Level.WARNING]
    assert any("the portrait speaks without it" in said for said in warnings)
    assert result.metrics["opening_vs_intended"] > 0.7
    done = [step[0] for step in here.report.steps]
    assert done == sorted(done)
    assert done[-1] == 100


@pytest.mark.parametrize(
    ("write", "family", "rate"),
    [(write_svd, SVD, 7.0), (write_wan, WAN, 24.0), (write_ltx, LTX, 25.0)],
)
def test_each_kind_of_model_is_told_by_its_directory_and_draws(
    write: Callable[[Path], Path], family: object, rate: float, tmp_path: Path
) -> None:
    source = open_source(write(tmp_path))
    if family is LTX:
        tokenize_as_published(tmp_path)
    assert source.family is family
    params = Params(**SMALL | {"pictures": source.family.count(3), "steps": 2})
    model = Model(source, params, "cpu")
    assert model.rate == rate
    steps: list[int] = []
    first = _gradient()

    def draw(wish: str, seed: int, begin: NDArray[np.uint8] = first) -> NDArray[np.float64]:
        steps.clear()
        drawn = model.draw(begin, wish, seed, lambda: steps.append(1))
        assert len(steps) == 2
        assert {one.shape for one in drawn} == {first.shape}
        return np.stack(drawn).astype(np.float64)

    one = draw("rain", 1)
    assert len(one) == params.pictures
    assert np.array_equal(one, draw("rain", 1))
    assert not np.array_equal(one, draw("rain", 2))
    assert not np.array_equal(one, draw("rain", 1, first[::-1].copy()))
    assert np.array_equal(one, draw("a desert", 1)) is not source.family.worded


def test_a_model_draws_in_half_precision_and_in_pieces(tmp_path: Path) -> None:
    source = open_source(write_ltx(tmp_path))
    params = Params(**SMALL | {"precision": "bf16", "vae_tiles": True})
    drawn = Model(source, params, "cpu").draw(_gradient(), "rain", 1, lambda: None)
    assert len(drawn) == source.family.count(5)
    assert source.weights(2)["vae"] * 2 == source.weights(4)["vae"]


@pytest.mark.usefixtures("few_words")
def test_clips_continue_from_the_last_picture(
    svd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[NDArray[np.uint8]] = []
    ended: list[NDArray[np.uint8]] = []
    plain = Model.draw

    def watched(self: Model, first: NDArray[np.uint8], *rest: object) -> list[NDArray[np.uint8]]:
        begun.append(first)
        drawn = plain(self, first, *rest)  # type: ignore[arg-type]
        ended.append(drawn[-1])
        return drawn

    monkeypatch.setattr(drawn_scenes.Model, "draw", watched)
    params = Params(**SMALL | {"clips": 3, "pictures": 3})
    result = run(_remembering(context(tmp_path, drawing(), params)), svd)  # type: ignore[arg-type]
    assert result.metrics["scene_pictures"] == 3 + 2 + 2
    assert [np.array_equal(a, b) for a, b in zip(ended, begun[1:], strict=False)] == [True, True]


def test_sizes_and_counts_are_what_a_model_can_draw() -> None:
    assert SVD.size((1280, 720), 576) == (1024, 576)
    assert WAN.size((720, 1280), 480) == (480, 864)
    assert [LTX.count(asked) for asked in (0, 5, 40, 41)] == [97, 9, 41, 41]
    assert [WAN.count(asked) for asked in (0, 2, 83)] == [49, 5, 81]
    assert SVD.count(14) == 14


def test_what_cannot_draw_a_scene_is_refused_before_it_is_loaded(svd: Path, tmp_path: Path) -> None:
    def changed(**index: object) -> Path:
        shutil.rmtree(tmp_path / "base", ignore_errors=True)
        copy = shutil.copytree(svd, tmp_path / "base")
        told = json.loads((copy / "model_index.json").read_text())
        (copy / "model_index.json").write_text(json.dumps(told | index))
        return copy

    def code(path: Path) -> str:
        with pytest.raises(StageError) as refused:
            open_source(path)
        assert str(tmp_path) not in f"{refused.value.cause} {refused.value.remedy}"
        return refused.value.code

    assert code(tmp_path / "nowhere") == "weights-absent"
    assert code(tmp_path) == "base-unreadable"
    assert code(changed(_class_name="StableDiffusionPipeline")) == "base-of-another-family"
    assert code(changed(_class_name="WanPipeline")) == "base-of-another-family"
    halved = changed()
    shutil.rmtree(halved / "image_encoder")
    assert code(halved) == "base-incomplete"
    pickled = changed()
    for weights in (pickled / "vae").glob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    assert code(pickled) == "base-pickled"
    cut = changed()
    (weights,) = (cut / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    assert code(cut) == "base-unreadable"


def test_what_does_not_fit_is_refused_before_it_is_loaded(
    svd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(svd)
    numbers = sum(one.numel() for one in _weights(svd))
    assert sum(source.weights(4).values()) == 4 * numbers
    assert "weights take" in require_room(source, Params(), torch.device("cpu"))
    monkeypatch.setattr(drawn_scenes, "free_on", lambda _: 1_000_000)
    with pytest.raises(StageError) as refused:
        require_room(source, Params(), torch.device("cpu"))
    assert refused.value.code == "memory-too-small"


def test_the_engine_is_there_where_its_weights_are_and_only_by_name(
    svd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (engine,) = (each for each in ENGINES if each.name == "i2v")
    monkeypatch.setenv("MYSPINBOT_MODELS", str(tmp_path))
    monkeypatch.delenv("MYSPINBOT_BASE_I2V", raising=False)
    told = engine.manifest()
    assert (told.available, told.qualities) == (False, ())
    assert told.missing[0].how_to_get == "myspinbot models pull i2v"
    monkeypatch.setenv("MYSPINBOT_BASE_I2V", str(svd))
    assert engine.manifest().available
    assert engine.manifest().version != told.version


def _gradient() -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:160, :160]
    return np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8)


def _remembering(here: StageContext) -> StageContext:
    from dataclasses import replace

    return replace(here, report=Memory())


def _weights(directory: Path) -> list[torch.Tensor]:
    from safetensors.torch import load_file

    files = sorted(directory.rglob("*.safetensors"))
    return [one for file in files for one in load_file(file).values()]
