"""The training loop of a LoRA, the same for a base of nine million weights or of two billion.

It knows tensors only: cached latents, cached text embeddings, a UNet with an adapter in
it and a noise schedule. All randomness comes from one generator whose state is part of
every checkpoint, so a run that was killed goes on exactly as it would have gone.

Of several processes, each on a device of its own, every one draws the same batch and computes its
share of it; accelerate adds up the gradients. So all hold the same state at every step, and a
checkpoint of the first fits any number of processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch.nn import functional

from gpu_runner.engines.diffusion import lora

STATE_FILE = "state.pt"
MAX_GRADIENT_NORM = 1.0


class TrainingDivergedError(Exception):
    """The loss is no longer a number at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is no longer a number at step {step}")
        self.step = step


class CheckpointMismatchError(Exception):
    """A checkpoint is damaged or was made with another configuration."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What is learned: `latents` [n, c, h, w], scaled, and `embeddings` [m, tokens, width].

    A step draws of each at random, so any picture meets any wording.
    """

    latents: torch.Tensor
    embeddings: torch.Tensor


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Numbers of one run. `min_snr_gamma` 0 weighs all noise levels alike (arXiv:2303.09556)."""

    rank: int
    alpha: int
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    min_snr_gamma: float
    checkpoint_every: int
    sample_every: int
    seed: int
    bfloat16: bool


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom to tell: of each step its number, loss and learning rate; when to show; when to keep.

    `checkpoint_wanted` is asked after each step whether to keep this one out of turn.
    """

    on_step: Callable[[int, float, float], None]
    on_sample: Callable[[int], None]
    on_checkpoint: Callable[[int, Callable[[Path], None]], None]
    checkpoint_wanted: Callable[[], bool] = _never


@dataclass(frozen=True, slots=True)
class TrainResult:
    """`losses` of all steps, also of those before a resume; the speed is this attempt's alone."""

    losses: list[float]
    steps_per_second: float
    resumed_at: int


class LoraTrainer:
    """One run over `examples`; the adapter is in `unet` from construction on.

    There must be no more processes than pictures in a batch.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        schedule: DDIMScheduler,
        examples: Examples,
        config: TrainConfig,
    ) -> None:
        self._unet = unet
        self._schedule = schedule
        self._examples = examples
        self._config = config
        self._generator = torch.Generator().manual_seed(config.seed)
        lora.attach(unet, config.rank, config.alpha, config.seed)
        self._parameters = [weight for weight in unet.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=1e-3
        )
        self._losses: list[float] = []
        device = examples.latents.device
        # The model is where it belongs already.
        self._accelerator = Accelerator(cpu=device.type == "cpu", device_placement=False)
        self._model, self._stepper = self._accelerator.prepare(unet, self._optimizer)
        first, every = self._accelerator.process_index, self._accelerator.num_processes
        self._share = torch.arange(first, config.batch_size, every)

    def resume(self, directory: Path) -> int:
        """Take up a checkpoint; returns the steps already done.

        Raises:
            CheckpointMismatchError: it cannot be read, or belongs to another configuration.

        """
        try:
            state: dict[str, Any] = torch.load(directory / STATE_FILE, weights_only=True)
            if state["config"] != asdict(self._config):
                raise CheckpointMismatchError("made with another configuration")
            lora.restore(self._unet, state["lora"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._generator.set_state(state["generator"])
            self._losses = list(state["losses"])
        except (OSError, KeyError, RuntimeError, ValueError, EOFError) as error:
            raise CheckpointMismatchError("cannot be read") from error
        return len(self._losses)

    def save(self, directory: Path) -> None:
        """Write everything that `resume` needs into `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        state = {
            "config": asdict(self._config),
            "lora": lora.weights(self._unet),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "losses": self._losses,
        }
        torch.save(state, directory / STATE_FILE)

    def run(self, hooks: Hooks) -> TrainResult:
        """Train up to the last step.

        Raises:
            TrainingDivergedError: the loss stopped being a number; the adapter is worthless.

        """
        config = self._config
        first = len(self._losses)
        training_seconds = 0.0
        for step in range(first + 1, config.steps + 1):
            begun = time.perf_counter()
            loss = self._step(step)
            training_seconds += time.perf_counter() - begun
            if not math.isfinite(loss):
                raise TrainingDivergedError(step)
            self._losses.append(loss)
            hooks.on_step(step, loss, self._rate(step))
            if step < config.steps and config.sample_every and step % config.sample_every == 0:
                self._unet.eval()
                hooks.on_sample(step)
            in_turn = step % config.checkpoint_every == 0
            if step < config.steps and (in_turn or hooks.checkpoint_wanted()):
                hooks.on_checkpoint(step, self.save)
        self._unet.eval()
        done = config.steps - first
        speed = done / training_seconds if training_seconds else 0.0
        return TrainResult(self._losses, speed, first)

    def _step(self, step: int) -> float:
        config, examples = self._config, self._examples
        device = examples.latents.device
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate(step)
        self._model.train()
        latents = examples.latents[self._draw(len(examples.latents))]
        words = examples.embeddings[self._draw(len(examples.embeddings))]
        levels = len(self._schedule.alphas_cumprod)
        times = torch.randint(levels, (config.batch_size,), generator=self._generator).to(device)
        noise = torch.randn(latents.shape, generator=self._generator).to(device)
        # diffusers' annotations ask for a tensor class that torch makes only in its old way.
        noisy = self._schedule.add_noise(latents, noise, times)  # type: ignore[arg-type]
        mine = self._share.to(device)
        target = self._target(latents, noise, times)[mine]
        noisy, times, words = noisy[mine], times[mine], words[mine]
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
            predicted = self._model(noisy, times, words, return_dict=False)[0]
        errors = functional.mse_loss(predicted.float(), target, reduction="none")
        loss = (errors.mean((1, 2, 3)) * self._weights(times)).sum() / config.batch_size
        # Gradients are averaged over the processes, and each has but its part of the mean.
        self._accelerator.backward(loss * self._accelerator.num_processes)
        torch.nn.utils.clip_grad_norm_(self._parameters, MAX_GRADIENT_NORM)
        self._stepper.step()
        self._stepper.zero_grad()
        return float(self._accelerator.reduce(loss.detach(), reduction="sum").item())

    def _rate(self, step: int) -> float:
        return self._config.learning_rate * _schedule(step, self._config)

    def _draw(self, size: int) -> torch.Tensor:
        return torch.randint(size, (self._config.batch_size,), generator=self._generator)

    def _target(
        self, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> torch.Tensor:
        if self._schedule.config["prediction_type"] == "v_prediction":
            return self._schedule.get_velocity(latents, noise, times)  # type: ignore[arg-type]
        return noise

    def _weights(self, times: torch.Tensor) -> torch.Tensor:
        """Loss weights [batch] by noise level: min-SNR, for v or for noise prediction."""
        if not self._config.min_snr_gamma:
            return torch.ones(len(times), device=times.device)
        kept = self._schedule.alphas_cumprod.to(times.device)[times]
        snr = kept / (1 - kept).clamp(min=1e-8)
        capped = snr.clamp(max=self._config.min_snr_gamma)
        is_velocity = self._schedule.config["prediction_type"] == "v_prediction"
        return capped / (snr + 1) if is_velocity else capped / snr.clamp(min=1e-8)


def _schedule(step: int, config: TrainConfig) -> float:
    """Fraction of the learning rate at `step` (from 1): linear warm-up, cosine to a tenth."""
    if step <= config.warmup_steps:
        return step / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2
