"""A trained LoRA on its way into a file, by diffusers' names or by kohya's.

diffusers' file keeps peft's names and peft's whole configuration, so that nothing is guessed on
loading; kohya's carries an alpha for each module instead. Both hold the same half-precision
numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import get_peft_model_state_dict
from peft.tuners.lora import LoraLayer

from gpu_runner.engines.diffusion.files.container import Container
from gpu_runner.engines.diffusion.files.header import Card
from gpu_runner.engines.diffusion.files.kohya import (
    MAGNITUDE,
    SD,
    TEXT_ENCODER,
    Naming,
    to_kohya,
)

CONFIG_KEY = "lora_adapter_metadata"
"""Under this key of the file's header diffusers looks for the adapter's configuration."""
_WRAPPER = "text_model."


@dataclass(frozen=True, slots=True)
class Adapter:
    """What was trained: numbers, scales, configuration.

    `tensors` are named `<model>.<module>.lora_A.weight` and so on, `alphas` by
    `<model>.<module>`; `config` is peft's, with its keys behind `<model>.` too.
    """

    tensors: Mapping[str, torch.Tensor]
    alphas: Mapping[str, float]
    config: Mapping[str, object]

    def write(self, path: Path, card: Card | None = None) -> None:
        """Write the file for diffusers and peft."""
        content = Container({_for_loaders(name): one for name, one in self.tensors.items()})
        config = json.dumps(self.config, sort_keys=True, default=str)
        told = card.entries(content, "diffusers") if card else {}
        content.write(path, {"format": "pt", CONFIG_KEY: config, **told})

    def write_kohya(self, path: Path, card: Card | None = None, naming: Naming = SD) -> None:
        """Write the file for ComfyUI, A1111 and others that follow kohya's sd-scripts."""
        content = Container(to_kohya(self.tensors, self.alphas, naming))
        told = card.entries(content, "kohya") if card else {}
        content.write(path, {"format": "pt", **told})


def collect(models: Mapping[str, torch.nn.Module], adapter: str) -> Adapter:
    """The adapter of this name on `unet`, and on `text_encoder` and `text_encoder_2` if trained."""
    tensors: dict[str, torch.Tensor] = {}
    alphas: dict[str, float] = {}
    config: dict[str, object] = {}
    for model, module in models.items():
        for name, tensor in get_peft_model_state_dict(module, adapter_name=adapter).items():
            tensors[canonical(model, name)] = tensor.detach().cpu().half()
        for name, layer in module.named_modules():
            if isinstance(layer, LoraLayer) and adapter in layer.lora_alpha:
                alphas[canonical(model, name)] = float(layer.lora_alpha[adapter])
        for key, value in module.peft_config[adapter].to_dict().items():  # type: ignore[union-attr, operator]
            config[f"{model}.{key}"] = sorted(value) if isinstance(value, set) else value
    return Adapter(tensors, alphas, config)


def canonical(model: str, name: str) -> str:
    """A name in `model` as every file has it.

    transformers 5.6 took the wrapper `text_model` from the first text encoder, while files and
    other programs keep it; diffusers takes it off on loading where it has to.
    """
    wrapped = model == TEXT_ENCODER and not name.startswith(_WRAPPER)
    return f"{model}.{_WRAPPER if wrapped else ''}{name}"


def _for_loaders(name: str) -> str:
    """The name under which diffusers loads a tensor.

    It hands text encoders to transformers, which passes over a magnitude by peft's own short
    name, without an error, and leaves the fresh one in its place.
    """
    short = name.startswith(TEXT_ENCODER) and name.endswith(MAGNITUDE)
    return f"{name}.weight" if short else name
