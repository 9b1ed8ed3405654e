"""What `train_lora` does once torch may be imported."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from contracts.stagelog import Level

from gpu_runner import crew
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.checkpoint import BackgroundWriter, CheckpointMismatchError
from gpu_runner.engines.diffusion.components import Components, use_processors
from gpu_runner.engines.diffusion.config import PersonConfig, TrainConfig
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.exhaustion import MemoryExhaustedError
from gpu_runner.engines.diffusion.files.describe import Run, describe, write_both
from gpu_runner.engines.diffusion.hooks import TrainResult
from gpu_runner.engines.diffusion.likeness import Likeness, measure_likeness
from gpu_runner.engines.diffusion.memory.free import free_on
from gpu_runner.engines.diffusion.memory.room import require_room
from gpu_runner.engines.diffusion.optimizers import OptimizerUnavailableError
from gpu_runner.engines.diffusion.pictures import contact_sheet, require_drawn, shrink, write_png
from gpu_runner.engines.diffusion.sampling import sample
from gpu_runner.engines.diffusion.stages.faces import read_faces
from gpu_runner.engines.diffusion.stages.lessons import make_examples, make_prior
from gpu_runner.engines.diffusion.stages.telling import (
    PREVIEWED,
    SILENT,
    TAIL,
    TILE,
    Shows,
    make_hooks,
)
from gpu_runner.engines.diffusion.trainer import LoraTrainer, TrainingDivergedError
from gpu_runner.engines.diffusion.traits import Traits
from gpu_runner.faces.captions import captions_of
from gpu_runner.models.weights import told_of
from gpu_runner.stage import StageContext, StageError, StageResult

SHOWN = 4


def train(context: StageContext, traits: Traits, base: Path) -> StageResult:
    """Train a LoRA of the base at `base`: see `run` in an engine's `train_lora`."""
    params: PersonConfig = context.params
    _require_enough(params)
    context.report.progress(0, params.steps, "step", "loading the base")
    began, started_at = time.perf_counter(), datetime.now(UTC)
    use_processors()
    components = traits.load(base, context.device, params)
    context.report.line(require_room(components, params, free_on(components.device)))
    scenes = read_faces(context)
    photos = [scene.face for scene in scenes]
    prompt = traits.prompt(params.trigger_word, "")
    sampling = replace(traits.sampling, seed=context.seed)
    show = Shows(context, components, traits, prompt, enabled=params.sample_interval > 0)
    captions = captions_of(context.inputs, prompt)
    examples = make_examples(components, scenes, captions, params, traits)
    prior = make_prior(components, params, traits, context.seed)
    trainer = _trainer(components, examples, prior, params, context.seed, small=traits.small)
    context.report.line(
        f"{len(photos)} photos as {sum(examples.counts)} pictures, by shape "
        f"{'+'.join(map(str, examples.counts))}; "
        f"ready after {time.perf_counter() - began:.1f} s"
    )
    if not _take_up(trainer, context) and show.enabled and not crew.is_mate():
        # What the base draws as carefully as the LoRA later can wait until training is done.
        preview = replace(traits.preview, seed=context.seed)
        show(sample(components, prompt, PREVIEWED, preview), "before training", 0)
    writer = BackgroundWriter()
    try:
        result = trainer.run(SILENT if crew.is_mate() else make_hooks(context, show, writer))
        writer.wait()
    except TrainingDivergedError as error:
        raise StageError(
            "training-diverged", str(error), "Train again with a lower learning rate"
        ) from error
    except MemoryExhaustedError as error:
        raise StageError(
            "memory-exhausted",
            str(error),
            "Turn on gradient_checkpointing, or choose a smaller rank or a device with more memory",
        ) from error
    finally:
        writer.close()
    if crew.is_mate():
        return StageResult({})
    context.report.progress(params.steps, params.steps, "step", "measuring the likeness")
    trained_words = components.text_encoders if params.text_encoder else ()
    with lora.turned_off(components.unet, *trained_words):
        before = sample(components, prompt, SHOWN, sampling)
    after = sample(components, prompt, SHOWN, sampling)
    require_drawn(after)
    show(after, f"step {params.steps}", params.steps)
    likeness = measure_likeness(components, photos, [before, after])
    metrics = _metrics(result, params, likeness, len(photos))
    context.report.line(
        f"{metrics['steps_per_second']} steps/s; distance to the photos by {likeness.measure}: "
        f"{likeness.distances[0]:.3f} before, {likeness.distances[1]:.3f} after"
    )
    run = Run(
        base=base,
        photos=len(photos),
        seed=context.seed,
        began_at=started_at,
        ended_at=datetime.now(UTC),
        sample=after[0],
        licence=told_of(traits.name)["licence"],
    )
    adapter = lora.collect(components.unet, *trained_words)
    files = write_both(
        context.output, adapter, describe(run, traits, params, components), traits.naming
    )
    card = _write_card(context.output / "report.json", traits.name, params, result, metrics)
    small = [shrink(photo, components.side) for photo in photos[:SHOWN]]
    sheet = write_png(context.output / "samples.png", contact_sheet([small, before, after], TILE))
    return StageResult({**files, "report": [card], "samples": [sheet]}, metrics)


def _require_enough(params: PersonConfig) -> None:
    """StageError unless every device has a picture of each batch to itself."""
    if params.batch_size < crew.size():
        raise StageError(
            "batch-too-small",
            f"a batch of {params.batch_size} cannot be spread over {crew.size()} devices",
            f"Choose a batch_size of {crew.size()} or more",
        )


def _trainer(
    components: Components,
    examples: Examples,
    prior: Examples | None,
    params: PersonConfig,
    seed: int,
    *,
    small: bool,
) -> LoraTrainer:
    text_encoder = components.text_encoder if params.text_encoder else None
    try:
        return LoraTrainer(
            components.unet,
            components.schedule,
            examples,
            params,
            seed=seed,
            prior=prior,
            text_encoder=text_encoder,
            text_encoder_2=components.text_encoder_2 if params.text_encoder else None,
            small=small,
        )
    except OptimizerUnavailableError as error:
        raise StageError(
            "optimizer-unavailable",
            f"the optimizer {params.optimizer} cannot be had on this runner: {error}",
            "Choose the optimizer adamw, or install that package for the runner",
        ) from error


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


def _write_card(
    path: Path,
    engine: str,
    params: PersonConfig,
    result: TrainResult,
    metrics: dict[str, float | int | str],
) -> Path:
    card = {
        "engine": engine,
        "base": told_of(engine),
        "params": params.model_dump(mode="json"),
        "metrics": metrics,
        "loss": [round(loss, 5) for loss in result.losses],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    path.write_text(json.dumps(card, indent=1))
    return path
