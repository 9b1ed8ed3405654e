# ruff: noqa: RUF001 - phonemes are written in IPA
"""MuseTalk as a plug-in: its own program, by the protocol, with networks of random weights."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from gpu_runner.engines.warp.render_video import Params as PortraitParams
from gpu_runner.faces.mesh import find_meshes
from gpu_runner.plugins import host
from gpu_runner.plugins.found import engine_of
from gpu_runner.stage import StageError, StageResult
from musetalk_support import LAYERS, MUSETALK, WIDTH, install_musetalk
from plugin_support import Heard, plugin_module
from test_warp_render import context, decoded, drawing, woman

BATCH = 8


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_musetalk(tmp_path_factory.mktemp("plugins") / "musetalk")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plug-in's module that draws, imported here."""
    torch.set_num_threads(1)
    return plugin_module(MUSETALK, "talking", monkeypatch)


def rendered(
    plugin: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **params: object
) -> tuple[StageResult, Heard]:
    """A short video by the plug-in's program."""
    monkeypatch.setattr("test_warp_render.SENTENCE", "mɑ bɑ")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder.mkdir()
    heard = Heard()
    here = context(folder, drawing(), PortraitParams(size=256))
    scratch = folder / "scratch"
    scratch.mkdir()
    settings = host.Params({"size": 256, "motion": 0.0, "blink": False, "batch": BATCH} | params)
    here = replace(here, params=settings, scratch=scratch, report=heard, plugin=plugin)
    return host.run(here), heard


def test_the_plug_in_makes_a_whole_video_and_draws_the_lower_face_alone(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    result, heard = rendered(plugin, tmp_path / "job", monkeypatch)
    assert set(result.outputs) == {"video", "poster", "animation", "report"}
    frames = decoded(result.outputs["video"][0])
    assert (len(frames), frames[0].shape) == (result.metrics["frames"], (256, 256, 3))
    assert result.metrics["precision"] == "float32"
    assert heard.told == sorted(heard.told)
    assert heard.told[-1] == 1
    # What random weights draw is no mouth, but it is where the mouth is and nowhere else.
    portrait = np.asarray(drawing()[::2, ::2])
    (mesh,) = find_meshes(portrait)
    change = np.abs(frames[20].astype(int) - portrait).max(axis=-1)
    x, y = mesh.points[13, :2].round().astype(int)
    assert change[y - 3 : y + 3, x - 3 : x + 3].mean() > 25
    left, top, right, bottom = module.face_box(mesh, (256, 256), 10)
    elsewhere = np.ones_like(change, bool)
    elsewhere[top + (bottom - top) // 2 - 6 : bottom + 4, left - 4 : right + 4] = False
    assert np.median(change[elsewhere]) < 8


def test_the_same_is_drawn_each_time_and_in_batches_of_any_size(
    plugin: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = _loaded(plugin, monkeypatch)
    face = np.asarray(woman()[128:384, 128:384])
    faces = [face, face[:, ::-1].copy()]
    heard = torch.randn(2, module.hearing.PER_FRAME * (LAYERS + 1), WIDTH)
    together = module.draw(loaded, faces, heard)
    alone = [module.draw(loaded, [faces[i]], heard[i : i + 1])[0] for i in range(2)]
    for one, other in zip(together, alone, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_what_is_heard_changes_what_is_drawn(
    plugin: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = _loaded(plugin, monkeypatch)
    face = np.asarray(woman()[128:384, 128:384])
    tokens = module.hearing.PER_FRAME * (LAYERS + 1)
    quiet, loud = torch.zeros(1, tokens, WIDTH), 5 * torch.randn(1, tokens, WIDTH)
    silent, spoken = (module.draw(loaded, [face], heard)[0] for heard in (quiet, loud))
    assert silent.shape == (256, 256, 3)
    assert np.abs(silent.astype(int) - spoken).mean() > 0.1
    # The lower half is not seen in what is to be completed, but it is in the reference.
    hidden = face.copy()
    hidden[200:] = 0
    other = module.draw(loaded, [hidden], quiet)[0]
    assert np.abs(silent.astype(int) - other).mean() > 0.1


def test_each_frame_hears_its_own_moment(
    plugin: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    hearing = module.hearing
    loaded = _loaded(plugin, monkeypatch)
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.1, 33 * 24_000).astype(np.float32)
    states = hearing.hear(loaded, sound, 24_000)
    # Longer than Whisper looks at once.
    assert states.shape == (33 * 50, LAYERS + 1, WIDTH)
    plain = states.clone()
    sines = hearing.around(torch.zeros_like(states), 0, 25)
    for fps, frame, first in ((25, 100, 196), (30, 100, 162)):
        window = hearing.around(plain, frame, fps) - sines
        expected = states[first : first + 10].flatten(0, 1)
        assert torch.allclose(window, expected, atol=1e-6)
    beginning = (hearing.around(plain, 0, 25) - sines).unflatten(0, (10, LAYERS + 1))
    assert not beginning[:4].any()
    assert beginning[4].any()
    ending = (hearing.around(plain, 33 * 25 - 1, 25) - sines).unflatten(0, (10, LAYERS + 1))
    assert ending[5].any()
    assert not ending[6:].any()


def test_the_box_has_the_nose_in_its_middle_and_the_mask_covers_mouth_and_chin(
    module: ModuleType,
) -> None:
    portrait = woman()
    (mesh,) = find_meshes(portrait)
    left, top, right, bottom = module.face_box(mesh, portrait.shape[:2], 10)
    assert (top + bottom) / 2 == pytest.approx(mesh.points[195, 1], abs=8)
    assert (left, right) == pytest.approx((mesh.box[0], mesh.box[2]), abs=2)
    mask = module.lower_face(mesh, (left, top, right, bottom))
    assert mask.shape == (bottom - top, right - left)
    for point, covered in ((13, True), (17, True), (33, False), (168, False), (4, False)):
        x, y = (mesh.points[point, :2] - (left, top)).round().astype(int)
        assert (mask[y, x] > 0.8) is np.bool_(covered)
    assert max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) < 0.1


def test_weights_that_are_absent_damaged_or_no_numbers_are_refused(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not engine_of(MUSETALK).manifest().available
    told = engine_of(MUSETALK).manifest().missing
    assert {each.licence for each in told} == {"MIT", "Apache-2.0"}
    assert engine_of(plugin).manifest().available
    broken = install_musetalk(tmp_path / "broken")
    unet = broken / "weights" / "musetalkV15" / "unet.pth"

    def code() -> str:
        with pytest.raises(StageError) as refused:
            _loaded(broken, monkeypatch)
        return refused.value.code

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "run"),)

    unet.write_bytes(pickle.dumps(Evil()))
    assert code() == "weights-unreadable"
    torch.save({"evil": Evil()}, unet)
    assert code() == "weights-unreadable"
    assert not (tmp_path / "run").exists()
    torch.save({"conv_in.weight": torch.zeros(1)}, unet)
    assert code() == "weights-unreadable"
    unet.unlink()
    assert code() == "weights-absent"
    with pytest.raises(StageError) as refused:
        rendered(broken, tmp_path / "job", monkeypatch)
    assert refused.value.code == "weights-absent"


def test_the_parameters_are_those_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """`parameters.json` is written from `Params.model_json_schema()`."""
    params = plugin_module(MUSETALK, "params", monkeypatch).Params
    assert json.loads((MUSETALK / "parameters.json").read_text()) == params.model_json_schema()


def _loaded(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    params = plugin_module(MUSETALK, "params", monkeypatch).Params()
    load = plugin_module(MUSETALK, "models", monkeypatch).load
    return load(plugin / "weights", params, "cpu")
