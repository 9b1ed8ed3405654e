"""Training a LoRA: on random weights for the mechanics, on the shipped base for the result."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.checkpoint import CheckpointMismatchError
from gpu_runner.engines.diffusion.components import (
    Components,
    encode_pictures,
    encode_prompts,
    load_components,
)
from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.hooks import Hooks
from gpu_runner.engines.diffusion.pictures import read_square, shrink
from gpu_runner.engines.diffusion.sampling import SamplingConfig, sample
from gpu_runner.engines.diffusion.trainer import LoraTrainer, TrainingDivergedError
from gpu_runner.engines.mini import train_lora
from gpu_runner.engines.mini.base import BASE, prompt_for
from gpu_runner.stage import StageError
from mini_support import Memory, make_context, write_face, write_random_base
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import load_file

pytestmark = pytest.mark.long

SILENT = Hooks(lambda *_: None, lambda *_: None, lambda *_: None)


@pytest.fixture(scope="module")
def random_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face(tmp_path_factory.mktemp("face"))


def config(**changes: object) -> TrainConfig:
    settings = {
        "rank": 4,
        "convolutions": True,
        "steps": 6,
        "batch_size": 2,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "min_snr_gamma": 5.0,
        "checkpoint_every": 3,
        "sample_every": 0,
    }
    return TrainConfig.model_validate({**settings, **changes})


def examples(components: Components, face: Path) -> Examples:
    picture = shrink(read_square(face), components.side)
    return Examples(
        (encode_pictures(components, [picture, picture[:, ::-1]]),),
        encode_prompts(components, [prompt_for("sks")]),
    )


def trainer(base: Path, face: Path, settings: TrainConfig) -> tuple[LoraTrainer, Components]:
    components = load_components(base, "cpu")
    learned = examples(components, face)
    made = LoraTrainer(components.unet, components.schedule, learned, settings, seed=3)
    return made, components


def test_parameters_are_known_without_torch() -> None:
    code = (
        "import sys\n"
        "from gpu_runner.engines.mini import generate_portrait, train_lora\n"
        "train_lora.Params.model_json_schema(); generate_portrait.Params.model_json_schema()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("wrong", [{"epochs": 3}, {"rank": 0}, {"trigger_word": "two words"}])
def test_unknown_or_impossible_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        train_lora.Params.model_validate(wrong)


def test_a_new_adapter_changes_nothing(random_base: Path) -> None:
    components = load_components(random_base, "cpu")
    before = sample(components, "a", 1, SamplingConfig(steps=4))
    lora.attach(components.unet, rank=4, alpha=4, seed=1)
    after = sample(components, "a", 1, SamplingConfig(steps=4))
    assert np.array_equal(before, after)


def test_all_weights_of_a_file_come_back(random_base: Path, face: Path, tmp_path: Path) -> None:
    run, trained = trainer(random_base, face, config())
    run.run(SILENT)
    lora.collect(trained.unet).write(tmp_path / "lora.safetensors")
    loaded = load_components(random_base, "cpu")
    lora.load(loaded.unet, tmp_path / "lora.safetensors")
    expected, found = lora.weights(trained.unet), lora.weights(loaded.unet)
    assert expected.keys() == found.keys()
    assert all(torch.allclose(expected[name], found[name], atol=1e-3) for name in expected)
    assert any("attn2.to_k" in name and found[name].abs().sum() > 0 for name in found)


def test_a_resumed_run_ends_with_the_very_same_weights(
    random_base: Path, face: Path, tmp_path: Path
) -> None:
    straight, components = trainer(random_base, face, config())
    kept = {3: tmp_path / "3", 6: tmp_path / "6"}
    whole = straight.run(
        Hooks(lambda *_: None, lambda *_: None, lambda step, save: save(kept[step]))
    )
    second, resumed = trainer(random_base, face, config())
    assert second.resume(kept[3]) == 3
    rest = second.run(SILENT)
    assert rest.losses == whole.losses
    assert rest.resumed_at == 3
    ended, at_end = trainer(random_base, face, config())
    assert ended.resume(kept[6]) == 6
    assert ended.run(SILENT).losses == whole.losses
    expected = lora.weights(components.unet)
    for found in (lora.weights(resumed.unet), lora.weights(at_end.unet)):
        assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_checkpoint_of_another_configuration_is_not_taken_up(
    random_base: Path, face: Path, tmp_path: Path
) -> None:
    trainer(random_base, face, config())[0].save(tmp_path)
    with pytest.raises(CheckpointMismatchError):
        trainer(random_base, face, config(rank=8))[0].resume(tmp_path)


def test_a_damaged_checkpoint_starts_the_stage_again(
    random_base: Path, face: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "checkpoint"
    broken.mkdir()
    (broken / "state.pt").write_bytes(b"half a file")
    report = Memory()
    params = train_lora.Params(steps=2, batch_size=1, rank=2, sample_every=0)
    context = make_context(
        tmp_path / "run", params, {"faces": [face]}, report=report, resume=broken
    )
    result = train_lora.run(context, random_base)
    assert result.metrics["resumed_at"] == 0
    assert any("starting again" in message for *_, message in report.steps)


def test_a_loss_that_is_no_number_stops_the_training(random_base: Path, face: Path) -> None:
    components = load_components(random_base, "cpu")
    good = examples(components, face)
    bad = Examples((torch.full_like(good.latents[0], torch.inf),), good.words)
    run = LoraTrainer(components.unet, components.schedule, bad, config(), seed=3)
    with pytest.raises(TrainingDivergedError) as caught:
        run.run(SILENT)
    assert caught.value.step == 1


def test_progress_samples_and_checkpoints_are_reported(
    random_base: Path, face: Path, tmp_path: Path
) -> None:
    report = Memory()
    params = train_lora.Params(
        steps=4, batch_size=1, rank=2, sample_every=2, checkpoint_every=2, warmup_steps=0
    )
    context = make_context(tmp_path, params, {"faces": [face]}, report=report)
    result = train_lora.run(context, random_base)
    steps = [done for done, total, unit, _ in report.steps if (total, unit) == (4, "step")]
    assert steps == sorted(steps)
    assert set(steps) == {0, 1, 2, 3, 4}
    assert [step for *_, step in report.samples] == [0, 2, 4]
    assert [caption for _, caption, _ in report.samples] == ["before training", "step 2", "step 4"]
    assert [step for step, _ in report.measured][:2] == [1, 2]
    assert report.measured[-1][0] == 4
    first = report.measured[0][1]
    assert first["loss"] == first["loss_smooth"] > 0
    assert 0 < report.measured[-1][1]["lr"] < first["lr"] < 1e-3
    assert [step for _, step in report.checkpoints] == [2, 4]
    assert (report.checkpoints[0][0] / "state.pt").is_file()
    card = json.loads(result.outputs["report"][0].read_text())
    assert len(card["loss"]) == 4


@pytest.mark.parametrize(
    ("steps", "asked", "shown"),
    [(60, None, 3), (100, None, 5), (300, None, 6), (100, 10, 11), (100, 0, 0)],
)
def test_a_run_shows_a_few_samples_or_as_many_as_were_asked_for(
    steps: int, asked: int | None, shown: int
) -> None:
    every = train_lora.Params(steps=steps, sample_every=asked).sample_interval
    in_between = [step for step in range(1, steps) if every and step % every == 0]
    assert len(in_between) + (2 if every else 0) == shown


@pytest.mark.parametrize("output", ["lora", "lora_kohya"])
def test_a_lora_of_a_foreign_base_trains_and_loads_too(
    random_base: Path, face: Path, tmp_path: Path, output: str
) -> None:
    params = train_lora.Params(steps=2, batch_size=1, rank=2, sample_every=0)
    context = make_context(tmp_path, params, {"faces": [face]})
    (path,) = train_lora.run(context, random_base).outputs[output]
    with safe_open(path, framework="pt") as stored:
        header = stored.metadata()
    # The base's own words, not the shipped one's; its sample for a picture; nothing of a file.
    assert header["modelspec.prediction_type"] == "epsilon"
    assert header["modelspec.resolution"] == "32x32"
    assert header["modelspec.thumbnail"].startswith("data:image/jpeg;base64,")
    assert len(header["ss_new_sd_model_hash"]) == 64
    told = [text for name, text in header.items() if name != "modelspec.thumbnail"]
    assert not any(face.stem in text or str(tmp_path) in text for text in told)
    pipeline = StableDiffusionPipeline.from_pretrained(random_base, safety_checker=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        pipeline.load_lora_weights(path)
    assert pipeline.get_active_adapters()


def test_absent_weights_are_named(face: Path, tmp_path: Path) -> None:
    context = make_context(tmp_path, train_lora.Params(), {"faces": [face]})
    with pytest.raises(StageError) as caught:
        train_lora.run(context, tmp_path / "nothing")
    assert caught.value.code == "weights-absent"


def test_no_face_and_a_broken_face_are_refused(random_base: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        train_lora.run(make_context(tmp_path / "a", train_lora.Params(), {}), random_base)
    assert caught.value.code == "no-faces"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(StageError) as caught:
        train_lora.run(
            make_context(tmp_path / "b", train_lora.Params(), {"faces": [broken]}), random_base
        )
    assert caught.value.code == "face-unreadable"
    assert "1" in caught.value.cause
    assert "broken.png" not in str(caught.value)


def test_a_person_is_learned_and_plain_diffusers_draws_her(face: Path, tmp_path: Path) -> None:
    """The whole promise on the shipped base: nearer to the photo, and loadable elsewhere."""
    params = train_lora.Params(steps=80, sample_every=0, flip=False)
    result = train_lora.run(make_context(tmp_path, params, {"faces": [face]}), BASE)
    (path,) = result.outputs["lora"]
    assert all(name.startswith("unet.") for name in load_file(path))
    components = load_components(BASE, "cpu")
    known = encode_pictures(components, [shrink(read_square(face), components.side)])

    pipeline = DiffusionPipeline.from_pretrained(BASE, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)

    def distance() -> float:
        drawn = pipeline(
            ["portrait, sks"] * 2,
            num_inference_steps=10,
            guidance_scale=2.0,
            generator=torch.Generator().manual_seed(4),
            output_type="np",
        ).images
        pictures = list((drawn * 255).round().astype(np.uint8))
        return (encode_pictures(components, pictures) - known).square().mean().item()

    before = distance()
    pipeline.load_lora_weights(path)
    after = distance()
    assert after < 0.8 * before
