"""What `train_lora` does once torch may be imported."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import (
    Components,
    Rgb,
    encode_pictures,
    encode_prompts,
    load_components,
    use_processors,
)
from gpu_runner.engines.diffusion.pictures import (
    contact_sheet,
    inner,
    read_square,
    shrink,
    write_png,
)
from gpu_runner.engines.diffusion.sampling import SamplingConfig, sample
from gpu_runner.engines.diffusion.trainer import (
    CheckpointMismatchError,
    Examples,
    Hooks,
    LoraTrainer,
    TrainConfig,
    TrainingDivergedError,
    TrainResult,
)
from gpu_runner.engines.mini.base import prompt_for, require
from gpu_runner.engines.mini.likeness import Likeness, measure_likeness
from gpu_runner.stage import StageContext, StageError, StageResult

if TYPE_CHECKING:
    from gpu_runner.engines.mini.train_lora import Params

ZOOMS = (1.0, 1.08)
SHOWN = 4
TILE = 192
PREVIEW = SamplingConfig(steps=12)


def train(context: StageContext, base: Path) -> StageResult:
    """See `train_lora.run`."""
    params: Params = context.params
    context.report.progress(0, params.steps, "step", "loading the base")
    use_processors()
    components = load_components(require(base), context.device)
    photos = read_faces(context)
    prompt = prompt_for(params.trigger_word)
    sampling = SamplingConfig(seed=context.seed)
    before = sample(components, prompt, SHOWN, sampling)
    config = _config(params, context.seed)
    trainer = LoraTrainer(
        components.unet, components.schedule, _examples(components, photos, params), config
    )
    _take_up(trainer, context, config)
    try:
        result = trainer.run(_hooks(context, components, prompt, config.steps))
    except TrainingDivergedError as error:
        raise StageError(
            "training-diverged", str(error), "Train again with a lower learning rate"
        ) from error
    context.report.progress(config.steps, config.steps, "step", "measuring the likeness")
    after = sample(components, prompt, SHOWN, sampling)
    likeness = measure_likeness(components, photos, [before, after])
    metrics = _metrics(result, config, likeness, len(photos))
    path = context.output / "lora.safetensors"
    lora.save(components.unet, path, _notes(params, config, metrics))
    card = context.output / "report.json"
    card.write_text(json.dumps(_card(params, result, metrics), indent=1))
    small = [shrink(photo, components.side) for photo in photos[:SHOWN]]
    sheet = write_png(context.output / "samples.png", contact_sheet([small, before, after], TILE))
    return StageResult({"lora": [path], "report": [card], "samples": [sheet]}, metrics)


def read_faces(context: StageContext) -> list[Rgb]:
    """The face crops of input `faces`, best first.

    Raises:
        StageError: `no-faces`, `face-unreadable`.

    """
    paths = context.inputs.get("faces", ())
    if not paths:
        raise StageError(
            "no-faces", "no face crop was given", "Give at least one photo of the person"
        )
    photos: list[Rgb] = []
    for number, path in enumerate(paths, start=1):
        try:
            photos.append(read_square(path))
        except OSError as error:
            raise StageError(
                "face-unreadable",
                f"face crop {number} is not a readable picture",
                "Prepare the photos again",
            ) from error
    return photos


def _config(params: Params, seed: int) -> TrainConfig:
    return TrainConfig(
        rank=params.rank,
        alpha=params.alpha or params.rank,
        steps=params.steps,
        batch_size=params.batch_size,
        learning_rate=params.learning_rate,
        warmup_steps=params.warmup_steps,
        min_snr_gamma=params.min_snr_gamma,
        checkpoint_every=params.checkpoint_every,
        sample_every=params.sample_every,
        seed=seed,
        bfloat16=params.bfloat16,
    )


def _examples(components: Components, photos: list[Rgb], params: Params) -> Examples:
    """Each photo whole and a little nearer, plain and mirrored, under the trigger word."""
    views = [shrink(inner(photo, zoom), components.side) for photo in photos for zoom in ZOOMS]
    if params.flip:
        views += [view[:, ::-1] for view in views]
    prompts = [prompt_for(params.trigger_word)]
    return Examples(encode_pictures(components, views), encode_prompts(components, prompts))


def _take_up(trainer: LoraTrainer, context: StageContext, config: TrainConfig) -> None:
    if context.resume is None:
        return
    try:
        done = trainer.resume(context.resume)
    except CheckpointMismatchError as error:
        context.report.progress(0, config.steps, "step", f"starting again: checkpoint {error}")
    else:
        context.report.progress(done, config.steps, "step", "going on from a checkpoint")


def _hooks(context: StageContext, components: Components, prompt: str, steps: int) -> Hooks:
    def on_step(step: int, loss: float) -> None:
        context.report.progress(step, steps, "step", f"loss {loss:.3f}")

    def on_sample(step: int) -> None:
        pictures = sample(components, prompt, SHOWN, PREVIEW)
        path = write_png(context.scratch / f"sample-{step}.png", contact_sheet([pictures], TILE))
        context.report.sample(path, f"from noise after {step} steps", step)

    def on_checkpoint(step: int, save: Callable[[Path], None]) -> None:
        directory = context.scratch / f"checkpoint-{step}"
        save(directory)
        context.report.checkpoint(directory, step)

    return Hooks(on_step, on_sample, on_checkpoint)


def _metrics(
    result: TrainResult, config: TrainConfig, likeness: Likeness, photos: int
) -> dict[str, float | int | str]:
    tail = result.losses[-20:]
    before, after = likeness.distances
    return {
        "steps": config.steps,
        "resumed_at": result.resumed_at,
        "steps_per_second": round(result.steps_per_second, 2),
        "final_loss": round(sum(tail) / len(tail), 4),
        "photos": photos,
        "identity_measure": likeness.measure,
        "identity_before": before,
        "identity_after": after,
    }


def _card(
    params: Params, result: TrainResult, metrics: dict[str, float | int | str]
) -> dict[str, object]:
    return {
        "engine": "mini",
        "params": params.model_dump(),
        "metrics": metrics,
        "loss": [round(loss, 5) for loss in result.losses],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _notes(
    params: Params, config: TrainConfig, metrics: dict[str, float | int | str]
) -> dict[str, str]:
    """The header entries by which other programs know a LoRA: `modelspec.*` and `ss_*`."""
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "myspinbot-mini/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": "MySpinBot personal LoRA",
        "modelspec.prediction_type": "v",
        "modelspec.trigger_phrase": params.trigger_word,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(config.rank),
        "ss_network_alpha": str(config.alpha),
        "ss_learning_rate": str(config.learning_rate),
        "ss_max_train_steps": str(config.steps),
        "ss_total_batch_size": str(config.batch_size),
        "ss_seed": str(config.seed),
        "ss_num_train_images": str(metrics["photos"]),
    }
