"""What `train_lora` does once torch may be imported."""

from __future__ import annotations

import json
import platform
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from contracts.stagelog import Level

from gpu_runner import crew
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.checkpoint import BackgroundWriter, CheckpointMismatchError
from gpu_runner.engines.diffusion.components import (
    Components,
    Rgb,
    encode_pictures,
    encode_prompts,
    load_components,
    tokenize,
    use_processors,
)
from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.files.describe import Run, describe, write_both
from gpu_runner.engines.diffusion.files.header import MINI
from gpu_runner.engines.diffusion.hooks import Hooks, TrainResult
from gpu_runner.engines.diffusion.optimizers import OptimizerUnavailableError
from gpu_runner.engines.diffusion.pictures import (
    contact_sheet,
    inner,
    read_square,
    shrink,
    write_png,
)
from gpu_runner.engines.diffusion.sampling import SamplingConfig, sample
from gpu_runner.engines.diffusion.trainer import LoraTrainer, TrainingDivergedError
from gpu_runner.engines.mini.base import prompt_for, require
from gpu_runner.engines.mini.likeness import Likeness, measure_likeness
from gpu_runner.faces.captions import captions_of
from gpu_runner.stage import StageContext, StageError, StageResult

if TYPE_CHECKING:
    from gpu_runner.engines.mini.train_lora import Params

ZOOMS = (1.0, 1.08)
BARE_ONE_IN = 4
"""One in so many times a photo is learned without its caption, for prompts that have none."""
SHOWN = 4
TILE = 192
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
    began, started_at = time.perf_counter(), datetime.now(UTC)
    use_processors()
    components = load_components(require(base), context.device)
    photos = read_faces(context)
    prompt = prompt_for(params.trigger_word)
    sampling = SamplingConfig(seed=context.seed)
    before = [] if crew.is_mate() else sample(components, prompt, SHOWN, sampling)
    show = _Shows(context, components, prompt, enabled=params.sample_interval > 0)
    captions = captions_of(context.inputs, prompt)
    trainer = _trainer(components, photos, captions, params, context.seed)
    context.report.line(f"{len(photos)} photos; ready after {time.perf_counter() - began:.1f} s")
    if not _take_up(trainer, context) and before:
        show(before, "before training", 0)
    writer = BackgroundWriter()
    try:
        result = trainer.run(_SILENT if crew.is_mate() else _hooks(context, show, writer))
        writer.wait()
    except TrainingDivergedError as error:
        raise StageError(
            "training-diverged", str(error), "Train again with a lower learning rate"
        ) from error
    finally:
        writer.close()
    if crew.is_mate():
        return StageResult({})
    context.report.progress(params.steps, params.steps, "step", "measuring the likeness")
    after = sample(components, prompt, SHOWN, sampling)
    show(after, f"step {params.steps}", params.steps)
    likeness = measure_likeness(components, photos, [before, after])
    metrics = _metrics(result, params, likeness, len(photos))
    context.report.line(
        f"{metrics['steps_per_second']} steps/s; distance to the photos by {likeness.measure}: "
        f"{likeness.distances[0]:.3f} before, {likeness.distances[1]:.3f} after"
    )
    run = Run(
        engine="mini",
        base=base,
        photos=len(photos),
        seed=context.seed,
        began_at=started_at,
        ended_at=datetime.now(UTC),
        sample=after[0],
    )
    trained_text = components.text_encoder if params.text_encoder else None
    adapter = lora.collect(components.unet, trained_text)
    files = write_both(context.output, adapter, describe(run, MINI, params, components))
    card = context.output / "report.json"
    card.write_text(json.dumps(_card(params, result, metrics), indent=1))
    small = [shrink(photo, components.side) for photo in photos[:SHOWN]]
    sheet = write_png(context.output / "samples.png", contact_sheet([small, before, after], TILE))
    return StageResult({**files, "report": [card], "samples": [sheet]}, metrics)


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


def _trainer(
    components: Components, photos: list[Rgb], captions: list[str], params: Params, seed: int
) -> LoraTrainer:
    examples = _examples(components, photos, captions, params)
    text_encoder = components.text_encoder if params.text_encoder else None
    try:
        return LoraTrainer(
            components.unet,
            components.schedule,
            examples,
            params,
            seed=seed,
            text_encoder=text_encoder,
        )
    except OptimizerUnavailableError as error:
        raise StageError(
            "optimizer-unavailable",
            f"the optimizer {params.optimizer} cannot be had on this runner: {error}",
            "Choose the optimizer adamw, or install that package for the runner",
        ) from error


def _examples(
    components: Components, photos: list[Rgb], captions: list[str], params: Params
) -> Examples:
    """Each photo whole and a little nearer, plain and mirrored, under its caption."""
    views = [shrink(inner(photo, zoom), components.side) for photo in photos for zoom in ZOOMS]
    if params.flip:
        views += [view[:, ::-1] for view in views]
    prompts, of_photos = _wordings(captions, prompt_for(params.trigger_word))
    of_views = of_photos.repeat_interleave(len(ZOOMS), dim=0).repeat(1 + params.flip, 1)
    latents = encode_pictures(components, views)
    if params.text_encoder:
        return Examples(latents, tokenize(components, prompts), of_views)
    return Examples(latents, encode_prompts(components, prompts), of_views)


def _wordings(captions: list[str], bare: str) -> tuple[list[str], torch.Tensor]:
    """All prompts, and which of them each photo has [photos, k]: now and then the bare one."""
    prompts = list(dict.fromkeys([bare, *captions]))
    if len(prompts) == 1:
        return prompts, torch.zeros((len(captions), 1), dtype=torch.long)
    own = [prompts.index(caption) for caption in captions]
    return prompts, torch.tensor([[number] * (BARE_ONE_IN - 1) + [0] for number in own])


def _take_up(trainer: LoraTrainer, context: StageContext) -> bool:
    """Whether an earlier attempt's checkpoint is gone on from."""
    if context.resume is None:
        return False
    steps: int = context.params.steps
    try:
        done = trainer.resume(context.resume)
    except CheckpointMismatchError as error:
        context.report.progress(0, steps, "step", f"starting again: checkpoint {error}")
        context.report.line(f"the checkpoint {error}: starting again", Level.WARNING)
        return False
    context.report.progress(done, steps, "step", "going on from a checkpoint")
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


def _hooks(context: StageContext, show: _Shows, writer: BackgroundWriter) -> Hooks:
    config: TrainConfig = context.params
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
        def write() -> None:
            directory = context.scratch / f"checkpoint-{step}"
            save(directory)
            context.report.checkpoint(directory, step)
            context.report.line(f"checkpoint at step {step}")

        writer.submit(write)

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
        "checkpoint_pause": round(result.paused, 4),
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
        "params": params.model_dump(mode="json"),
        "metrics": metrics,
        "loss": [round(loss, 5) for loss in result.losses],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
