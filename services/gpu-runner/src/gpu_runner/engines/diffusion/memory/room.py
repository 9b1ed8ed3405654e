"""Whether a training will have room, told before it starts."""

from __future__ import annotations

from gpu_runner.engines.diffusion.components import Components
from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.memory.footprint import footprint_of
from gpu_runner.engines.diffusion.memory.need import (
    Need,
    estimate,
    nearest_that_fits,
    thriftiest,
)
from gpu_runner.engines.diffusion.precision import number_format
from gpu_runner.stage import StageError

_CHANGED = ("batch_size", "gradient_accumulation", "gradient_checkpointing", "vae_tiles")


def require_room(components: Components, config: TrainConfig, free: int | None) -> str:
    """What training a base, which is loaded already, will take of memory, as a line to be told.

    `free` are the bytes that are left on its device; None if nobody knows.

    Raises:
        StageError: `memory-too-small`, with the settings that would fit, if any would.

    """
    device = components.device
    footprint = footprint_of(components)
    numbers = number_format(config.precision, device)
    need = estimate(footprint, config, numbers, device)
    told = (
        f"training takes about {_size(need.total)}: base {_size(need.base)}, adapter "
        f"{_size(need.adapter)}, pictures {_size(need.pictures)}"
    )
    if free is None:
        return told
    available = free + footprint.weights
    if need.total <= available:
        return f"{told}; {_size(available)} are there"
    found = nearest_that_fits(footprint, config, numbers, device, available)
    if found is not None:
        remedy = f"{_settings(config, found[0])} needs {_size(found[1].total)}"
        remedy = f"{remedy[0].upper()}{remedy[1:]} and learns the same"
    else:
        least = thriftiest(config)
        needed = estimate(footprint, least, numbers, device)
        remedy = (
            f"Even {_settings(config, least) or 'the least that these settings can be'} needs "
            f"{_size(needed.total)}: choose a smaller base or a device with more memory"
        )
    raise StageError("memory-too-small", _cause(need, available), remedy)


def _cause(need: Need, available: int) -> str:
    return (
        f"training would take about {_size(need.total)} of memory, and there are {_size(available)}"
    )


def _settings(asked: TrainConfig, changed: TrainConfig) -> str:
    """`batch_size 1 with gradient_checkpointing`: what differs, in words."""
    different = [
        (name, getattr(changed, name))
        for name in _CHANGED
        if getattr(changed, name, None) != getattr(asked, name, None)
    ]
    words = [name if value is True else f"{name} {value}" for name, value in different]
    return " with ".join(words)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
