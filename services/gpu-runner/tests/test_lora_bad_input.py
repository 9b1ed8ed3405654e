"""What is wrong with a LoRA is said with a reason and a next step, and never drawn as black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import load_components
from gpu_runner.engines.diffusion.pictures import require_drawn
from gpu_runner.engines.mini import generate_portrait, train_lora
from gpu_runner.models.manifest import MODELS
from gpu_runner.stage import StageError
from hypothesis import given
from hypothesis import strategies as st
from mini_support import make_context, write_face, write_random_base
from safetensors import safe_open
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face(tmp_path_factory.mktemp("face"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    components = load_components(base, "cpu")
    lora.attach(components.unet, rank=2, alpha=2, seed=1)
    path = tmp_path_factory.mktemp("lora") / "lora.safetensors"
    lora.collect(components.unet).write(path)
    return path


@pytest.mark.parametrize(("number", "reference"), [(float("nan"), "photo"), (float("inf"), "none")])
def test_a_lora_that_overflows_is_refused_instead_of_drawn_black(
    *, number: float, reference: str, trained: Path, base: Path, face: Path, tmp_path: Path
) -> None:
    with safe_open(trained, "pt") as file:
        tensors = {name: torch.full_like(file.get_tensor(name), number) for name in file.keys()}  # noqa: SIM118 - no dict
        save_file(tensors, tmp_path / "lora.safetensors", file.metadata())
    params = generate_portrait.Params(steps=4, samples=1, reference=reference)
    inputs = {"faces": [face], "lora": [tmp_path / "lora.safetensors"]}
    with pytest.raises(StageError) as caught:
        generate_portrait.run(make_context(tmp_path / "run", params, inputs), base)
    assert caught.value.code == "nothing-drawn"
    assert "lower learning rate" in caught.value.remedy


def test_a_loss_that_is_no_number_ends_the_stage_with_a_next_step(
    face: Path, tmp_path: Path
) -> None:
    broken = write_random_base(tmp_path / "base")
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_out.bias"].fill_(float("nan"))
    save_file(tensors, weights, {"format": "pt"})
    params = train_lora.Params(steps=3, batch_size=1, sample_every=0)
    with pytest.raises(StageError, match="no longer a number at step 1") as caught:
        train_lora.run(make_context(tmp_path / "run", params, {"faces": [face]}), broken)
    assert caught.value.code == "training-diverged"
    assert "lower learning rate" in caught.value.remedy


@given(
    level=st.integers(0, 255),
    spot=st.integers(3, 255),
    place=st.integers(0, 63),
    good=st.booleans(),
)
def test_one_colour_is_no_picture_and_anything_in_it_makes_it_one(
    level: int, spot: int, place: int, good: bool
) -> None:
    plain = np.full((8, 8, 3), level, np.uint8)
    drawn = plain.copy()
    drawn.reshape(64, 3)[place, place % 3] = (level + spot) % 256 if level + spot < 256 else 0
    seen = abs(int(drawn.max()) - int(drawn.min())) > 2
    pictures = [drawn, drawn] if good else [drawn, plain]
    if good and seen:
        require_drawn(pictures)
    else:
        with pytest.raises(StageError, match="one colour"):
            require_drawn(pictures)


def test_a_report_tells_the_terms_of_every_base() -> None:
    for model in MODELS:
        told = model.told()
        assert all(told.values())
        assert told["licence_url"].startswith("https://")
