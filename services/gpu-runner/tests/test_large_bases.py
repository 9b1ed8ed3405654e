"""Stable Diffusion 1.5 and XL, tiny and of random weights: trained, saved, reloaded, sampled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from gpu_runner.engines.diffusion.components import decode_latents
from gpu_runner.engines.diffusion.loading import Loading, load_base
from gpu_runner.engines.diffusion.pictures import read_square
from gpu_runner.engines.diffusion.sampling import SamplingConfig, sample
from gpu_runner.engines.diffusion.sources import open_source
from gpu_runner.engines.diffusion.stages import train_lora
from gpu_runner.engines.sd15 import generate_portrait as sd15_portrait
from gpu_runner.engines.sd15 import train_lora as sd15_lora
from gpu_runner.engines.sd15.traits import SD15
from gpu_runner.engines.sdxl import generate_portrait as sdxl_portrait
from gpu_runner.engines.sdxl import train_lora as sdxl_lora
from gpu_runner.engines.sdxl.traits import SDXL
from gpu_runner.faces.crop_files import write_crop
from gpu_runner.faces.crops import portrait_square, widest_face
from gpu_runner.faces.scenes import scene_around
from gpu_runner.stage import StageContext, StageError, StageResult
from large_support import install, write_sd15, write_sdxl, write_single_file, write_wide
from mini_support import Memory, make_context, write_face
from safetensors import safe_open
from safetensors.torch import load_file
from skimage import data

STAGES: dict[str, Any] = {"sd15": sd15_lora, "sdxl": sdxl_lora}
PORTRAITS: dict[str, Any] = {"sd15": sd15_portrait, "sdxl": sdxl_portrait}
PIPELINES: dict[str, Any] = {
    "sd15": StableDiffusionPipeline,
    "sdxl": StableDiffusionXLPipeline,
}
FEW = {"steps": 2, "rank": 2, "sample_every": 0, "warmup_steps": 0, "learning_rate": 0.1}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {"sd15": write_sd15(folder / "sd15"), "sdxl": write_sdxl(folder / "sdxl")}


@pytest.fixture(scope="module")
def files(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {
        name: write_single_file(base, folder / f"{name}.safetensors")
        for name, base in bases.items()
    }


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face(tmp_path_factory.mktemp("face"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crop with much of an upright photo below the face."""
    photo = np.asarray(data.astronaut())[:, 80:400]
    square = portrait_square((512, 320), widest_face(photo, "photo 1"))
    path = tmp_path_factory.mktemp("scene") / "crop.png"
    return write_crop(path, scene_around(photo, square, []), ["colourful background"])


@dataclass(frozen=True)
class Trained:
    result: StageResult
    report: Memory

    @property
    def outputs(self) -> Mapping[str, Sequence[Path]]:
        return self.result.outputs


WORDS = {**FEW, "text_encoder": True, "checkpoint_every": 1}
SETTINGS: dict[str, dict[str, Any]] = {"sd15": WORDS, "sdxl": {**WORDS, "precision": "bf16"}}


@pytest.fixture(scope="module")
def trained(
    bases: dict[str, Path], face: Path, scene: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Trained]:
    """Adapters of UNet and all text encoders: of one base by the engine exactly as it is."""

    def context_for(name: str, report: Memory) -> StageContext:
        params = STAGES[name].Params.model_validate(SETTINGS[name])
        folder = tmp_path_factory.mktemp(name)
        return make_context(folder, params, {"faces": [face, scene]}, report=report)

    small, large = Memory(), Memory()
    return {
        "sd15": Trained(sd15_lora.run(context_for("sd15", small), bases["sd15"]), small),
        "sdxl": Trained(train("sdxl", bases["sdxl"], context_for("sdxl", large)), large),
    }


def train(name: str, base: Path, context: StageContext) -> StageResult:
    """The stage, but for pictures before and after that are drawn in a few steps."""
    traits = {"sd15": SD15, "sdxl": SDXL}[name]
    few = SamplingConfig(steps=2, guidance=2.0, at_once=3)
    return train_lora.train(context, replace(traits, sampling=few, preview=few), base)


def pipeline_of(name: str, base: Path) -> Any:
    pipeline = PIPELINES[name].from_pretrained(base)
    pipeline.scheduler = DDIMScheduler.from_pretrained(base / "scheduler")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def drawn_by(pipeline: Any) -> np.ndarray:
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    drawn: np.ndarray = pipeline(
        "a b", num_inference_steps=3, guidance_scale=3.0, latents=noise, output_type="np"
    ).images[0]
    return drawn


@pytest.mark.parametrize("name", STAGES)
def test_a_base_draws_what_plain_diffusers_draws_with_it(bases: dict[str, Path], name: str) -> None:
    components = load_base(open_source(bases[name], name), "cpu", Loading())
    (ours,) = sample(components, "a b", 1, SamplingConfig(steps=3, guidance=3.0, seed=3))
    theirs = drawn_by(pipeline_of(name, bases[name]))
    assert np.abs(ours / 255 - theirs).max() < 0.01


@pytest.mark.parametrize("name", STAGES)
def test_a_single_file_holds_the_same_base(
    bases: dict[str, Path], files: dict[str, Path], name: str
) -> None:
    whole = load_base(open_source(bases[name], name), "cpu", Loading())
    single = load_base(open_source(files[name], name, bases[name]), "cpu", Loading())
    models = [
        (whole.unet, single.unet),
        (whole.vae, single.vae),
        *zip(whole.text_encoders, single.text_encoders, strict=True),
    ]
    for one, other in models:
        expected, found = one.state_dict(), other.state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("name", STAGES)
def test_the_layout_that_is_pulled_loads_with_its_own_scheduler(
    bases: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """All weights in half precision, under names that say so, and PNDM as SD 1.5 has it."""
    pipeline = PIPELINES[name].from_pretrained(bases[name]).to(torch.float16)
    if name == "sd15":
        pipeline.scheduler = PNDMScheduler.from_config(
            pipeline.scheduler.config, skip_prk_steps=True
        )
    pipeline.save_pretrained(tmp_path, variant="fp16")
    weights = [path.name for path in tmp_path.rglob("*.safetensors")]
    assert weights
    assert all(".fp16." in one for one in weights)
    components = load_base(open_source(tmp_path, name), "cpu", Loading(format=torch.bfloat16))
    assert (components.format, components.vae.dtype) == (torch.bfloat16, torch.float32)
    (drawn,) = sample(components, "a b", 1, SamplingConfig(steps=3, guidance=3.0, seed=3))
    assert np.ptp(drawn) > 10


def test_a_vae_that_does_not_overflow_is_used_if_it_was_asked_for(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYSPINBOT_MODELS", str(tmp_path / "models"))
    params = sdxl_lora.Params.model_validate({**FEW, "half_vae": True, "precision": "bf16"})
    with pytest.raises(StageError, match="models pull sdxl-vae") as caught:
        SDXL.load(bases["sdxl"], "cpu", params)
    assert caught.value.code == "weights-absent"
    install(bases["sdxl"] / "vae", tmp_path / "models", "sdxl-vae")
    components = SDXL.load(bases["sdxl"], "cpu", params)
    assert (components.format, components.vae.dtype) == (torch.bfloat16, torch.bfloat16)


def test_tiles_take_the_vae_through_a_picture_in_parts(bases: dict[str, Path]) -> None:
    source = open_source(bases["sd15"], "sd15")
    whole = load_base(source, "cpu", Loading())
    tiled = load_base(source, "cpu", Loading(vae_tiles=True))
    sizes: list[tuple[int, ...]] = []
    tiled.vae.decoder.register_forward_pre_hook(
        lambda _module, given: sizes.append(tuple(given[0].shape[2:]))
    )
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    (one,), (other,) = decode_latents(whole, latents), decode_latents(tiled, latents)
    assert max(sizes) == (8, 8)
    assert one.shape == other.shape


@pytest.mark.parametrize("name", STAGES)
def test_plain_diffusers_draws_the_same_with_both_files_of_a_lora(
    bases: dict[str, Path], trained: dict[str, Trained], name: str
) -> None:
    pictures = [drawn_by(pipeline_of(name, bases[name]))]
    for output in ("lora", "lora_kohya"):
        pipeline = pipeline_of(name, bases[name])
        pipeline.load_lora_weights(trained[name].outputs[output][0])
        parts = {"unet", "text_encoder"} | ({"text_encoder_2"} if name == "sdxl" else set())
        assert set(pipeline.get_list_adapters()) == parts
        pictures.append(drawn_by(pipeline))
    assert np.abs(pictures[1] - pictures[2]).max() < 1e-4
    assert np.abs(pictures[0] - pictures[1]).max() > 0.01


@pytest.mark.parametrize("name", STAGES)
def test_a_scene_is_learned_in_a_shape_of_its_own(trained: dict[str, Trained], name: str) -> None:
    assert "2 photos as 6 pictures, by shape 4+2; " in "\n".join(
        text for _, text in trained[name].report.said_lines
    )


@pytest.mark.parametrize("name", STAGES)
def test_a_lora_names_its_base_and_all_that_was_trained(
    trained: dict[str, Trained], name: str
) -> None:
    outputs = trained[name].outputs
    with safe_open(outputs["lora_kohya"][0], framework="pt") as stored:
        header, names = stored.metadata(), set(stored.keys())
    family = {"sd15": "stable-diffusion-v1", "sdxl": "stable-diffusion-xl-v1-base"}[name]
    assert header["modelspec.architecture"] == f"{family}/lora"
    assert header["modelspec.license"].startswith("CreativeML OpenRAIL")
    assert (header["ss_sd_model_name"], len(header["ss_new_sd_model_hash"])) == (name, 64)
    starts = {"sd15": ["lora_te_"], "sdxl": ["lora_te1_", "lora_te2_"]}[name]
    learned = load_file(outputs["lora_kohya"][0])
    for start in ["lora_unet_", *starts]:
        ups = [one for one in names if one.startswith(start) and one.endswith("lora_up.weight")]
        assert ups
        assert any(learned[one].abs().sum() > 0 for one in ups)
    card = json.loads(outputs["report"][0].read_text())
    assert (card["engine"], card["base"]["name"]) == (name, name)


@pytest.mark.parametrize("name", STAGES)
def test_a_portrait_is_drawn_by_what_was_trained(
    bases: dict[str, Path], face: Path, trained: dict[str, Trained], tmp_path: Path, name: str
) -> None:
    params = PORTRAITS[name].Params(steps=4, samples=1, reference="none")
    report = Memory()
    inputs = {"faces": [face], "lora": list(trained[name].outputs["lora"])}
    context = make_context(tmp_path / "ours", params, inputs, report=report)
    ours = read_square(PORTRAITS[name].run(context, bases[name]).outputs["portrait"][0])
    assert ours.shape == (512, 512, 3)
    done, total, *_ = report.steps[-1]
    assert done == total
    inputs |= {"lora": list(trained[name].outputs["lora_kohya"])}
    context = make_context(tmp_path / "kohya", params, inputs)
    kohyas = read_square(PORTRAITS[name].run(context, bases[name]).outputs["portrait"][0])
    assert np.abs(ours.astype(int) - kohyas).max() <= 1


def test_a_single_file_is_trained_with_the_settings_of_the_pulled_model(
    bases: dict[str, Path],
    files: dict[str, Path],
    face: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MYSPINBOT_MODELS", str(tmp_path / "models"))
    params = sdxl_lora.Params.model_validate({**FEW, "gradient_accumulation": 2})
    context = make_context(tmp_path / "a", params, {"faces": [face]})
    with pytest.raises(StageError, match="tokenizer") as caught:
        sdxl_lora.run(context, files["sdxl"])
    assert caught.value.code == "base-incomplete"
    install(bases["sdxl"], tmp_path / "models", "sdxl")
    context = make_context(tmp_path / "b", params, {"faces": [face]})
    result = train("sdxl", files["sdxl"], context)
    with safe_open(result.outputs["lora"][0], framework="pt") as stored:
        told = stored.metadata()["ss_new_sd_model_hash"]
    assert told == hashlib.sha256(files["sdxl"].read_bytes()).hexdigest()


def test_a_base_as_large_as_the_portrait_needs_no_detail_of_the_photo(
    face: Path, tmp_path: Path
) -> None:
    base = write_wide(tmp_path / "base")
    params = sd15_lora.Params.model_validate({**FEW, "steps": 1})
    context = make_context(tmp_path / "a", params, {"faces": [face]})
    lora = train("sd15", base, context).outputs
    portrait = sd15_portrait.Params(steps=4, samples=1, strength=0.25)
    inputs = {"faces": [face], "lora": list(lora["lora"])}
    result = sd15_portrait.run(make_context(tmp_path / "b", portrait, inputs), base)
    assert read_square(result.outputs["portrait"][0]).shape == (512, 512, 3)
    # A VAE of random weights gives back nothing of the photo.
    assert result.metrics["changed"] > 0.2


def test_a_lora_of_one_base_is_refused_by_the_other(
    bases: dict[str, Path], face: Path, trained: dict[str, Trained], tmp_path: Path
) -> None:
    inputs = {"faces": [face], "lora": list(trained["sd15"].outputs["lora"])}
    params = sdxl_portrait.Params(steps=4, samples=1)
    with pytest.raises(StageError, match="Choose the engine sd15") as caught:
        sdxl_portrait.run(make_context(tmp_path, params, inputs), bases["sdxl"])
    assert caught.value.code == "lora-of-another-base"


def test_two_text_encoders_in_half_precision_are_gone_on_with_from_a_checkpoint(
    bases: dict[str, Path],
    face: Path,
    scene: Path,
    trained: dict[str, Trained],
    tmp_path: Path,
) -> None:
    whole = trained["sdxl"]
    kept, step = whole.report.checkpoints[0]
    params = sdxl_lora.Params.model_validate(SETTINGS["sdxl"])
    context = make_context(tmp_path, params, {"faces": [face, scene]}, resume=kept)
    rest = train("sdxl", bases["sdxl"], context)
    assert rest.metrics["resumed_at"] == step == 1
    assert np.isfinite(rest.metrics["final_loss"])
    expected, found = (load_file(one.outputs["lora"][0]) for one in (whole, rest))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    with safe_open(rest.outputs["lora"][0], framework="pt") as stored:
        assert stored.metadata()["ss_mixed_precision"] == "bf16"
