"""Portraits from a LoRA and a photo, and the transfer of the photo's detail."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import load_components
from gpu_runner.engines.diffusion.detail import guided_filter, transfer_detail
from gpu_runner.engines.diffusion.pictures import read_square
from gpu_runner.engines.mini import generate_portrait
from gpu_runner.engines.mini.base import BASE, prompt_for
from gpu_runner.stage import StageError
from hypothesis import given, settings
from hypothesis import strategies as st
from mini_support import Memory, make_context, write_face, write_random_base


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face(tmp_path_factory.mktemp("face"))


@pytest.fixture(scope="module")
def fresh_lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lora(BASE, tmp_path_factory.mktemp("lora"))


def write_lora(base: Path, folder: Path) -> Path:
    components = load_components(base, "cpu")
    lora.attach(components.unet, rank=2, alpha=2, seed=1)
    path = folder / "lora.safetensors"
    lora.collect(components.unet).write(path)
    return path


def test_the_portrait_is_sharp_and_still_the_person(
    face: Path, fresh_lora: Path, tmp_path: Path
) -> None:
    report = Memory()
    params = generate_portrait.Params(steps=6, samples=1)
    inputs = {"faces": [face], "lora": [fresh_lora]}
    result = generate_portrait.run(make_context(tmp_path, params, inputs, report=report), BASE)
    portrait = read_square(result.outputs["portrait"][0])
    assert portrait.shape == (512, 512, 3)
    assert sharpness(portrait) > 0.7 * sharpness(read_square(face))
    assert result.metrics["identity_measure"] == "face"
    assert result.metrics["identity_portrait"] < 0.5
    assert 0 < result.metrics["changed"] < 0.2
    done, total, *_ = report.steps[-1]
    assert done == total


def test_without_a_reference_the_model_draws_alone(
    face: Path, fresh_lora: Path, tmp_path: Path
) -> None:
    params = generate_portrait.Params(steps=4, samples=2, reference="none")
    inputs = {"faces": [face], "lora": [fresh_lora]}
    result = generate_portrait.run(make_context(tmp_path, params, inputs), BASE)
    assert result.metrics["reference"] == "none"
    portrait = read_square(result.outputs["portrait"][0])
    assert sharpness(portrait) < 0.5 * sharpness(read_square(face))


def test_the_same_seed_gives_the_same_portrait(
    face: Path, fresh_lora: Path, tmp_path: Path
) -> None:
    def drawn(folder: str, seed: int) -> bytes:
        params = generate_portrait.Params(steps=4, samples=1)
        inputs = {"faces": [face], "lora": [fresh_lora]}
        context = make_context(tmp_path / folder, params, inputs, seed=seed)
        return generate_portrait.run(context, BASE).outputs["portrait"][0].read_bytes()

    assert drawn("a", 1) == drawn("b", 1)
    assert drawn("c", 2) != drawn("d", 1)


def test_a_damaged_lora_is_refused(face: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "lora.safetensors"
    damaged.write_bytes(b"\x00" * 100)
    check_refused(face, damaged, tmp_path / "run")


def test_a_lora_of_another_base_is_refused(face: Path, tmp_path: Path) -> None:
    other = write_lora(write_random_base(tmp_path / "base", channels=64), tmp_path)
    check_refused(face, other, tmp_path / "run")


def check_refused(face: Path, path: Path, folder: Path) -> None:
    params = generate_portrait.Params(steps=4, samples=1)
    with pytest.raises(StageError) as caught:
        generate_portrait.run(make_context(folder, params, {"faces": [face], "lora": [path]}), BASE)
    assert caught.value.code == "lora-unreadable"


@given(wish=st.text())
def test_a_prompt_has_the_trigger_word_first_and_no_line_breaks(wish: str) -> None:
    prompt = prompt_for("sks", wish)
    assert prompt.startswith("portrait, sks")
    assert len(prompt.splitlines()) == 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_no_change_of_the_coarse_picture_leaves_the_photo_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, 256, (64, 64, 3), np.uint8)
    coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
    assert np.array_equal(transfer_detail(photo, coarse, coarse), photo)


def test_a_new_colour_stops_at_the_outline() -> None:
    photo = np.full((256, 256, 3), 40, np.uint8)
    photo[:, 100:] = 200
    coarse = cv2.resize(photo, (32, 32), interpolation=cv2.INTER_AREA)
    redder = coarse.copy()
    redder[:, 13:, 0] = 250
    changed = transfer_detail(photo, coarse, redder).astype(int) - photo
    assert changed[:, 104:, 0].min() > 35
    assert np.abs(changed[:, :96]).max() < 12
    assert np.abs(changed[..., 1:]).max() == 0


def test_the_guided_filter_smooths_where_the_guide_is_plain() -> None:
    noise = np.random.default_rng(1).normal(0, 1, (64, 64)).astype(np.float32)
    smooth = guided_filter(np.full((64, 64), 0.5, np.float32), noise, 4, 0.02)
    assert smooth.std() < 0.2 * noise.std()


def sharpness(picture: np.ndarray) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())
