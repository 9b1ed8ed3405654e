"""How much memory a training will take, and the nearest settings that would fit. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from gpu_runner.engines.diffusion.config import LargeConfig, Optimizer, TrainConfig
from gpu_runner.engines.diffusion.memory.footprint import Footprint

_FLOAT = 4
_PER_WEIGHT = {Optimizer.ADAMW: 8, Optimizer.ADAMW_8BIT: 2, Optimizer.PRODIGY: 16}
"""Bytes of an optimizer's own state for each weight."""
_MIXED = 3
"""Bytes of a kept number in mixed precision, where norms go on in float32: two or four."""
_ON_THE_WAY = 3
"""So many times what the largest part keeps is taken by gradients on their way through it."""
_UNUSABLE = 1.1
"""What an allocator cannot use. Both were found on a model of Stable Diffusion 1.5's size."""
TILES = 4
"""Parts in which a VAE takes a picture if it is told to."""
_OF_A_GPU = 700_000_000
"""What CUDA's libraries take for themselves on the device."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes: `base` of weights that stay as they are, `adapter` with gradients and optimizer.

    `pictures` is the most that one computation takes, in training or in decoding a sample, and
    `libraries` what is taken whatever is computed.
    """

    base: int
    adapter: int
    pictures: int
    libraries: int

    @property
    def total(self) -> int:
        """All of it at its highest."""
        return self.base + self.adapter + self.pictures + self.libraries


def estimate(
    footprint: Footprint, config: TrainConfig, number_format: torch.dtype, device: torch.device
) -> Need:
    """What training a base will take at its highest."""
    per_rank = footprint.per_rank["attention"]
    per_rank += footprint.per_rank["convolutions"] * config.convolutions
    per_rank += footprint.per_rank["text"] * config.text_encoder
    each = 2 * _FLOAT + _PER_WEIGHT[config.optimizer] + _FLOAT * bool(config.ema_decay)
    checkpointed = config.gradient_checkpointing
    kept = footprint.kept_checkpointed if checkpointed else footprint.kept
    kept += footprint.kept_text * config.text_encoder
    size = _FLOAT if number_format is torch.float32 else _MIXED
    tiled = isinstance(config, LargeConfig) and config.vae_tiles
    decoding = footprint.coming + footprint.decoding // (TILES if tiled else 1)
    held = kept + _ON_THE_WAY * footprint.largest
    training = round(held * size * config.batch_size * _UNUSABLE)
    return Need(
        base=footprint.weights,
        adapter=per_rank * config.rank * each,
        pictures=max(training, decoding),
        libraries=_OF_A_GPU if device.type == "cuda" else 0,
    )


def nearest_that_fits(
    footprint: Footprint,
    config: TrainConfig,
    number_format: torch.dtype,
    device: torch.device,
    available: int,
) -> tuple[TrainConfig, Need] | None:
    """Settings that learn the same in less memory, those that cost the least time first."""
    for changed in _thriftier(config):
        need = estimate(footprint, changed, number_format, device)
        if need.total <= available:
            return changed, need
    return None


def thriftiest(config: TrainConfig) -> TrainConfig:
    """The settings that take the least memory of all that learn the same."""
    return list(_thriftier(config))[-1]


def _thriftier(config: TrainConfig) -> Iterator[TrainConfig]:
    """Smaller batches of as many pictures a step; then what costs time; then the VAE's tiles."""
    sizes = [size for size in range(config.batch_size, 0, -1) if not config.batch_size % size]
    changes = [
        {
            "batch_size": size,
            "gradient_accumulation": config.pictures_per_step // size,
            "gradient_checkpointing": checkpointed,
        }
        for checkpointed in sorted({config.gradient_checkpointing, True})
        for size in sizes
    ]
    yield from (config.model_copy(update=change) for change in changes)
    if isinstance(config, LargeConfig):
        yield from (config.model_copy(update={**change, "vae_tiles": True}) for change in changes)
