"""The adapter: where a LoRA sits in a UNet, and the file that carries it.

Low-rank adaptation: Hu et al., arXiv:2106.09685. Besides attention the residual blocks'
convolutions are adapted, for a face is more texture than words. The file follows
diffusers and peft, so `pipeline.load_lora_weights(path)` reads it anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file

TARGETS = (
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2",
    "proj_in", "proj_out", "conv1", "conv2", "conv_shortcut",
)  # fmt: skip
PREFIX = "unet"
ADAPTER = "default"
CONFIG_KEY = "lora_adapter_metadata"
"""Under this key of the file's header diffusers looks for the adapter's configuration."""


def attach(unet: UNet2DConditionModel, rank: int, alpha: int, seed: int) -> None:
    """Put a fresh adapter, which at first changes nothing, into `unet`; only it takes gradients."""
    unet.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(
            r=rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=list(TARGETS)
        )
        unet.add_adapter(config, adapter_name=ADAPTER)


def weights(unet: UNet2DConditionModel) -> dict[str, torch.Tensor]:
    """The adapter's tensors by peft's names, on the CPU."""
    state = get_peft_model_state_dict(unet, adapter_name=ADAPTER)
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def restore(unet: UNet2DConditionModel, state: Mapping[str, torch.Tensor]) -> None:
    """Put back what `weights` gave.

    Raises:
        RuntimeError: shapes differ, as with another rank.

    """
    set_peft_model_state_dict(unet, dict(state), adapter_name=ADAPTER)


def save(unet: UNet2DConditionModel, path: Path, notes: Mapping[str, str]) -> None:
    """Write the adapter as one half-precision safetensors file with `notes` in its header."""
    # Peft's names, not diffusers' older ones: a loader that sees peft's name first, as that of a
    # convolution, leaves attention weights under the older names out without an error.
    tensors = {f"{PREFIX}.{name}": tensor.half() for name, tensor in weights(unet).items()}
    config = unet.peft_config[ADAPTER].to_dict()
    plain = {
        f"{PREFIX}.{key}": sorted(value) if isinstance(value, set) else value
        for key, value in config.items()
    }
    header = {"format": "pt", CONFIG_KEY: json.dumps(plain, sort_keys=True, default=str), **notes}
    save_file(tensors, path, metadata=header)


def load(unet: UNet2DConditionModel, path: Path) -> dict[str, str]:
    """Put the adapter of the file at `path` into `unet`; returns the header's notes.

    Raises:
        safetensors.SafetensorError: not a safetensors file.
        ValueError: the file holds no adapter for a UNet.
        RuntimeError: the adapter belongs to another base.

    """
    with safe_open(path, framework="pt") as stored:
        header = dict(stored.metadata() or {})
        state = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118
    if not any(name.startswith(f"{PREFIX}.") for name in state):
        raise ValueError("the file holds no adapter for a UNet")
    unet.load_lora_adapter(
        state,
        prefix=PREFIX,
        adapter_name=ADAPTER,
        metadata=json.loads(header.get(CONFIG_KEY, "null")),
    )
    return header
