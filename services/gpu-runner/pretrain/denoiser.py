"""The denoiser: a small conditioned UNet on the codec's 16x16 grid, trained to predict v.

v-prediction is due to Salimans and Ho (arXiv:2202.00512); the schedule ends in pure noise
(zero terminal SNR, arXiv:2305.08891), because a face's large plain areas would
otherwise leak their mean colour into every step.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import distributed, multiprocessing, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from pretrain.codec import LATENT_CHANNELS, to_tensor
from pretrain.dataset import Dataset, say
from pretrain.language import LENGTH, TEXT_WIDTH, make_text_encoder, make_tokenizer

BATCH = 32
PEAK_RATE = 5e-4
EMA_DECAY = 0.9985

log = logging.getLogger(__name__)


def make_unet(grid: int = 16) -> UNet2DConditionModel:
    """The untrained denoiser: 9.4 million weights, attention on 8x8 and 4x4 only."""
    return UNet2DConditionModel(
        sample_size=grid,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=16,
        # Despite its name this is the number of heads, as diffusers' class explains.
        attention_head_dim=4,
        layers_per_block=1,
        block_out_channels=(96, 128, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )


def make_scheduler() -> DDIMScheduler:
    """Cosine schedule, v-prediction, zero terminal SNR."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        clip_sample=False,
    )


class Ema:
    """Exponential moving averages of models, slower as training goes on."""

    def __init__(self, *models: nn.Module) -> None:
        self.live = models
        self.average = [copy.deepcopy(model).requires_grad_(False) for model in models]
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the live weights."""
        self.updates += 1
        weight = 1 - min(EMA_DECAY, (1 + self.updates) / (10 + self.updates))
        for live, average in zip(self.live, self.average, strict=True):
            torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), weight)


def rate(step: int, done: float) -> float:
    """The learning rate: a short warm-up, then a cosine down to a fiftieth."""
    return PEAK_RATE * min(1, (step + 1) / 150) * (0.02 + 0.98 * (1 + np.cos(np.pi * done)) / 2)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train: `steps` or `minutes`, whichever ends first; on `workers` processes."""

    steps: int
    minutes: float
    seed: int
    workers: int


def train(work: Path, plan: Plan) -> None:
    """Train UNet and text encoder together; averaged weights go to `work` every 200 steps.

    Each worker is one process with one thread and its own share of the batch; gradients are
    averaged once a step. Threads inside one process would have to wait for each other at
    every operation, which on a machine that others use was measured to be ten times slower.
    """
    dataset = Dataset.load(work / "data.npz")
    rng = np.random.default_rng(plan.seed)
    captions = (say(phrases, rng, drop=0, thin=0) for phrases in dataset.captions)
    make_tokenizer(captions).save_pretrained(work / "tokenizer")
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"{folder}/meeting"  # made by the first worker, removed by the last
        multiprocessing.spawn(_worker, (work, plan, meeting), nprocs=plan.workers)


def _worker(rank: int, work: Path, plan: Plan, meeting: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(plan.seed)
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=plan.workers
    )
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(work / "denoiser.log")],
    )
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    source = Source(
        Dataset.load(work / "data.npz"),
        AutoencoderTiny.from_pretrained(work / "vae"),
        tokenizer,
        np.random.default_rng([plan.seed, rank]),
        BATCH // plan.workers,
    )
    unet = make_unet().to(memory_format=torch.channels_last)
    text_encoder = make_text_encoder(tokenizer)
    weights = [*unet.parameters(), *text_encoder.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    ema = Ema(unet, text_encoder)
    generator = torch.Generator().manual_seed(plan.seed + 1 + rank)
    begun, recent = time.monotonic(), []
    for step in range(plan.steps):
        loss = source.loss(unet, text_encoder, generator)
        loss.backward()
        done = max(step / plan.steps, (time.monotonic() - begun) / (plan.minutes * 60))
        done, mean_loss = average(weights, done, loss.item())
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate(step, done)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.update()
        recent.append(mean_loss)
        if (step + 1) % 50 == 0:
            elapsed = time.monotonic() - begun
            log.info(
                "denoiser step %d, %.0f s, loss %.4f", step + 1, elapsed, np.mean(recent[-50:])
            )
        if (step + 1) % 200 == 0 and rank == 0:
            save(ema, work)
    if rank == 0:
        save(ema, work)
    distributed.destroy_process_group()


def average(weights: list[nn.Parameter], done: float, loss: float) -> tuple[float, float]:
    """Average the gradients over all workers, in place; and the two numbers, which are returned."""
    parts = [weight.grad.flatten() for weight in weights]
    flat = torch.cat([*parts, torch.tensor([done, loss])])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    offset = 0
    for weight in weights:
        weight.grad.copy_(flat[offset : offset + weight.numel()].view_as(weight))
        offset += weight.numel()
    return float(flat[-2]), float(flat[-1])


@dataclass(frozen=True, slots=True)
class Source:
    """Draws training batches of `size` and measures the loss on them."""

    dataset: Dataset
    codec: AutoencoderTiny
    tokenizer: CLIPTokenizer
    rng: np.random.Generator
    size: int

    def loss(
        self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, generator: torch.Generator
    ) -> torch.Tensor:
        """Mean squared error of the predicted velocity on one batch."""
        latents, tokens = self._batch()
        scheduler = make_scheduler()
        noise = torch.randn(latents.shape, generator=generator)
        times = torch.randint(1000, (self.size,), generator=generator)
        noisy = scheduler.add_noise(latents, noise, times)
        with torch.autocast("cpu", torch.bfloat16):
            words = text_encoder(tokens)[0]
            channels_last = noisy.contiguous(memory_format=torch.channels_last)
            predicted = unet(channels_last, times, words, return_dict=False)[0]
        return functional.mse_loss(predicted.float(), scheduler.get_velocity(latents, noise, times))

    @torch.no_grad()
    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents [size, 16, 16, 16] of pictures, half of them mirrored, and tokens [size, 24]."""
        pick = self.rng.integers(len(self.dataset.images), size=self.size)
        pictures = to_tensor(self.dataset.images[pick])
        mirrored = torch.from_numpy(self.rng.random(self.size) < 0.5)
        pictures[mirrored] = pictures[mirrored].flip(-1)
        prompts = [say(self.dataset.captions[index], self.rng) for index in pick]
        tokens = self.tokenizer(
            prompts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
        )
        latents = self.codec.encode(pictures).latents * self.codec.config.scaling_factor
        return latents, tokens.input_ids


def save(ema: Ema, out: Path) -> None:
    """Write the averaged UNet and text encoder in diffusers' layout."""
    unet, text_encoder = ema.average
    unet.save_pretrained(out / "unet")
    text_encoder.save_pretrained(out / "text_encoder")
