"""A LoRA's tensors by the names of kohya's sd-scripts, which ComfyUI and A1111 read.

There a module's dots become underscores, so a name alone cannot be turned back: `from_kohya`
asks for the modules it may mean. SDXL's UNet is named as in Stability's own code, with
`input_blocks` and `output_blocks`, as sd-scripts trains that one. Weight decomposition (DoRA)
follows LyCORIS: `dora_scale` has the rank of the weight it scales, one number an output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch

UNET = "unet"
TEXT_ENCODER = "text_encoder"
TEXT_ENCODER_2 = "text_encoder_2"

State = Mapping[str, torch.Tensor]
_DOWN, _UP, MAGNITUDE = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"
_PARTS = {_DOWN: "lora_down.weight", _UP: "lora_up.weight", MAGNITUDE: "dora_scale"}
_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_OUTSIDE_BLOCKS = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_BLOCK = re.compile(
    r"(?:(?P<way>down|up)_blocks\.(?P<block>\d+)|(?P<mid>mid_block))"
    r"\.(?P<kind>resnets|attentions|downsamplers|upsamplers)\.(?P<layer>\d+)\.(?P<rest>.+)"
)


@dataclass(frozen=True, slots=True)
class Naming:
    """How one family of bases is named.

    `prefixes` maps a model (`unet`, `text_encoder`, `text_encoder_2`) to what its names begin
    with; `layers_per_block` is the UNet's, where its blocks are named as in Stability's code,
    and None where they keep diffusers' names.
    """

    prefixes: Mapping[str, str]
    layers_per_block: int | None = None

    def module(self, module: str) -> str:
        """`unet.mid_block.attentions.0.proj_in` as `lora_unet_mid_block_attentions_0_proj_in`.

        Raises:
            ValueError: this family has no such model, or its UNet no such block.

        """
        model, _, path = module.partition(".")
        if model not in self.prefixes:
            raise ValueError(f"{module} belongs to no model of this family")
        if model == UNET and self.layers_per_block is not None:
            path = _stability(path, self.layers_per_block)
        return f"{self.prefixes[model]}_{path}".replace(".", "_")

    def of(self, modules: Iterable[str]) -> dict[str, str]:
        """Which of `modules` a name means; those that are mere containers have none."""
        named: dict[str, str] = {}
        for module in modules:
            with suppress(ValueError):
                named[self.module(module)] = module
        return named


SD = Naming({UNET: "lora_unet", TEXT_ENCODER: "lora_te"})
SDXL = Naming(
    {UNET: "lora_unet", TEXT_ENCODER: "lora_te1", TEXT_ENCODER_2: "lora_te2"}, layers_per_block=2
)


def is_kohya(names: Iterable[str]) -> bool:
    """Whether a file's tensors bear kohya's names."""
    names = list(names)
    return bool(names) and all(name.startswith(("lora_unet_", "lora_te")) for name in names)


def to_kohya(
    state: State, alphas: Mapping[str, float], naming: Naming = SD
) -> dict[str, torch.Tensor]:
    """Rename `state`, whose names are `<model>.<module>.lora_A.weight` and so on.

    `alphas` has one number for each module: by it over the rank an adapter's product is scaled.

    Raises:
        ValueError: a tensor that belongs to no LoRA, or a model that the family lacks.

    """
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        module, part = _split(name)
        short = naming.module(module)
        shape = (-1, *[1] * (state[f"{module}.{_UP}"].dim() - 1))
        renamed[f"{short}.{_PARTS[part]}"] = tensor.reshape(shape) if part == MAGNITUDE else tensor
        if part == _DOWN:
            renamed[f"{short}.alpha"] = torch.tensor(float(alphas[module]))
    return renamed


def from_kohya(
    state: State, modules: Iterable[str], naming: Naming = SD
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Undo `to_kohya`: the tensors by peft's names, and each module's alpha.

    `modules` are the dotted names, `<model>.<module>`, that the base has. A module without an
    alpha has its rank for one, as sd-scripts takes it.

    Raises:
        ValueError: a tensor for a module that the base lacks, or of another kind than LoRA.

    """
    known = naming.of(modules)
    parts = {short: part for part, short in _PARTS.items()}
    renamed: dict[str, torch.Tensor] = {}
    alphas: dict[str, float] = {}
    for name, tensor in state.items():
        short, _, part = name.partition(".")
        if short not in known or part not in {*parts, "alpha"}:
            raise ValueError(f"{name} fits no part of this base")
        module = known[short]
        if part == "alpha":
            alphas[module] = float(tensor)
            continue
        if part == "lora_down.weight":
            alphas.setdefault(module, float(tensor.shape[0]))
        # peft keeps one magnitude an output for a matrix, but [1, outputs, 1, 1] for a kernel.
        shape = (1, -1, 1, 1) if tensor.dim() > 2 else (-1,)
        renamed[f"{module}.{parts[part]}"] = (
            tensor.reshape(shape) if part == "dora_scale" else tensor
        )
    return renamed, alphas


def _split(name: str) -> tuple[str, str]:
    for part in _PARTS:
        if name.endswith(f".{part}"):
            return name.removesuffix(f".{part}"), part
    raise ValueError(f"{name} is not a LoRA's tensor")


def _stability(path: str, layers: int) -> str:
    """A module of diffusers' UNet as Stability's code calls it."""
    if path in _OUTSIDE_BLOCKS:
        return _OUTSIDE_BLOCKS[path]
    found = _BLOCK.fullmatch(path)
    if not found:
        raise ValueError(f"{path} is in no block of a UNet")
    kind, layer, rest = found["kind"], int(found["layer"]), found["rest"]
    if kind == "resnets":
        rest = _RESNET.get(rest, rest)
    inner = 0 if kind == "resnets" else 1
    if found["mid"]:
        return f"middle_block.{2 * layer + inner}.{rest}"
    first = int(found["block"]) * (layers + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.op"
    if kind == "upsamplers":
        # Third in its block: behind SDXL's residual blocks there is always attention here.
        return f"output_blocks.{first + layers}.2.{rest}"
    if found["way"] == "down":
        return f"input_blocks.{first + layer + 1}.{inner}.{rest}"
    return f"output_blocks.{first + layer}.{inner}.{rest}"
