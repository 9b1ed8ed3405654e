"""The training loop of a LoRA, the same for a base of nine million weights or of two billion.

It knows tensors only: cached latents, cached text embeddings, a UNet with an adapter in
it and a noise schedule. What a step does follows from the state before it, the seed and its
number, so a run that was killed goes on exactly as it would have gone.

Of several processes, each on a device of its own, every one draws the same batch and computes its
share of it; accelerate adds up the gradients. So all hold the same state at every step, and a
checkpoint of the first fits any number of processes. On processors a small base is learned by this
process and its `twin`.
"""

from __future__ import annotations

import contextlib
import math
import time
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch.nn import functional
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.checkpoint import (
    CheckpointMismatchError,
    State,
    make_state,
    read_state,
    write_state,
)
from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.denoiser import Denoiser
from gpu_runner.engines.diffusion.ema import MovingAverage
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.exhaustion import MemoryExhaustedError, give_back, ran_out
from gpu_runner.engines.diffusion.hooks import Hooks, TrainResult
from gpu_runner.engines.diffusion.lessons import Lesson, Lessons
from gpu_runner.engines.diffusion.noise import Noising
from gpu_runner.engines.diffusion.optimizers import make_optimizer, set_rate
from gpu_runner.engines.diffusion.order import seed_step
from gpu_runner.engines.diffusion.precision import number_format
from gpu_runner.engines.diffusion.rates import rate_fraction
from gpu_runner.engines.diffusion.twin import Twin, TwinLostError, may_have_twin

MAX_GRADIENT_NORM = 1.0


class TrainingDivergedError(Exception):
    """The loss is no longer a number at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is no longer a number at step {step}")
        self.step = step


class LoraTrainer:
    """One run over `examples`; the adapter is in `unet` from construction on.

    Of `prior`, what the base draws without being told of the person, as many are learned in each
    step (DreamBooth's prior preservation, arXiv:2208.12242), unless they weigh nothing. The adapter
    is in `text_encoder` and `text_encoder_2`, which are given if they are trained, too. There
    must be no more processes than pictures in a batch. A `small` base has a twin where it can.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        schedule: DDIMScheduler,
        examples: Examples,
        config: TrainConfig,
        *,
        seed: int,
        prior: Examples | None = None,
        text_encoder: CLIPTextModel | None = None,
        text_encoder_2: CLIPTextModelWithProjection | None = None,
        small: bool = False,
    ) -> None:
        """Attach the adapter.

        Raises:
            OptimizerUnavailableError: the optimizer cannot be had here.

        """
        self._config = config
        self._seed = seed
        noising = Noising(schedule, config.min_snr_gamma, config.noise_offset)
        self._lessons = Lessons(examples, prior, noising, config, seed)
        self._device = device = examples.device
        rank, alpha, dora = config.rank, config.scale, config.dora
        lora.attach(unet, rank, alpha, seed, dora=dora, convolutions=config.convolutions)
        parts: list[tuple[torch.nn.Module, float]] = [(unet, 1.0)]
        for words in (text_encoder, text_encoder_2):
            if words is not None:
                lora.attach_text(words, rank, alpha, seed, dora=dora)
                parts.append((words, config.text_encoder_scale))
        if config.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        self._denoiser = Denoiser(unet, text_encoder, text_encoder_2)
        self._weights = {
            name: weight
            for name, weight in self._denoiser.named_parameters()
            if weight.requires_grad
        }
        self._optimizer = make_optimizer(
            [([each for each in part.parameters() if each.requires_grad], s) for part, s in parts],
            config,
        )
        self._average = (
            MovingAverage(list(self._weights.values()), config.ema_decay)
            if config.ema_decay
            else None
        )
        self._format = number_format(config.precision, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._format is torch.float16)
        self._losses: list[float] = []
        self._chunk = config.batch_size
        # The model is where it belongs already.
        self._accelerator = Accelerator(cpu=device.type == "cpu", device_placement=False)
        self._model = self._accelerator.prepare(self._denoiser)
        self._small = small
        self._twin: Twin | None = None

    def resume(self, directory: Path) -> int:
        """Take up a checkpoint; returns the steps already done.

        Raises:
            CheckpointMismatchError: it cannot be read, or belongs to another configuration.

        """
        try:
            self._restore(read_state(directory, self._decisive))
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointMismatchError("cannot be read") from error
        return len(self._losses)

    def save(self, directory: Path) -> None:
        """Write everything that `resume` needs into `directory`."""
        write_state(self._state(), directory)

    @property
    def _decisive(self) -> dict[str, object]:
        return {**self._config.decisive(), "seed": self._seed}

    def _state(self) -> State:
        return make_state(
            config=self._decisive,
            weights=self._weights,
            optimizer=self._optimizer.state_dict(),
            scaler=self._scaler.state_dict(),
            average=self._average.average if self._average else [],
            losses=self._losses,
            chunk=self._chunk,
        )

    @torch.no_grad()
    def _restore(self, state: State) -> None:
        for name, weight in self._weights.items():
            weight.copy_(state["weights"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self._average:
            for average, kept in zip(self._average.average, state["average"], strict=True):
                average.copy_(kept)
        self._losses = list(state["losses"])
        self._chunk = state["chunk"]

    def run(self, hooks: Hooks) -> TrainResult:
        """Train up to the last step; then the adapter is what was asked for, average or not.

        Raises:
            TrainingDivergedError: the loss stopped being a number; the adapter is worthless.
            MemoryExhaustedError: not even one picture at a time fits.

        """
        self._model.train()
        if self._wants_twin():
            # It is for speed alone.
            with contextlib.suppress(TwinLostError):
                self._twin = Twin(list(self._weights.values()), self._learn_as_twin)
        try:
            return self._run(hooks)
        finally:
            self._part_from_twin()

    def _run(self, hooks: Hooks) -> TrainResult:
        config = self._config
        first = len(self._losses)
        training_s = paused_s = 0.0
        for step in range(first + 1, config.steps + 1):
            begun = time.perf_counter()
            loss = self._step(step, hooks)
            training_s += time.perf_counter() - begun
            if not math.isfinite(loss):
                raise TrainingDivergedError(step)
            self._losses.append(loss)
            hooks.on_step(step, loss, config.peak_rate * rate_fraction(step, config))
            last = step == config.steps
            if config.sample_interval and step % config.sample_interval == 0 and not last:
                self._show(step, hooks)
            # What comes after the last step may fail, too, and shall not cost any step again.
            if last or step % config.checkpoint_every == 0 or hooks.checkpoint_wanted():
                begun = time.perf_counter()
                hooks.on_checkpoint(step, partial(write_state, self._state()))
                paused_s += time.perf_counter() - begun
        self._model.eval()
        if self._average:
            self._average.wear()
        done = config.steps - first
        speed = done / training_s if training_s else 0.0
        paused = paused_s / (training_s + paused_s) if training_s else 0.0
        return TrainResult(self._losses, speed, first, paused)

    def _show(self, step: int, hooks: Hooks) -> None:
        self._model.eval()
        nothing = contextlib.nullcontext()
        with (
            self._average.worn() if self._average else nothing,
            self._twin.idle() if self._twin else nothing,
        ):
            hooks.on_sample(step)
        self._model.train()

    def _step(self, step: int, hooks: Hooks) -> float:
        config = self._config
        set_rate(self._optimizer, config.peak_rate * rate_fraction(step, config))
        while (total := self._gradients(step)) is None:
            self._shrink(step)
            hooks.on_smaller_batch(step, self._chunk)
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(list(self._weights.values()), MAX_GRADIENT_NORM)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        if self._average:
            self._average.follow(step)
        return float(self._accelerator.reduce(total, reduction="sum").item())

    def _gradients(self, step: int) -> torch.Tensor | None:
        """Leave the gradients of a step in the adapter; returns its loss, or None.

        None: memory ran out. Nothing but gradients was changed, so the step can be tried again.
        """
        try:
            if self._twin is None:
                here = self._accelerator
                return self._learn_step(step, here.process_index, here.num_processes)
            self._twin.ask(step)
            total = self._learn_step(step, 0, 2)
            return total + self._twin.answer(list(self._weights.values()))
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
        return None

    def _learn_as_twin(self, step: int) -> float:
        return self._learn_step(step, 1, 2).item()

    def _learn_step(self, step: int, rank: int, processes: int) -> torch.Tensor:
        """Add the gradients of this process's part of a step; returns its part of the loss."""
        seed_step(self._seed, step)
        lessons = self._lessons.of_step(step)
        *before, last = [
            piece.share(rank, processes) for one in lessons for piece in one.pieces(self._chunk)
        ]
        total = torch.zeros((), device=self._device)
        for piece in before:
            # Gradients are exchanged once a step, with those of its last batch.
            with self._accelerator.no_sync(self._model):
                total += self._learn(piece)
        return total + self._learn(last)

    def _wants_twin(self) -> bool:
        """Whether this process shall share each batch with one more.

        Not if memory ran out before, nor where the scale of gradients changes from step to step.
        """
        config = self._config
        alone = self._accelerator.num_processes == 1 and not self._scaler.is_enabled()
        as_wished = self._chunk == config.batch_size
        return self._small and alone and as_wished and may_have_twin(self._device, self._chunk)

    def _part_from_twin(self) -> None:
        if self._twin is not None:
            self._twin.close()
            self._twin = None

    def _shrink(self, step: int) -> None:
        """Compute fewer pictures at once from now on: the same lesson in smaller pieces.

        Raises:
            MemoryExhaustedError: there are no smaller pieces. Several processes, whose pieces
                must agree, do not try.

        """
        self._optimizer.zero_grad()
        self._part_from_twin()
        give_back(self._device)
        if self._chunk == 1 or self._accelerator.num_processes > 1:
            raise MemoryExhaustedError(step)
        self._chunk = -(-self._chunk // 2)

    def _learn(self, piece: Lesson) -> torch.Tensor:
        """Add the gradients of `piece`; returns its part of the loss."""
        asked, told = piece.questions, piece.told
        with torch.autocast(
            self._device.type, self._format, enabled=self._format is not torch.float32
        ):
            predicted = self._model(asked.noisy, asked.times, told.words, told.pooled, told.sizes)
        errors = functional.mse_loss(predicted.float(), asked.target, reduction="none")
        loss = (errors.mean((1, 2, 3)) * asked.weights).sum() / self._config.pictures_per_step
        # Accelerate averages over its processes, and each has but its part of the mean.
        self._scaler.scale(loss * self._accelerator.num_processes).backward()
        return loss.detach()
