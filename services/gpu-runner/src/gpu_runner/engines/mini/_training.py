"""What `train_lora` does once torch may be imported."""

from __future__ import annotations

import json
import math
import platform
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from contracts.stagelog import Level

from gpu_runner import crew
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
MOST_IN_BETWEEN = 4
STEPS_FOR_A_SAMPLE = 33
"""So many steps take twenty times as long as one sample between them."""
PREVIEWED = 2
PREVIEW_STEPS = 4
TAIL = 20
"""Steps over which the loss is averaged, as one step's says little."""
TOLD_EVERY_S = 1.0


def train(context: StageContext, base: Path) -> StageResult:
    """See `train_lora.run`."""
    params: Params = context.params
    _require_enough(params)
    context.report.progress(0, params.steps, "step", "loading the base")
    began = time.perf_counter()
    use_processors()
    components = load_components(require(base), context.device)
    photos = read_faces(context)
    prompt = prompt_for(params.trigger_word)
    sampling = SamplingConfig(seed=context.seed)
    before = [] if crew.is_mate() else sample(components, prompt, SHOWN, sampling)
    config = _config(params, context.seed)
    show = _Shows(context, components, prompt, enabled=config.sample_every > 0)
    trainer = LoraTrainer(
        components.unet, components.schedule, _examples(components, photos, params), config
    )
    context.report.line(f"{len(photos)} photos; ready after {time.perf_counter() - began:.1f} s")
    if not _take_up(trainer, context, config) and before:
        show(before, "before training", 0)
    try:
        result = trainer.run(_SILENT if crew.is_mate() else _hooks(context, show, config))
    except TrainingDivergedError as error:
        raise StageError(
            "training-diverged", str(error), "Train again with a lower learning rate"
        ) from error
    if crew.is_mate():
        return StageResult({})
    context.report.progress(config.steps, config.steps, "step", "measuring the likeness")
    after = sample(components, prompt, SHOWN, sampling)
    show(after, f"step {config.steps}", config.steps)
    likeness = measure_likeness(components, photos, [before, after])
    metrics = _metrics(result, config, likeness, len(photos))
    context.report.line(
        f"{metrics['steps_per_second']} steps/s; distance to the photos by {likeness.measure}: "
        f"{likeness.distances[0]:.3f} before, {likeness.distances[1]:.3f} after"
    )
    path = context.output / "lora.safetensors"
    lora.save(components.unet, path, _notes(params, config, metrics))
    card = context.output / "report.json"
    card.write_text(json.dumps(_card(params, result, metrics), indent=1))
    small = [shrink(photo, components.side) for photo in photos[:SHOWN]]
    sheet = write_png(context.output / "samples.png", contact_sheet([small, before, after], TILE))
    return StageResult({"lora": [path], "report": [card], "samples": [sheet]}, metrics)


def _require_enough(params: Params) -> None:
    """StageError unless every device has a picture of each batch to itself."""
    if params.batch_size < crew.size():
        raise StageError(
            "batch-too-small",
            f"a batch of {params.batch_size} cannot be spread over {crew.size()} devices",
            f"Choose a batch_size of {crew.size()} or more",
        )


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
        sample_every=sample_every(params),
        seed=seed,
        bfloat16=params.bfloat16,
    )


def sample_every(params: Params) -> int:
    """Steps between samples during training; 0 for none at all."""
    if params.sample_every is not None:
        return params.sample_every
    in_between = min(MOST_IN_BETWEEN, params.steps // STEPS_FOR_A_SAMPLE)
    return math.ceil(params.steps / (in_between + 1))


def _examples(components: Components, photos: list[Rgb], params: Params) -> Examples:
    """Each photo whole and a little nearer, plain and mirrored, under the trigger word."""
    views = [shrink(inner(photo, zoom), components.side) for photo in photos for zoom in ZOOMS]
    if params.flip:
        views += [view[:, ::-1] for view in views]
    prompts = [prompt_for(params.trigger_word)]
    return Examples(encode_pictures(components, views), encode_prompts(components, prompts))


def _take_up(trainer: LoraTrainer, context: StageContext, config: TrainConfig) -> bool:
    """Whether an earlier attempt's checkpoint is gone on from."""
    if context.resume is None:
        return False
    try:
        done = trainer.resume(context.resume)
    except CheckpointMismatchError as error:
        context.report.progress(0, config.steps, "step", f"starting again: checkpoint {error}")
        context.report.line(f"the checkpoint {error}: starting again", Level.WARNING)
        return False
    context.report.progress(done, config.steps, "step", "going on from a checkpoint")
    context.report.line(f"going on from step {done}")
    return True


@dataclass(frozen=True, slots=True)
class _Shows:
    """Shows pictures from the same noise all along, so that what changes is what was learned."""

    context: StageContext
    components: Components
    prompt: str
    enabled: bool

    def __call__(self, pictures: list[Rgb], caption: str, step: int) -> None:
        if self.enabled:
            sheet = contact_sheet([pictures[:PREVIEWED]], TILE)
            path = write_png(self.context.scratch / f"sample-{step}.png", sheet)
            self.context.report.sample(path, caption, step)

    def draw(self, step: int) -> None:
        """Draw what the LoRA can do at this step, at little cost."""
        config = SamplingConfig(PREVIEW_STEPS, guidance=1.0, seed=self.context.seed)
        pictures = sample(self.components, self.prompt, PREVIEWED, config)
        self(pictures, f"step {step}", step)


_SILENT = Hooks(lambda *_: None, lambda *_: None, lambda *_: None)
"""Of several processes only the first tells and keeps anything."""


def _hooks(context: StageContext, show: _Shows, config: TrainConfig) -> Hooks:
    recent: deque[float] = deque(maxlen=TAIL)
    told_at = float("-inf")

    def on_step(step: int, loss: float, rate: float) -> None:
        nonlocal told_at
        recent.append(loss)
        context.report.progress(step, config.steps, "step", f"loss {loss:.3f}")
        now = time.monotonic()
        if (
            now - told_at >= TOLD_EVERY_S
            or step in (1, config.steps)
            or not (step % config.checkpoint_every)
        ):
            told_at = now
            smooth = sum(recent) / len(recent)
            context.report.values(step, loss=loss, loss_smooth=smooth, lr=rate)

    def on_checkpoint(step: int, save: Callable[[Path], None]) -> None:
        directory = context.scratch / f"checkpoint-{step}"
        save(directory)
        context.report.checkpoint(directory, step)
        context.report.line(f"checkpoint at step {step}")

    return Hooks(on_step, show.draw, on_checkpoint, context.checkpoint_wanted)


def _metrics(
    result: TrainResult, config: TrainConfig, likeness: Likeness, photos: int
) -> dict[str, float | int | str]:
    tail = result.losses[-TAIL:]
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
