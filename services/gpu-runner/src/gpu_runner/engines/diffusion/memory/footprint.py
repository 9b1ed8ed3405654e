"""What a base takes of memory, counted from its own layers, before anything is computed.

Numbers that the backward pass needs were counted in torch's graph, layer by layer: a residual
block keeps three times its input and three times its output, a transformer's block 28.5 times
its input. A test compares the sum with what torch really keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import Components

_RESIDUAL = 3
"""Of input and of output each: before the norm, before the activation, before the convolution."""
_TRANSFORMER = 28.5
_AROUND_TRANSFORMERS = 3
_OUTPUT = 3
_TEXT_LAYER = 18.0
"""Of what goes through a layer of a text encoder; feed-forward counted at four times the width."""
_DECODER = 4
"""Pictures' worth of its widest layer that a decoder holds at a time."""
_UPSAMPLED = 4


@dataclass(frozen=True, slots=True)
class Footprint:
    """A base's share of memory: bytes, and numbers of which the format decides how many bytes.

    `weights` are the bytes of what stays on the device; `kept` the numbers for the backward pass of
    one picture, `kept_checkpointed` the same with gradient checkpointing, `largest` the most of one
    part of the UNet; `kept_text` those of one prompt in the text encoders; `decoding` the bytes to
    decode one picture, for which the bytes `coming` of weights come and go. `per_rank` counts
    adapter weights at rank 1 by part: attention, convolutions, text.
    """

    weights: int
    kept: int
    kept_checkpointed: int
    largest: int
    kept_text: int
    decoding: int
    coming: int
    per_rank: Mapping[str, int]


def footprint_of(components: Components) -> Footprint:
    """Count a base that was loaded, or is on torch's device `meta`, before adapters are in it."""
    unet, vae = components.unet, components.vae
    encoders = components.text_encoders
    resting = {id(model) for model in components.resting}
    staying = [model for model in (unet, vae, *encoders) if id(model) not in resting]
    units = list(_units(unet.config))
    whole = sum(kept for _, kept in units)
    largest = max(kept for _, kept in units)
    return Footprint(
        weights=sum(map(_bytes, staying)),
        kept=round(whole),
        kept_checkpointed=round(sum(entering for entering, _ in units) + largest),
        largest=round(largest),
        kept_text=sum(_text_units(encoder.config) for encoder in encoders),
        decoding=_decoding(components),
        coming=_bytes(vae) if id(vae) in resting else 0,
        per_rank={
            "attention": _adapter(unet, lora.ATTENTION),
            "convolutions": _adapter(unet, lora.CONVOLUTIONS),
            "text": sum(_adapter(encoder, lora.TEXT) for encoder in encoders),
        },
    )


def _units(config: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """(numbers going in, numbers kept) of each part of a UNet that can be computed anew."""
    channels: Sequence[int] = config["block_out_channels"]
    layers: int = config["layers_per_block"]
    depths = config["transformer_layers_per_block"]
    depths = [depths] * len(channels) if isinstance(depths, int) else list(depths)
    skips = [channels[0]]
    entering = channels[0]
    last = len(channels) - 1
    areas = [config["sample_size"] ** 2 // 4**level for level in range(len(channels))]
    for level, leaving in enumerate(channels):
        attends = "CrossAttn" in config["down_block_types"][level]
        for _ in range(layers):
            yield from _layer(entering, leaving, areas[level], depths[level] * attends)
            entering = leaving
            skips.append(leaving)
        if level < last:
            yield leaving * areas[level], leaving * areas[level]
            skips.append(leaving)
    yield from _layer(entering, entering, areas[last], depths[last])
    yield from _layer(entering, entering, areas[last], 0)
    for step, level in enumerate(range(last, -1, -1)):
        attends = "CrossAttn" in config["up_block_types"][step]
        for _ in range(layers + 1):
            joined = entering + skips.pop()
            yield from _layer(joined, channels[level], areas[level], depths[level] * attends)
            entering = channels[level]
        if level:
            size = entering * areas[level] * _UPSAMPLED
            yield size, size
    ending = _OUTPUT * entering * areas[0]
    yield ending, ending


def _layer(entering: int, leaving: int, area: int, depth: int) -> Iterator[tuple[float, float]]:
    """A residual block, and so many blocks of a transformer behind it."""
    yield entering * area, _RESIDUAL * (entering + leaving) * area
    if depth:
        around = _AROUND_TRANSFORMERS * leaving * area
        yield around, around
    for _ in range(depth):
        yield leaving * area, _TRANSFORMER * leaving * area


def _text_units(config: Any) -> int:
    tokens, layers = config.max_position_embeddings, config.num_hidden_layers
    # Of the eighteen, eight are of the feed-forward part's own width.
    width = _TEXT_LAYER - 8 + 8 * config.intermediate_size / (4 * config.hidden_size)
    return round(layers * tokens * config.hidden_size * width)


def _decoding(components: Components) -> int:
    vae = components.vae
    widest = max(vae.config["block_out_channels"][:2])
    return int(_DECODER * widest * components.side**2 * vae.dtype.itemsize)


def _adapter(model: nn.Module, targets: Sequence[str]) -> int:
    """Weights that an adapter of rank 1 has in the modules of these names."""
    count = 0
    for name, module in model.named_modules():
        if not any(name == target or name.endswith(f".{target}") for target in targets):
            continue
        if isinstance(module, nn.Linear):
            count += module.in_features + module.out_features
        elif isinstance(module, nn.Conv2d):
            area = module.kernel_size[0] * module.kernel_size[1]
            count += module.in_channels * area + module.out_channels
    return count


def _bytes(model: nn.Module) -> int:
    tensors: list[torch.Tensor] = [*model.parameters(), *model.buffers()]
    return sum(each.numel() * each.element_size() for each in tensors)
