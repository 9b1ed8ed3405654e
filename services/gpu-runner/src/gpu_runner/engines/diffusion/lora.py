"""The adapter: where a LoRA sits in a UNet, and the file that carries it.

Low-rank adaptation: Hu et al., arXiv:2106.09685. Besides attention the residual blocks'
convolutions can be adapted, for a face is more texture than words, and the text encoder. The
magnitudes of DoRA: Liu et al., arXiv:2402.09353. The file follows diffusers and peft, so
`pipeline.load_lora_weights(path)` reads it anywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict

from gpu_runner.engines.diffusion.files.adapter import Adapter
from gpu_runner.engines.diffusion.files.adapter import collect as collect_from
from gpu_runner.engines.diffusion.files.kohya import SD, TEXT_ENCODER, TEXT_ENCODER_2, UNET, Naming
from gpu_runner.engines.diffusion.files.reading import part_of, read
from gpu_runner.engines.diffusion.low_rank import compute_in_place
from gpu_runner.engines.diffusion.words import TextEncoder

Model = UNet2DConditionModel | TextEncoder

ATTENTION = (
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out",
)  # fmt: skip
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
ADAPTER = "default"
TEXT_ENCODERS = (TEXT_ENCODER, TEXT_ENCODER_2)


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
    text_encoder: TextEncoder, rank: int, alpha: int, seed: int, *, dora: bool = False
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
    for weight in model.parameters():
        if weight.requires_grad:
            # The base may be in half precision, in which small steps of training would be lost.
            weight.data = weight.data.float()
    compute_in_place(model, ADAPTER)


@contextlib.contextmanager
def turned_off(*models: Model) -> Iterator[None]:
    """The models without the adapters that are in them, for as long as this lasts."""
    for model in models:
        model.disable_adapters()
    try:
        yield
    finally:
        for model in models:
            model.enable_adapters()


def weights(model: Model) -> dict[str, torch.Tensor]:
    """The adapter's tensors by peft's names, on the CPU."""
    state = get_peft_model_state_dict(model, adapter_name=ADAPTER)
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def collect(unet: UNet2DConditionModel, *text_encoders: TextEncoder | None) -> Adapter:
    """The adapter as a file would hold it, in half precision; those of text encoders, too."""
    models: dict[str, Model] = {UNET: unet}
    models |= {
        name: model
        for name, model in zip(TEXT_ENCODERS, text_encoders, strict=False)
        if model is not None
    }
    return collect_from(models, ADAPTER)


def load(
    unet: UNet2DConditionModel,
    path: Path,
    *text_encoders: TextEncoder | None,
    naming: Naming = SD,
) -> dict[str, str]:
    """Put the adapter of the file at `path`, in diffusers' or kohya's naming, into `unet`.

    Parts for text encoders, if the file has them, go into `text_encoders`. Returns the header's
    entries. `naming` is kohya's for this kind of base.

    Raises:
        safetensors.SafetensorError: not a safetensors file.
        ValueError: the file holds no adapter for this base.
        RuntimeError: the adapter belongs to another base.

    """
    encoders = dict(zip(TEXT_ENCODERS, text_encoders, strict=False))
    stored = read(path, {UNET: unet, **encoders}, naming)
    if not any(name.startswith(f"{UNET}.") for name in stored.tensors):
        raise ValueError("the file holds no adapter for a UNet")
    # Either peft's configuration says how the tensors are scaled, or each module's alpha does.
    scales = {f"{module}.alpha": alpha for module, alpha in stored.alphas.items()}
    unet.load_lora_adapter(
        dict(stored.tensors),
        prefix=UNET,
        adapter_name=ADAPTER,
        metadata=dict(stored.config) or None,
        network_alphas=None if stored.config else scales,
    )
    for name, text_encoder in encoders.items():
        words = part_of(stored, name)
        if words.tensors and text_encoder is not None:
            text_encoder.add_adapter(words.configuration(), adapter_name=ADAPTER)
            set_peft_model_state_dict(text_encoder, dict(words.tensors), adapter_name=ADAPTER)
    return dict(stored.header)
