"""What is told of a training while it runs: progress, curve, samples, checkpoints."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from contracts.stagelog import Level

from gpu_runner.engines.diffusion.checkpoint import BackgroundWriter
from gpu_runner.engines.diffusion.components import Components, Rgb
from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.exhaustion import ran_out
from gpu_runner.engines.diffusion.hooks import Hooks
from gpu_runner.engines.diffusion.pictures import contact_sheet, write_png
from gpu_runner.engines.diffusion.sampling import sample
from gpu_runner.engines.diffusion.traits import Traits
from gpu_runner.stage import StageContext

TILE = 192
PREVIEWED = 2
TAIL = 20
"""Steps over which the loss is averaged, as one step's says little."""
TOLD_EVERY_S = 1.0
SILENT = Hooks(lambda *_: None, lambda *_: None, lambda *_: None)
"""Of several processes only the first tells and keeps anything."""


@dataclass(frozen=True, slots=True)
class Shows:
    """Shows pictures from the same noise all along, so that what changes is what was learned."""

    context: StageContext
    components: Components
    traits: Traits
    prompt: str
    enabled: bool

    def __call__(self, pictures: list[Rgb], caption: str, step: int) -> None:
        if self.enabled:
            sheet = contact_sheet([pictures[:PREVIEWED]], TILE)
            path = write_png(self.context.scratch / f"sample-{step}.png", sheet)
            self.context.report.sample(path, caption, step)

    def draw(self, step: int) -> None:
        """Draw what the LoRA can do at this step, at little cost; without memory, nothing."""
        config = replace(self.traits.preview, seed=self.context.seed)
        try:
            pictures = sample(self.components, self.prompt, PREVIEWED, config)
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
            self.context.report.line(f"no memory for a sample at step {step}", Level.WARNING)
            return
        self(pictures, f"step {step}", step)


def make_hooks(context: StageContext, show: Shows, writer: BackgroundWriter) -> Hooks:
    """Hooks that report each step, show samples and keep checkpoints by `writer`."""
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

    def on_smaller_batch(step: int, pictures: int) -> None:
        context.report.line(
            f"memory ran out at step {step}: going on with {pictures} pictures at once, "
            "whose gradients are added up; what is learned is the same",
            Level.WARNING,
        )

    return Hooks(on_step, show.draw, on_checkpoint, context.checkpoint_wanted, on_smaller_batch)
