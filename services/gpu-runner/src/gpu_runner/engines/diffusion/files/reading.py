"""A LoRA's file as it was found, in whichever naming, ready to be put into a base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft import LoraConfig
from safetensors import safe_open

from gpu_runner.engines.diffusion.files.adapter import CONFIG_KEY, canonical
from gpu_runner.engines.diffusion.files.kohya import (
    MAGNITUDE,
    SD,
    TEXT_ENCODER,
    Naming,
    from_kohya,
    is_kohya,
)

_DOWN = ".lora_A.weight"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds, as `Adapter` has it; the configuration is empty in kohya's files."""

    tensors: Mapping[str, torch.Tensor]
    alphas: Mapping[str, float]
    config: Mapping[str, object] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)

    def configuration(self) -> LoraConfig:
        """For peft: the configuration of one model, each module with its own rank and scale."""
        ranks = {
            name.removesuffix(_DOWN): tensor.shape[0]
            for name, tensor in self.tensors.items()
            if name.endswith(_DOWN)
        }
        return LoraConfig(
            target_modules=list(ranks),
            rank_pattern=ranks,
            alpha_pattern=dict(self.alphas),
            use_dora=any(name.endswith(MAGNITUDE) for name in self.tensors),
        )


def read(path: Path, models: Mapping[str, torch.nn.Module | None], naming: Naming = SD) -> Stored:
    """Read the parts for `models`; a kohya file's parts for others are left out.

    Raises:
        safetensors.SafetensorError: not a safetensors file.
        ValueError: a kohya file with a tensor that its model has no place for.

    """
    with safe_open(path, framework="pt") as opened:
        header = dict(opened.metadata() or {})
        state = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118
    if not is_kohya(state):
        config = json.loads(header.get(CONFIG_KEY, "{}"))
        return Stored(_short(state), _uniform(state, config), config, header)
    given = {model: module for model, module in models.items() if module is not None}
    ours = tuple(f"{naming.prefixes[model]}_" for model in given)
    wanted = {name: tensor for name, tensor in state.items() if name.startswith(ours)}
    modules = [
        canonical(model, name)
        for model, module in given.items()
        for name, _ in module.named_modules()
        if name
    ]
    tensors, alphas = from_kohya(wanted, modules, naming)
    return Stored(tensors, alphas, {}, header)


def part_of(stored: Stored, model: str) -> Stored:
    """What is for `model`, by the names that its modules have in this release of transformers."""

    def own(name: str) -> str:
        short = name.removeprefix(f"{model}.")
        return short.removeprefix("text_model.") if model == TEXT_ENCODER else short

    ours = f"{model}."
    return Stored(
        {own(name): each for name, each in stored.tensors.items() if name.startswith(ours)},
        {own(name): each for name, each in stored.alphas.items() if name.startswith(ours)},
    )


def _short(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Magnitudes by peft's own name, which a text encoder's do not bear in the file."""
    long = f"{MAGNITUDE}.weight"
    return {
        name.removesuffix(".weight") if name.endswith(long) else name: tensor
        for name, tensor in state.items()
    }


def _uniform(state: Mapping[str, torch.Tensor], config: Mapping[str, object]) -> dict[str, float]:
    """Each module's alpha as its model's configuration has it; its rank where there is none."""
    alphas: dict[str, float] = {}
    for name, tensor in state.items():
        if name.endswith(_DOWN):
            alpha = config.get(f"{name.partition('.')[0]}.lora_alpha", tensor.shape[0])
            alphas[name.removesuffix(_DOWN)] = float(str(alpha))
    return alphas
