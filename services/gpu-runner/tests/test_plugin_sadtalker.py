# ruff: noqa: RUF001 - phonemes are written in IPA
"""SadTalker as a plug-in: its translation, tried on a program that takes SadTalker's arguments.

SadTalker itself has not been run here. The program below has the arguments of its `inference.py`
(commit cd4c046), refuses all others, and prints and leaves behind what that does.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from contracts.commands import Lane
from gpu_runner.engines.warp.film import Speech, read_script
from gpu_runner.engines.warp.render_video import Params as PortraitParams
from gpu_runner.media.video import stream_lengths
from gpu_runner.plugins import host
from gpu_runner.plugins.found import engine_of
from gpu_runner.stage import StageContext, StageError, StageResult
from numpy.typing import NDArray
from plugin_support import ROOT, Heard, plugin_module
from test_warp_render import context, decoded, drawing

SADTALKER = ROOT / "plugins" / "sadtalker"
NEEDED = (
    "checkpoints/SadTalker_V0.0.2_256.safetensors",
    "checkpoints/mapping_00109-model.pth.tar",
    "gfpgan/weights/alignment_WFLW_4HG.pth",
    "gfpgan/weights/detection_Resnet50_Final.pth",
)
UPSTREAM = """
import os, sys, time
from argparse import ArgumentParser
from pathlib import Path

parser = ArgumentParser(allow_abbrev=False)
for name in ("driven_audio", "source_image", "checkpoint_dir", "result_dir"):
    parser.add_argument("--" + name, required=True)
for name in ("ref_eyeblink", "ref_pose", "enhancer", "background_enhancer"):
    parser.add_argument("--" + name)
for name in ("pose_style", "batch_size", "size"):
    parser.add_argument("--" + name, type=int, default=2)
parser.add_argument("--expression_scale", type=float, default=1.0)
for name in ("input_yaw", "input_pitch", "input_roll"):
    parser.add_argument("--" + name, nargs="+", type=int)
for name in ("cpu", "face3dvis", "still", "verbose", "old_version"):
    parser.add_argument("--" + name, action="store_true")
parser.add_argument("--preprocess", choices=["crop", "extcrop", "resize", "full", "extfull"])
asked = parser.parse_args()

import av, cv2, numpy as np, soundfile

# As there: settings are looked for beside the program, weights in the current folder.
assert Path(sys.argv[0]).parent == Path.cwd()
assert (Path(asked.checkpoint_dir) / f"SadTalker_V0.0.2_{asked.size}.safetensors").exists()
assert (asked.preprocess, asked.still, asked.cpu) == ("full", True, True)
assert (asked.pose_style, asked.batch_size, asked.expression_scale) == (7, 3, 1.25)
HOW
print("3DMM Extraction for source image")
sound, rate = soundfile.read(asked.driven_audio)
assert soundfile.info(asked.driven_audio).subtype == "PCM_16"
frames = int(len(sound) / rate * 25)
for bar in ("landmark Det:", "mel::", "Face Renderer::", "seamlessClone::"):
    for done in (0, 50, 100):
        sys.stderr.write(f"\\r{bar} {done:3}%|#####     | {done}/100 [00:01<00:01,  9.1it/s]")
        sys.stderr.flush()
picture = cv2.imread(asked.source_image)[..., ::-1]
save = Path(asked.result_dir) / time.strftime("%Y_%m_%d_%H.%M.%S")
with av.open(str(save) + ".mp4", "w") as file:
    stream = file.add_stream("libx264", rate=25, options={"crf": "12"})
    stream.pix_fmt = "yuv420p"
    stream.height, stream.width = picture.shape[:2]
    for index in range(frames // SHORTER):
        moved = np.roll(picture, index % 8, axis=1)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
    file.mux(stream.encode(None))
print("The generated video is named:", str(save) + ".mp4")
"""


def install(folder: Path, how: str = "", shorter: int = 1) -> Path:
    """The plug-in with a checkout whose program does as told in `how`."""
    plugin = shutil.copytree(SADTALKER, folder)
    checkout = plugin / "checkout"
    for file in NEEDED:
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout / file).write_bytes(b"weights")
    program = UPSTREAM.replace("HOW", how).replace("SHORTER", str(shorter))
    (checkout / "inference.py").write_text(program)
    interpreter = checkout / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o755)
    return plugin


def job(plugin: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> StageContext:
    monkeypatch.setattr("test_warp_render.SENTENCE", "mɑ bɑ")
    folder.mkdir()
    here = context(folder, drawing(), PortraitParams(size=256))
    (folder / "scratch").mkdir()
    settings = {"size": 256, "pose_style": 7, "batch": 3, "expression_scale": 1.25}
    return replace(
        here,
        params=host.Params(settings),
        scratch=folder / "scratch",
        report=Heard(),
        plugin=plugin,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[StageContext, StageResult]:
    folder = tmp_path_factory.mktemp("sadtalker")
    with pytest.MonkeyPatch.context() as patch:
        here = job(install(folder / "plugin"), folder / "job", patch)
        return here, host.run(here)


def test_a_job_becomes_its_command_line_and_its_video_ours(
    made: tuple[StageContext, StageResult],
) -> None:
    here, result = made
    assert set(result.outputs) == {"video", "poster", "animation", "report"}
    lengths = stream_lengths(result.outputs["video"][0])
    assert lengths.frames == result.metrics["frames"]
    assert abs(lengths.video - lengths.audio) < 0.1
    # One frame less was drawn than the speech is long; the last one stays.
    assert result.metrics["frames_drawn"] in (lengths.frames - 1, lengths.frames)
    frames = decoded(result.outputs["video"][0])
    portrait = np.asarray(drawing()[::2, ::2]).astype(int)
    for index in (0, 5):
        moved = np.roll(portrait, index, axis=1)
        assert np.abs(frames[index] - moved)[:, 16:].mean() < 4
    assert np.abs(frames[5] - portrait)[:, 16:].mean() > 4
    assert here.one("speech").exists()


def test_its_bars_become_progress_that_never_goes_back(
    made: tuple[StageContext, StageResult],
) -> None:
    here, _ = made
    told = here.report.told  # type: ignore[attr-defined]
    assert told == sorted(told)
    assert told[-1] == 1
    # Of ten bars those that say something new, before the first frame of ours.
    assert len({share for share in told if share < 0.9}) >= 7


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ('print("No face is detected in the input file"); raise SystemExit(1)', "no-face"),
        ('print("Can\'t get the coeffs of the input"); raise SystemExit', "no-face"),
        ('raise RuntimeError("CUDA out of memory. Tried to allocate")', "memory-exhausted"),
        ('raise RuntimeError("what is this?")', "sadtalker-failed"),
    ],
)
def test_why_it_failed_is_told(
    how: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, context_, canvas, speech = _parts(install(tmp_path / "plugin", how), monkeypatch)
    with pytest.raises(StageError) as refused:
        upstream.draw(tmp_path / "plugin" / "checkout", context_, canvas, speech, lambda _: None)
    assert refused.value.code == code
    assert str(tmp_path) not in refused.value.cause


def test_a_video_that_ends_before_the_speech_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StageError) as refused:
        host.run(job(install(tmp_path / "plugin", shorter=2), tmp_path / "job", monkeypatch))
    assert refused.value.code == "sadtalker-failed"
    assert "frames instead of" in refused.value.cause


def test_what_lacks_of_the_checkout_is_told_before_and_when_a_job_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = engine_of(SADTALKER).manifest()
    assert (told.available, told.lane) == (False, Lane.GPU)
    assert len(told.missing) == 3
    plugin = install(tmp_path / "plugin")
    assert engine_of(plugin).manifest().available
    upstream, context_, canvas, speech = _parts(plugin, monkeypatch)
    large = replace(context_, params=context_.params.model_copy(update={"model": 512}))
    with pytest.raises(StageError) as refused:
        upstream.draw(plugin / "checkout", large, canvas, speech, lambda _: None)
    assert (refused.value.code, "512" in refused.value.cause) == ("checkout-incomplete", True)


def test_the_parameters_are_those_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """`parameters.json` is written from `Params.model_json_schema()`."""
    model = plugin_module(SADTALKER, "params", monkeypatch).Params
    assert json.loads((SADTALKER / "parameters.json").read_text()) == model.model_json_schema()


def _parts(
    plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[ModuleType, StageContext, NDArray[np.uint8], Speech]:
    """The plug-in's module that calls SadTalker, and what that is called with."""
    here = job(plugin, plugin.parent / "job", monkeypatch)
    model = plugin_module(SADTALKER, "params", monkeypatch).Params
    here = replace(here, params=model.model_validate(here.params.root))
    canvas = np.asarray(drawing()[::2, ::2])
    return plugin_module(SADTALKER, "upstream", monkeypatch), here, canvas, read_script(here)
