"""The adapter: where a LoRA sits in a UNet, and the file that carries it.

Low-rank adaptation: Hu et al., arXiv:2106.09685. Besides attention the residual blocks'
convolutions can be adapted, for a face is more texture than words, and the text encoder. The
magnitudes of DoRA: Liu et al., arXiv:2402.09353. The file follows diffusers and peft, so
`pipeline.load_lora_weights(path)` reads it anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.models.clip.modeling_clip import CLIPTextModel

Model = UNet2DConditionModel | CLIPTextModel

ATTENTION = (
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out",
)  # fmt: skip
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
PREFIX = "unet"
TEXT_PREFIX = "text_encoder"
ADAPTER = "default"
CONFIG_KEY = "lora_adapter_metadata"
"""Under this key of the file's header diffusers looks for the adapter's configuration."""


def attach(
    unet: UNet2DConditionModel,
    rank: int,
    alpha: int,
    seed: int,
    *,
    dora: bool = False,
    convolutions: bool = True,
) -> None:
    """Put a fresh adapter, which at first changes nothing, into `unet`; only it takes gradients."""
    targets = (*ATTENTION, *CONVOLUTIONS) if convolutions else ATTENTION
    _add(unet, targets, rank, alpha, seed, dora=dora)


def attach_text(
    text_encoder: CLIPTextModel, rank: int, alpha: int, seed: int, *, dora: bool = False
) -> None:
    """Put a fresh adapter, which at first changes nothing, into `text_encoder`."""
    _add(text_encoder, TEXT, rank, alpha, seed, dora=dora)


def _add(
    model: Model, targets: tuple[str, ...], rank: int, alpha: int, seed: int, *, dora: bool
) -> None:
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            init_lora_weights="gaussian",
            target_modules=list(targets),
            use_dora=dora,
        )
        model.add_adapter(config, adapter_name=ADAPTER)


def weights(model: Model) -> dict[str, torch.Tensor]:
    """The adapter's tensors by peft's names, on the CPU."""
    state = get_peft_model_state_dict(model, adapter_name=ADAPTER)
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def save(
    unet: UNet2DConditionModel,
    path: Path,
    notes: Mapping[str, str],
    text_encoder: CLIPTextModel | None = None,
) -> None:
    """Write the adapter as one half-precision safetensors file with `notes` in its header.

    That of `text_encoder` is written, too, if it has one.
    """
    # Peft's names, not diffusers' older ones: a loader that sees peft's name first, as that of a
    # convolution, leaves attention weights under the older names out without an error.
    parts: dict[str, Model] = {PREFIX: unet}
    if text_encoder is not None:
        parts[TEXT_PREFIX] = text_encoder
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, Any] = {}
    for prefix, model in parts.items():
        tensors |= {f"{prefix}.{name}": tensor.half() for name, tensor in weights(model).items()}
        plain |= {
            f"{prefix}.{key}": sorted(value) if isinstance(value, set) else value
            for key, value in model.peft_config[ADAPTER].to_dict().items()
        }
    header = {"format": "pt", CONFIG_KEY: json.dumps(plain, sort_keys=True, default=str), **notes}
    save_file(tensors, path, metadata=header)


def load(
    unet: UNet2DConditionModel, path: Path, text_encoder: CLIPTextModel | None = None
) -> dict[str, str]:
    """Put the adapter of the file at `path` into `unet`; returns the header's notes.

    A part for the text encoder, if the file has one, goes into `text_encoder`.

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
    described: dict[str, Any] | None = json.loads(header.get(CONFIG_KEY, "null"))
    unet.load_lora_adapter(state, prefix=PREFIX, adapter_name=ADAPTER, metadata=described)
    start = f"{TEXT_PREFIX}."
    words = {
        name.removeprefix(start): each for name, each in state.items() if name.startswith(start)
    }
    if words and described and text_encoder is not None:
        rank, alpha = described[f"{start}r"], described[f"{start}lora_alpha"]
        attach_text(text_encoder, rank, alpha, seed=0, dora=bool(described[f"{start}use_dora"]))
        set_peft_model_state_dict(text_encoder, words, adapter_name=ADAPTER)
    return header
