"""peft's layers computed in fewer steps: the same adapter, the same gradients.

peft adds s B A x to W x by way of two more tensors of the result's size, one for the multiple and
one for the sum, and gradients take as many steps back; convolutions of one pixel take a slow way
through torch besides. Here the second product is added to the first where it stands.

In float32 only: in half precision peft casts from one format to another, which is left to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from peft.tuners.lora.layer import Conv2d, Linear
from torch.nn import functional


def compute_in_place(model: torch.nn.Module, adapter: str) -> None:
    """Let the layers of `adapter` in `model` compute so; those with DoRA stay as they are."""
    for layer in model.modules():
        if isinstance(layer, Linear | Conv2d) and adapter not in layer.lora_variant:
            short = partial(_short_way(layer), layer, adapter)
            layer.forward = partial(_forward, layer, short)  # type: ignore[method-assign]


def _short_way(layer: Linear | Conv2d) -> Callable[..., torch.Tensor]:
    if isinstance(layer, Linear):
        return _linear
    base = layer.base_layer
    one_pixel = base.kernel_size == base.stride == (1, 1) and base.padding == (0, 0)
    return _pixelwise if one_pixel and base.groups == 1 else _convolution


def _forward(
    layer: Linear | Conv2d, short: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    full = x.dtype is torch.float32 and not torch.is_autocast_enabled(x.device.type)
    if full and not layer.disable_adapters:
        return short(x)
    answer: torch.Tensor = type(layer).forward(layer, x)
    return answer


def _linear(layer: Linear, adapter: str, x: torch.Tensor) -> torch.Tensor:
    rows = x.reshape(-1, x.shape[-1])
    answer = functional.linear(rows, layer.base_layer.weight, layer.base_layer.bias)
    inner = functional.linear(rows, layer.lora_A[adapter].weight)
    answer.addmm_(inner, layer.lora_B[adapter].weight.t(), alpha=layer.scaling[adapter])
    return answer.view(*x.shape[:-1], -1)


def _convolution(layer: Conv2d, adapter: str, x: torch.Tensor) -> torch.Tensor:
    x = x.contiguous()
    answer: torch.Tensor = layer.base_layer(x)
    inner = layer.lora_A[adapter](x).flatten(2)
    _add_outer(answer.view(*answer.shape[:2], -1), layer, adapter, inner)
    return answer


def _pixelwise(layer: Conv2d, adapter: str, x: torch.Tensor) -> torch.Tensor:
    pixels = x.flatten(2)
    base = layer.base_layer
    answer = _matrix(base.weight, len(x)).bmm(pixels)
    if base.bias is not None:
        answer += base.bias[:, None]
    inner = _matrix(layer.lora_A[adapter].weight, len(x)).bmm(pixels)
    _add_outer(answer, layer, adapter, inner)
    return answer.view(len(x), -1, *x.shape[2:])


def _add_outer(answer: torch.Tensor, layer: Conv2d, adapter: str, inner: torch.Tensor) -> None:
    """Add s B `inner` [n, r, pixels] to `answer` [n, c, pixels], of which it may be a view."""
    outer = _matrix(layer.lora_B[adapter].weight, len(inner))
    answer.baddbmm_(outer, inner, alpha=layer.scaling[adapter])


def _matrix(weight: torch.Tensor, count: int) -> torch.Tensor:
    """Weights [c, r, 1, 1] as [count, c, r], without a copy."""
    return weight.flatten(1).expand(count, -1, -1)
