"""The codec: 64x64 pixels to a 16x16 grid of 16 numbers and back.

The encoder is not trained. It is the principal components of 4x4 pixel patches,
written exactly into the convolutions of diffusers' `AutoencoderTiny`: without residual
blocks that encoder is linear. So the latents are fixed from the first second, and the
denoiser may learn while the decoder still does. The decoder is trained, and sees
neighbouring patches, which a plain inverse of the components could not.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from numpy.typing import NDArray
from torch.nn import functional

from pretrain.dataset import Dataset
from pretrain.photographs import PHOTOGRAPHS, crop, unseen_portrait

LATENT_CHANNELS = 16
PATCH = 4
WIDTH = 48
"""Channels inside: a 4x4 RGB patch is 48 numbers, so nothing is lost before the last layer."""
LATENT_RMS = 0.7
"""Root mean square of scaled latents: below 1, so that fine detail is settled late in sampling."""

PEAK_RATE = 2e-3

log = logging.getLogger(__name__)


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
    """A stride-2 3x3 convolution [WIDTH, WIDTH, 3, 3] equal to `pixel_unshuffle(x, 2)`."""
    kernel = torch.zeros(WIDTH, WIDTH, 3, 3)
    for channel in range(channels):
        for row in range(2):
            for column in range(2):
                kernel[channel * 4 + row * 2 + column, channel, 1 + row, 1 + column] = 1
    return kernel


def fit_encoder(images: NDArray[np.uint8]) -> AutoencoderTiny:
    """A codec with the principal components of `images` [n, h, w, 3] as encoder, decoder untrained.

    Each latent channel is divided by the root of its standard deviation: half way to
    whitening, so that detail is neither drowned in the diffusion's noise nor made as
    important as shape.
    """
    mean, axes, spread = _components(images)
    gain = (spread / spread[0]).sqrt() / spread
    rms = float((spread * gain).square().mean().sqrt())
    codec = AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(WIDTH,) * 3,
        num_encoder_blocks=(0, 0, 0),
        decoder_block_out_channels=(WIDTH,) * 3,
        num_decoder_blocks=(4, 2, 1),
        scaling_factor=LATENT_RMS / rms,
    )
    # Undoing two 2x2 unshuffles orders a patch as (colour, row, column of the first, then of
    # the second); the components were found in the order of one 4x4 unshuffle.
    order = functional.pixel_unshuffle(
        functional.pixel_unshuffle(torch.arange(16.0).reshape(1, 1, 4, 4), 2), 2
    )
    order = order.flatten().long()
    index = torch.cat([colour * 16 + order for colour in range(3)])
    enter, first, second, leave = codec.encoder.layers
    with torch.no_grad():
        for layer in (enter, leave):
            layer.weight.zero_()
            layer.bias.zero_()
        for colour in range(3):
            enter.weight[colour, colour, 1, 1] = 1
        first.weight.copy_(_unshuffle_kernel(3))
        second.weight.copy_(_unshuffle_kernel(12))
        projection = axes * gain
        leave.weight[:, :, 1, 1] = projection[index].T
        leave.bias.copy_(-mean @ projection)
    codec.encoder.requires_grad_(False)
    return codec


def photo_patches(count: int, side: int, seed: int) -> NDArray[np.uint8]:
    """`count` crops [side, side, 3] of the free photographs."""
    rng = np.random.default_rng(seed)
    photos = [photograph.load() for photograph in PHOTOGRAPHS]
    picks = rng.integers(len(photos), size=count)
    return np.stack([crop(photos[pick], side, rng) for pick in picks])


def training_mix(dataset: Dataset, seed: int) -> NDArray[np.uint8]:
    """Avatars and photographs in equal parts, [n, 64, 64, 3]."""
    drawn = dataset.images[~dataset.is_photo][:6000]
    photos = photo_patches(len(drawn), drawn.shape[1], seed)
    return np.concatenate([drawn, photos])


def train_decoder(
    codec: AutoencoderTiny,
    images: NDArray[np.uint8],
    *,
    steps: int,
    minutes: float,
    seed: int,
    out: Path,
) -> None:
    """Train the decoder for `steps` or `minutes`, whichever ends first; saves to `out` as it goes.

    The loss is a smooth L1 of pixels. A little noise is put on the latents, because the
    denoiser's will never be exact.
    """
    generator = torch.Generator().manual_seed(seed)
    pictures = to_tensor(images)
    unseen = to_tensor(unseen_portrait(images.shape[1])[None])
    optimizer = torch.optim.AdamW(codec.decoder.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
    codec.to(memory_format=torch.channels_last)
    begun = time.monotonic()
    for step in range(steps):
        done = max(step / steps, (time.monotonic() - begun) / (minutes * 60))
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = (
                PEAK_RATE * min(1, (step + 1) / 50) * (0.02 + 0.98 * (1 + np.cos(np.pi * done)) / 2)
            )
        pick = torch.randint(len(pictures), (16,), generator=generator)
        target = pictures[pick].contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            latents = codec.encode(target).latents
            amount = torch.rand(len(latents), 1, 1, 1, generator=generator) * 0.03
            latents = latents + amount * torch.randn(latents.shape, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = codec.decode(latents).sample
        loss = functional.smooth_l1_loss(decoded.float(), target, beta=0.05)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(codec.decoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 100 == 0:
            with torch.no_grad():
                again = codec.decode(codec.encode(unseen).latents).sample
            log.info(
                "decoder step %d, %.0f s, loss %.4f, unseen portrait %.2f dB",
                step + 1, time.monotonic() - begun, loss.item(), psnr(unseen, again),
            )  # fmt: skip
            codec.save_pretrained(out)
    codec.save_pretrained(out)


def compare(codec: AutoencoderTiny, images: NDArray[np.uint8], path: Path) -> None:
    """Write originals above reconstructions, doubled, as a PNG."""
    with torch.no_grad():
        decoded = codec.decode(codec.encode(to_tensor(images)).latents).sample
    again = decoded.clamp(-1, 1).add(1).mul(127.5).byte().permute(0, 2, 3, 1).numpy()
    rows = np.concatenate([np.concatenate(list(row), axis=1) for row in (images, again)])
    cv2.imwrite(
        str(path), cv2.resize(rows, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)[..., ::-1]
    )
