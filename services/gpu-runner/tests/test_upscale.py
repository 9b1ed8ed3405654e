"""The stage `upscale`: by interpolation, and by a real ONNX model made here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts.media import MAX_PICTURE_PIXELS
from gpu_runner.engines import ENGINES
from gpu_runner.engines.lanczos import upscale as by_lanczos
from gpu_runner.engines.onnx import upscale as by_model
from gpu_runner.media.enlargement import OVERLAP, lanczos, require_room, tiles
from gpu_runner.media.pictures import decode_picture
from gpu_runner.models.upscaler import SETTING
from gpu_runner.stage import StageContext, StageError
from hypothesis import given
from hypothesis import strategies as st
from onnx_support import write_model
from PIL import Image
from pydantic import ValidationError
from report_support import Talk

SAMPLE = next((Path(__file__).parents[3] / "samples").glob("photos/*"))


@dataclass
class Steps(Talk):
    """A report that keeps progress."""

    done: list[tuple[float, float, str]] = field(default_factory=list)

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        assert not message
        self.done.append((done, total, unit))

    def checkpoint(self, directory: Path, step: int) -> None:
        raise AssertionError((directory, step))

    def sample(self, path: Path, caption: str, step: int) -> None:
        raise AssertionError((path, caption, step))


def photo(side: int) -> np.ndarray:
    """The sample person, `side` pixels wide and three quarters of that high."""
    rgb = Image.fromarray(decode_picture(SAMPLE)).resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(rgb)[: 3 * side // 4]


def upscale(folder: Path, engine: Any, rgb: np.ndarray, **params: Any) -> tuple[Any, Any, Steps]:
    """The larger picture, the metrics and the report."""
    path, output, report = folder / "small.png", folder / "output", Steps()
    Image.fromarray(rgb).save(path)
    output.mkdir(exist_ok=True)
    context = StageContext(
        params=engine.Params(**params),
        inputs={"picture": [path]},
        output=output,
        scratch=folder,
        device="cpu",
        seed=0,
        report=report,
    )
    result = engine.run(context)
    return decode_picture(result.outputs["picture"][0]), result.metrics, report


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.square(one.astype(float) - other.astype(float)).mean()))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_model(tmp_path / "model.onnx")
    monkeypatch.setenv(SETTING, str(path))
    return path


@pytest.mark.parametrize("factor", [2, 4])
def test_interpolation_comes_nearer_to_the_real_picture_than_blocks(
    tmp_path: Path, factor: int
) -> None:
    real = photo(512)
    small = np.asarray(
        Image.fromarray(real).resize((512 // factor, 384 // factor), Image.Resampling.BOX)
    )
    large, metrics, report = upscale(tmp_path, by_lanczos, small, factor=factor)
    blocks = small.repeat(factor, axis=0).repeat(factor, axis=1)
    assert large.shape == real.shape
    assert error(large, real) < 0.75 * error(blocks, real)
    assert error(large, real) < 0.95 * error(lanczos(small, factor, 0.0), real)
    assert (metrics["width_after"], metrics["height_before"]) == (512, 384 // factor)
    assert report.done == [(1, 1, "picture")]


def test_sharpening_gives_edges_no_halos() -> None:
    edge = np.full((40, 40, 3), 60, np.uint8)
    edge[:, 20:] = 200
    for factor in (2, 4):
        soft, sharp = (lanczos(edge, factor, sharpness) for sharpness in (0.0, 1.0))
        assert [(one.min(), one.max()) for one in (soft, sharp)] == [(60, 200)] * 2
        steepest = [np.abs(np.diff(one[..., 0].astype(int))).max() for one in (soft, sharp)]
        assert steepest[1] > steepest[0]


@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.integers(64, 128))
def test_tiles_keep_each_pixel_once_and_look_at_little_more(
    height: int, width: int, side: int
) -> None:
    seen = np.zeros((height, width), int)
    for tile in tiles(height, width, side):
        seen[tile.keep] += 1
        for keep, look in zip(tile.keep, tile.look, strict=True):
            assert look.start <= keep.start < keep.stop <= look.stop
            assert look.stop - look.start <= side + 2 * OVERLAP
    assert (seen == 1).all()


@pytest.mark.parametrize("times", [2, 3, 4])
def test_a_model_enlarges_tile_by_tile_as_it_would_the_whole(
    tmp_path: Path, model: Path, times: int
) -> None:
    write_model(model, times, seed=times)
    small = photo(160)
    whole, _, once = upscale(tmp_path, by_model, small, factor=4, tile=1024)
    tiled, metrics, often = upscale(tmp_path, by_model, small, factor=4, tile=64)
    assert np.array_equal(whole, tiled)
    assert whole.shape == (480, 640, 3)
    assert (once.done, len(often.done)) == ([(1, 1, "tile")], 6)
    assert metrics["width_after"] == 640
    assert error(whole, lanczos(small, 4, 0.0)) < 10


def test_a_model_is_announced_with_a_version_of_its_own(model: Path, tmp_path: Path) -> None:
    [engine] = [one for one in ENGINES if one.name == "onnx"]
    first = engine.manifest()
    write_model(model, 4)
    second = engine.manifest()
    assert (first.available, second.available) == (True, True)
    assert first.version.startswith("1+")
    assert first.version != second.version
    model.unlink()
    gone = engine.manifest()
    assert (gone.available, gone.version) == (False, "1")
    assert SETTING in gone.missing[0].how_to_get
    with pytest.raises(StageError) as absent:
        upscale(tmp_path, by_model, photo(64))
    assert absent.value.code == "upscaler-absent"


def test_a_model_that_cannot_serve_is_told_from_one_that_can(tmp_path: Path, model: Path) -> None:
    whole = model.read_bytes()
    for broken in (b"", b"no model at all", whole[: len(whole) // 2]):
        model.write_bytes(broken)
        with pytest.raises(StageError) as damaged:
            upscale(tmp_path, by_model, photo(64))
        assert damaged.value.code == "upscaler-unusable"
    for changes in ({"channels": 1}, {"times": 1}):
        write_model(model, **changes)
        with pytest.raises(StageError) as unfit:
            upscale(tmp_path, by_model, photo(64))
        assert unfit.value.code == "upscaler-unusable"


def test_what_would_become_too_large_is_refused_before_it_is_made() -> None:
    side = int((MAX_PICTURE_PIXELS / 16) ** 0.5)
    require_room(np.zeros((side, side, 3), np.uint8), 4)
    with pytest.raises(StageError, match="million pixels"):
        require_room(np.zeros((side + 8, side + 8, 3), np.uint8), 4)


@pytest.mark.parametrize("params", [{"factor": 3}, {"factor": 8}, {"path": "/etc/passwd"}])
def test_other_parameters_are_refused(params: dict[str, Any]) -> None:
    for engine in (by_lanczos, by_model):
        with pytest.raises(ValidationError):
            engine.Params(**params)
