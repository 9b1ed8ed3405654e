"""The codec: 64x64 pixels to a 16x16 grid of 16 numbers and back.

The encoder is not trained. It is the principal components of 4x4 pixel patches,
written exactly into the convolutions of diffusers' `AutoencoderTiny`: without residual
blocks that encoder is linear. So the latents are fixed from the first second. The decoder
starts as the exact way back (`inverse.py`) and is trained from there: it sees
neighbouring patches, which the plain inverse does not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from pretrain.dataset import SIDE, Dataset
from pretrain.inverse import FIRST_BLOCKS, keep_counting, write_inverse
from pretrain.photographs import crop, load_all, tinted, unseen_crops, unseen_portrait
from pretrain.plan import Plan
from pretrain.samples import write_grid
from pretrain.training import Draw

LATENT_CHANNELS = 16
PATCH = 4
PATCH_NUMBERS = 3 * PATCH**2
"""Channels of the encoder: with all numbers of a patch, nothing is lost before its last layer."""
DECODER_WIDTH = 64
SHRINK = 1 / 16
"""Spread of the strongest latent channel, small enough for the decoder's `tanh(z / 3) * 3`."""
LATENT_RMS = 0.7
"""Root mean square of scaled latents: below 1, so that fine detail is settled late in sampling."""

HELD_OUT = 64
MOST_NOISE = 0.03
"""The most noise on scaled latents in training: their spread is 0.7."""
GRID_COLUMNS = 12


def to_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [n, h, w, 3] to float [n, 3, h, w] in -1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def psnr(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in -1..1."""
    return float(-10 * torch.log10((reference - other.clamp(-1, 1)).div(2).square().mean()))


def _components(images: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean [48], axes [48, LATENT_CHANNELS] and standard deviations of patches in 0..1."""
    patches = functional.pixel_unshuffle(to_tensor(images).add(1).div(2), PATCH)
    flat = patches.permute(0, 2, 3, 1).reshape(-1, 3 * PATCH**2).double()
    mean = flat.mean(0)
    centred = flat - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(flat))
    axes = vectors.flip(1)[:, :LATENT_CHANNELS]
    return mean.float(), axes.float(), values.flip(0)[:LATENT_CHANNELS].sqrt().float()


def _unshuffle_kernel(channels: int) -> torch.Tensor:
    """A stride-2 3x3 convolution [48, 48, 3, 3] equal to `pixel_unshuffle(x, 2)`."""
    kernel = torch.zeros(PATCH_NUMBERS, PATCH_NUMBERS, 3, 3)
    for channel in range(channels):
        for row in range(2):
            for column in range(2):
                kernel[channel * 4 + row * 2 + column, channel, 1 + row, 1 + column] = 1
    return kernel


def fit(images: NDArray[np.uint8], seed: int) -> AutoencoderTiny:
    """A codec that knows only the principal components of `images` [n, h, w, 3], both ways.

    Each latent channel is divided by the root of its standard deviation: half way to
    whitening, so that detail is neither drowned in the diffusion's noise nor made as
    important as shape. `seed` is for the weights that the inverse has no use for.
    """
    torch.manual_seed(seed)
    mean, axes, spread = _components(images)
    gain = (spread / spread[0]).sqrt() / spread * SHRINK
    rms = float((spread * gain).square().mean().sqrt())
    codec = AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(PATCH_NUMBERS,) * 3,
        num_encoder_blocks=(0, 0, 0),
        decoder_block_out_channels=(DECODER_WIDTH,) * 3,
        num_decoder_blocks=(FIRST_BLOCKS, 2, 1),
        scaling_factor=LATENT_RMS / rms,
    )
    # Undoing two 2x2 unshuffles orders a patch as (colour, row, column of the first, then of
    # the second); the components were found in the order of one 4x4 unshuffle.
    order = functional.pixel_unshuffle(
        functional.pixel_unshuffle(torch.arange(16.0).reshape(1, 1, 4, 4), 2), 2
    )
    order = order.flatten().long()
    index = torch.cat([colour * 16 + order for colour in range(3)])
    _write_projection(codec, (axes * gain)[index], mean[index])
    write_inverse(codec, (axes / gain)[index], mean[index])
    return codec


def _write_projection(codec: AutoencoderTiny, projection: torch.Tensor, mean: torch.Tensor) -> None:
    enter, first, second, leave = codec.encoder.layers
    with torch.no_grad():
        for layer in (enter, leave):
            layer.weight.zero_()
            layer.bias.zero_()
        for colour in range(3):
            enter.weight[colour, colour, 1, 1] = 1
        first.weight.copy_(_unshuffle_kernel(3))
        second.weight.copy_(_unshuffle_kernel(12))
        leave.weight[:, :, 1, 1] = projection.T
        leave.bias.copy_(-mean @ projection)


def photo_patches(count: int, side: int, seed: int) -> NDArray[np.uint8]:
    """`count` crops [side, side, 3] of the free photographs."""
    rng = np.random.default_rng(seed)
    photos = load_all()
    picks = rng.integers(len(photos), size=count)
    return np.stack([crop(photos[pick], side, rng) for pick in picks])


def fitting_mix(dataset: Dataset, seed: int) -> NDArray[np.uint8]:
    """Avatars and photographs in equal parts, [n, 64, 64, 3]."""
    drawn = dataset.images[~dataset.is_photo][:6000]
    return np.concatenate([drawn, photo_patches(len(drawn), drawn.shape[1], seed)])


class CodecTask:
    """Training of a fitted codec's decoder on pictures half drawn, half photographed."""

    name = "codec"
    number = 1
    peak_rate = 1e-3
    weight_decay = 0.0

    def __init__(self, codec: AutoencoderTiny, drawn: NDArray[np.uint8], plan: Plan) -> None:
        """`drawn` are avatars [n, 64, 64, 3]; the last `HELD_OUT` are only looked at."""
        codec.encoder.requires_grad_(False)
        keep_counting(codec)
        self.live = nn.ModuleDict({"codec": codec.to(memory_format=torch.channels_last)})
        self.steps = plan.codec_steps
        self._share = plan.batch // plan.workers
        self._drawn, self._held_out = drawn[:-HELD_OUT], drawn[-HELD_OUT:]
        self._photos = load_all()

    def loss(self, draw: Draw) -> torch.Tensor:
        """Mean squared error of pixels; a little noise on the latents, as a denoiser leaves it."""
        codec = self.live["codec"]
        target = to_tensor(self._batch(draw.numbers)).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            latents = codec.encode(target).latents
            amount = torch.rand(len(latents), 1, 1, 1, generator=draw.tensors) * MOST_NOISE
            noise = torch.randn(latents.shape, generator=draw.tensors)
            latents = latents + amount * noise / codec.config.scaling_factor
        return functional.mse_loss(codec.decode(latents).sample, target)

    def _batch(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        pictures = []
        for number in range(self._share):
            if number % 2:
                picture = crop(self._photos[rng.integers(len(self._photos))], SIDE, rng)
                picture = tinted(picture, rng)
            else:
                picture = self._drawn[rng.integers(len(self._drawn))]
            pictures.append(picture[:, ::-1] if rng.random() < 0.5 else picture)
        return np.stack(pictures)

    @torch.no_grad()
    def examine(self, averaged: nn.ModuleDict, grid: Path) -> dict[str, float]:
        """PSNR in dB on an unseen portrait, on other parts of that photo, and on unseen avatars."""
        seen = {
            "portraitDb": unseen_portrait(SIDE)[None],
            "photoDb": unseen_crops(SIDE),
            "avatarDb": self._held_out,
        }
        figures, rows = {}, []
        for name, images in seen.items():
            pictures = to_tensor(images)
            codec = averaged["codec"]
            again = codec.decode(codec.encode(pictures).latents).sample
            figures[name] = psnr(pictures, again)
            rows += [pictures[:GRID_COLUMNS], again[:GRID_COLUMNS]]
        write_grid(rows, grid)
        return figures
