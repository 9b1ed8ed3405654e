"""What lies where a base should be: a base is taken, all else refused with a way on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from gpu_runner.catalogue import Engine
from gpu_runner.engines import ENGINES
from gpu_runner.engines.diffusion.sources import open_source, variant_of
from gpu_runner.engines.sd15 import train_lora
from gpu_runner.models.weights import told_of, weights_of
from gpu_runner.stage import StageError
from large_support import install, write_sd15, write_sdxl, write_single_file
from mini_support import make_context
from safetensors.torch import load_file, save_file

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sd15(tmp_path_factory.mktemp("sd15"))


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sdxl(tmp_path_factory.mktemp("sdxl"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_json(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def pickle_unet(base: Path) -> None:
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def shard_unet(base: Path) -> None:
    index = base / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": "part-2.safetensors"}}))


DIRECTORIES: dict[str, tuple[Change, str, str]] = {
    "without an index": (lambda base: (base / "model_index.json").unlink(), "base-unreadable", ""),
    "with a broken index": (
        lambda base: (base / "model_index.json").write_text("{"), "base-unreadable", ""
    ),
    "of another architecture": (
        lambda base: change_json(base / "model_index.json", _class_name="FluxPipeline"),
        "base-of-another-family", "architecture",
    ),
    "of Stable Diffusion 2": (
        lambda base: change_json(base / "unet" / "config.json", cross_attention_dim=1024),
        "base-of-another-family", "Stable Diffusion 2",
    ),
    "for inpainting": (
        lambda base: change_json(base / "unet" / "config.json", in_channels=9),
        "base-of-another-family", "inpainting",
    ),
    "without a VAE": (lambda base: shutil.rmtree(base / "vae"), "base-incomplete", "vae"),
    "without a tokenizer": (
        lambda base: shutil.rmtree(base / "tokenizer"), "base-incomplete", "tokenizer"
    ),
    "with half of its UNet": (
        lambda base: cut(base / "unet" / "diffusion_pytorch_model.safetensors"),
        "base-unreadable", "unet",
    ),
    "with one shard of two": (shard_unet, "base-incomplete", "unet"),
    "with a pickled UNet": (pickle_unet, "base-pickled", "safetensors"),
}  # fmt: skip


@pytest.mark.parametrize("what", DIRECTORIES)
def test_a_directory_that_is_no_whole_base_is_refused(
    sd15: Path, tmp_path: Path, what: str
) -> None:
    spoil, code, word = DIRECTORIES[what]
    base = shutil.copytree(sd15, tmp_path / "base")
    spoil(base)
    check_refused(base, "sd15", code, word)


def check_refused(base: Path, family: str, code: str, word: str = "") -> StageError:
    with pytest.raises(StageError) as caught:
        open_source(base, family, base)
    assert caught.value.code == code
    assert word in str(caught.value)
    assert caught.value.remedy
    # What is told enters the event log.
    assert str(base) not in str(caught.value)
    return caught.value


def test_each_engine_refuses_the_others_base_and_names_the_right_engine(
    sd15: Path, sdxl: Path, tmp_path: Path
) -> None:
    told = check_refused(sdxl, "sd15", "base-of-another-family", "Stable Diffusion XL")
    assert "engine sdxl" in told.remedy
    check_refused(sd15, "sdxl", "base-of-another-family", "Stable Diffusion 1.5")
    single = write_single_file(sdxl, tmp_path / "one.safetensors")
    check_refused(single, "sd15", "base-of-another-family", "Stable Diffusion XL")


def renamed(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {name.replace(old, new): one for name, one in tensors.items()}


def inpainting(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = "model.diffusion_model.input_blocks.0.0.weight"
    return {**tensors, name: tensors[name].repeat(1, 3, 1, 1)[:, :9].contiguous()}


FILES = {
    "a LoRA": (lambda _: {"lora_unet_a.lora_up.weight": torch.ones(1)}, "base-unreadable", "LoRA"),
    "something else": (lambda _: {"a": torch.ones(1)}, "base-unreadable", "denoiser"),
    "no VAE": (renamed("first_stage_model.", "other."), "base-incomplete", "VAE"),
    "no text encoder": (renamed("cond_stage_model.", "other."), "base-incomplete", "text encoder"),
    "Stable Diffusion 2": (
        renamed("cond_stage_model.transformer.", "cond_stage_model.model."),
        "base-of-another-family", "Stable Diffusion 2",
    ),
    "the refiner": (
        renamed("cond_stage_model.transformer.", "conditioner.embedders.0.model."),
        "base-of-another-family", "refiner",
    ),
    "inpainting": (inpainting, "base-of-another-family", "inpainting"),
}  # fmt: skip


def test_a_single_file_that_is_no_whole_base_is_refused(sd15: Path, tmp_path: Path) -> None:
    path = write_single_file(sd15, tmp_path / "one.safetensors")
    assert open_source(path, "sd15", sd15).is_file
    whole = load_file(path)
    for number, (change, code, word) in enumerate(FILES.values()):
        other = tmp_path / f"other-{number}.safetensors"
        save_file(change(whole), other)
        check_refused(other, "sd15", code, word)
    cut(path)
    check_refused(path, "sd15", "base-unreadable")


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pt"])
def test_a_pickled_file_is_refused_unopened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"whatever")
    check_refused(path, "sd15", "base-pickled", "safetensors")


def test_weights_of_half_precision_are_found_by_their_name(sd15: Path, tmp_path: Path) -> None:
    assert variant_of(sd15 / "unet") is None
    folder = shutil.copytree(sd15 / "unet", tmp_path / "unet")
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.rename(folder / "diffusion_pytorch_model.fp16.safetensors")
    assert variant_of(folder) == "fp16"


def engine(name: str) -> Engine:
    return next(one for one in ENGINES if (one.kind, one.name) == ("train_lora", name))


def test_a_base_of_ones_own_is_announced_and_has_a_version_of_its_own(
    sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYSPINBOT_MODELS", str(tmp_path / "models"))
    absent = engine("sd15").manifest()
    assert (absent.available, absent.version) == (False, engine("sd15").version)
    assert absent.base is not None
    assert absent.base.licence == "CreativeML OpenRAIL-M"
    base = shutil.copytree(sd15, tmp_path / "mine")
    monkeypatch.setenv("MYSPINBOT_BASE_SD15", str(base))
    told = engine("sd15").manifest()
    assert (told.available, told.missing) == (True, ())
    assert told.base is not None
    assert told.base.title == "A base of your own"
    assert told.base.size_bytes > 1_000_000
    assert weights_of("sd15") == base
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file({name: one + 1 for name, one in tensors.items()}, weights)
    versions = {absent.version, told.version, engine("sd15").manifest().version}
    assert len(versions) == 3


def test_a_base_of_ones_own_that_is_not_there_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYSPINBOT_BASE_SD15", str(tmp_path / "nothing"))
    told = engine("sd15").manifest()
    assert not told.available
    assert "MYSPINBOT_BASE_SD15" in told.missing[0].how_to_get
    params = train_lora.Params()
    with pytest.raises(StageError) as caught:
        train_lora.run(make_context(tmp_path, params, {"faces": [tmp_path]}))
    assert caught.value.code == "weights-absent"


def test_a_single_file_of_ones_own_wants_the_tokenizer_of_the_pulled_model(
    sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_single_file(sd15, tmp_path / "one.safetensors")
    monkeypatch.setenv("MYSPINBOT_BASE_SD15", str(path))
    monkeypatch.setenv("MYSPINBOT_MODELS", str(tmp_path / "models"))
    [lacking] = engine("sd15").manifest().missing
    assert lacking.how_to_get == "myspinbot models pull sd15"
    install(sd15, tmp_path / "models", "sd15")
    assert engine("sd15").manifest().available


def test_what_is_made_from_a_base_of_ones_own_claims_no_licence(
    sd15: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told_of("sd15")["licence"] == "CreativeML OpenRAIL-M"
    monkeypatch.setenv("MYSPINBOT_BASE_SD15", str(sd15))
    assert (told_of("sd15")["licence"], told_of("sd15")["title"]) == ("", "A base of your own")


@pytest.mark.parametrize("name", ["mini", "sd15", "sdxl"])
def test_what_is_announced_can_be_run(name: str) -> None:
    kinds = {one.kind: one for one in ENGINES if one.name == name}
    assert kinds.keys() == {"train_lora", "generate_portrait"}
    for one in kinds.values():
        assert callable(import_module(one.module).run)
        assert all(one.params().model_validate(preset) for preset in one.presets.values())
