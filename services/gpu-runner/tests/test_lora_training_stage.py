"""Settings that reach beyond the UNet, through the whole stage on random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gpu_runner.engines.mini import train_lora
from gpu_runner.stage import StageError
from mini_support import make_context, write_face, write_random_base
from safetensors.torch import load_file

FEW = {"steps": 2, "batch_size": 1, "rank": 2, "sample_every": 0, "convolutions": False}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face(tmp_path_factory.mktemp("face"))


def test_a_trained_text_encoder_is_in_the_file_and_has_learned(
    base: Path, face: Path, tmp_path: Path
) -> None:
    params = train_lora.Params.model_validate({**FEW, "text_encoder": True, "dora": True})
    context = make_context(tmp_path, params, {"faces": [face]})
    result = train_lora.run(context, base)
    # How long it is stopped for is for `make bench-lora` to judge.
    assert 0 < result.metrics["checkpoint_pause"] < 1
    tensors = load_file(result.outputs["lora"][0])
    words = {name: each for name, each in tensors.items() if name.startswith("text_encoder.")}
    assert any("lora_B" in name and each.abs().sum() > 0 for name, each in words.items())
    assert any("lora_magnitude_vector" in name for name in words)
    assert not any("conv1" in name for name in tensors)


def test_an_optimizer_that_is_not_here_is_refused_with_a_way_out(
    base: Path, face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    params = train_lora.Params.model_validate({**FEW, "optimizer": "adamw8bit"})
    with pytest.raises(StageError, match="adamw") as caught:
        train_lora.run(make_context(tmp_path, params, {"faces": [face]}), base)
    assert caught.value.code == "optimizer-unavailable"
