"""The denoiser: a small conditioned UNet on the codec's 16x16 grid, trained to predict v.

v-prediction is due to Salimans and Ho (arXiv:2202.00512); the schedule ends in pure noise
(zero terminal SNR, arXiv:2305.08891), because a face's large plain areas would
otherwise leak their mean colour into every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from pretrain.codec import LATENT_CHANNELS, PATCH, to_tensor
from pretrain.dataset import SIDE, Dataset, say
from pretrain.language import LENGTH, TEXT_WIDTH, make_text_encoder, make_tokenizer
from pretrain.plan import Plan
from pretrain.samples import draw_samples
from pretrain.training import Draw

NOISE_LEVELS = 1000
HELD_OUT = 256


def make_unet(channels: tuple[int, int, int]) -> UNet2DConditionModel:
    """The untrained denoiser, attention on 8x8 and 4x4; 9.4 million weights if 96, 128, 192."""
    return UNet2DConditionModel(
        sample_size=SIDE // PATCH,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=16,
        # Despite its name this is the number of heads, as diffusers' class explains.
        attention_head_dim=4,
        layers_per_block=1,
        block_out_channels=channels,
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


def fit_tokenizer(dataset: Dataset, seed: int) -> CLIPTokenizer:
    """A tokenizer that knows the words of all captions."""
    rng = np.random.default_rng(seed)
    return make_tokenizer(say(phrases, rng, drop=0, thin=0) for phrases in dataset.captions)


def make_pipeline(
    codec: AutoencoderTiny, tokenizer: CLIPTokenizer, models: nn.ModuleDict
) -> StableDiffusionPipeline:
    """The parts as diffusers' pipeline; `models` are `unet` and `text_encoder`."""
    return StableDiffusionPipeline(
        vae=codec,
        text_encoder=models["text_encoder"],
        tokenizer=tokenizer,
        unet=models["unet"],
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Scaled latents [n, 16, 16, 16], tokens [n, LENGTH], noise as latents, noise levels [n]."""

    latents: torch.Tensor
    tokens: torch.Tensor
    noise: torch.Tensor
    times: torch.Tensor


class DenoiserTask:
    """Training of UNet and text encoder together, on the latents of a finished codec."""

    name = "denoiser"
    number = 2
    peak_rate = 5e-4
    weight_decay = 0.01

    def __init__(
        self, dataset: Dataset, codec: AutoencoderTiny, tokenizer: CLIPTokenizer, plan: Plan
    ) -> None:
        """The last `HELD_OUT` pictures of `dataset` are only looked at."""
        self.steps = plan.denoiser_steps
        self._share = plan.batch // plan.workers
        self._dataset, self._codec, self._tokenizer = dataset, codec, tokenizer
        torch.manual_seed(plan.seed)
        unet = make_unet(plan.channels).to(memory_format=torch.channels_last)
        self.live = nn.ModuleDict({"unet": unet, "text_encoder": make_text_encoder(tokenizer)})
        self._scheduler = make_scheduler()

    def loss(self, draw: Draw) -> torch.Tensor:
        """Mean squared error of the predicted velocity on pictures, half of them mirrored."""
        pick = draw.numbers.integers(len(self._dataset.images) - HELD_OUT, size=self._share)
        batch = self._prepare(pick, draw, mirrored=draw.numbers.random(self._share) < 0.5)
        return self._error(self.live, batch).mean()

    @torch.no_grad()
    def examine(self, averaged: nn.ModuleDict, grid: Path) -> dict[str, float]:
        """The same error on pictures held out, with the same noise every time."""
        total = len(self._dataset.images)
        draw, errors = Draw(0), []
        for pick in np.arange(total - HELD_OUT, total).reshape(-1, 32):
            batch = self._prepare(pick, draw, mirrored=np.zeros(len(pick), bool))
            errors.append(self._error(averaged, batch))
        draw_samples(make_pipeline(self._codec, self._tokenizer, averaged), grid)
        return {"heldOutLoss": float(torch.cat(errors).mean())}

    def _error(self, models: nn.ModuleDict, batch: Batch) -> torch.Tensor:
        """Squared error of the velocity for each of the batch, [n]."""
        noisy = self._scheduler.add_noise(batch.latents, batch.noise, batch.times)
        with torch.autocast("cpu", torch.bfloat16):
            words = models["text_encoder"](batch.tokens)[0]
            channels_last = noisy.contiguous(memory_format=torch.channels_last)
            predicted = models["unet"](channels_last, batch.times, words, return_dict=False)[0]
        wanted = self._scheduler.get_velocity(batch.latents, batch.noise, batch.times)
        return functional.mse_loss(predicted.float(), wanted, reduction="none").mean((1, 2, 3))

    @torch.no_grad()
    def _prepare(
        self, pick: np.ndarray[tuple[int], np.dtype[np.int64]], draw: Draw, *, mirrored: np.ndarray
    ) -> Batch:
        pictures = to_tensor(self._dataset.images[pick])
        turned = torch.from_numpy(mirrored)
        pictures[turned] = pictures[turned].flip(-1)
        prompts = [say(self._dataset.captions[index], draw.numbers) for index in pick]
        tokens = self._tokenizer(
            prompts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
        )
        latents = self._codec.encode(pictures).latents * self._codec.config.scaling_factor
        # One noise level from each of as many equal ranges: the mean error varies less.
        places = torch.arange(len(pick)) + torch.rand(len(pick), generator=draw.tensors)
        return Batch(
            latents=latents,
            tokens=tokens.input_ids,
            noise=torch.randn(latents.shape, generator=draw.tensors),
            times=(places / len(pick) * NOISE_LEVELS).long().clamp(max=NOISE_LEVELS - 1),
        )


def save(models: nn.ModuleDict, out: Path) -> None:
    """Write UNet and text encoder in diffusers' layout."""
    unet: UNet2DConditionModel = models["unet"]
    text_encoder: CLIPTextModel = models["text_encoder"]
    unet.save_pretrained(out / "unet")
    text_encoder.save_pretrained(out / "text_encoder")
