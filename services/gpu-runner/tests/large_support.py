"""Tiny Stable Diffusions of random weights: as directories, and as single files.

A single file is written by the names of Stability's own code, as published checkpoints have them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from gpu_runner.engines.diffusion.files.kohya import _stability
from gpu_runner.models.lock import LOCK_FILE, Lock, LockedFile
from mini_support import LETTERS, write_random_base
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

State = Mapping[str, torch.Tensor]
TIMES, POOLED, WIDTHS = 8, 24, (16, 24)


def write_sd15(directory: Path) -> Path:
    return write_random_base(directory)


def write_sdxl(directory: Path) -> Path:
    torch.manual_seed(0)
    tokens = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{c}</w>" for c in LETTERS)]

    def words(width: int) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=width,
            intermediate_size=width,
            projection_dim=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )

    def tokenizer() -> CLIPTokenizer:
        return CLIPTokenizer(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[],
            model_max_length=16,
        )

    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(
            block_out_channels=(16, 16),
            norm_num_groups=8,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            scaling_factor=0.13025,
        ),
        text_encoder=CLIPTextModel(words(WIDTHS[0])),
        text_encoder_2=CLIPTextModelWithProjection(words(WIDTHS[1])),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(16, 16, 32),
            norm_num_groups=8,
            layers_per_block=2,
            attention_head_dim=(1, 2, 2),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=TIMES,
            projection_class_embeddings_input_dim=POOLED + 6 * TIMES,
            cross_attention_dim=sum(WIDTHS),
        ),
        scheduler=EulerDiscreteScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            steps_offset=1,
            timestep_spacing="leading",
        ),
        add_watermarker=False,
    )
    pipeline.save_pretrained(directory)
    return directory


def write_wide(directory: Path) -> Path:
    """A base whose pictures are as large as a portrait, by a VAE of many levels."""
    write_random_base(directory)
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8,) * 6,
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 6,
        up_block_types=("UpDecoderBlock2D",) * 6,
    )
    vae.save_pretrained(directory / "vae")
    return directory


def install(directory: Path, root: Path, name: str) -> Path:
    """Put a base into a folder of weights, as if it had been pulled."""
    folder = shutil.copytree(directory, root / name)
    files = tuple(
        LockedFile(
            path=str(path.relative_to(folder)),
            size_bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    lock = Lock(
        model=name,
        endpoint="http://127.0.0.1",
        repository="tiny/tiny",
        revision="0",
        licence="none",
        licence_url="",
        pulled_at=datetime(2026, 1, 1, tzinfo=UTC),
        files=files,
    )
    (folder / LOCK_FILE).write_text(lock.model_dump_json(by_alias=True))
    return folder


def write_single_file(directory: Path, path: Path) -> Path:
    """All weights of a diffusers directory in one file, by Stability's names."""
    is_xl = (directory / "text_encoder_2").is_dir()
    kind = StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline
    pipeline = kind.from_pretrained(directory)
    layers = pipeline.unet.config["layers_per_block"]
    whole = {
        f"model.diffusion_model.{_unet_name(name, layers)}": one
        for name, one in pipeline.unet.state_dict().items()
    }
    blocks = len(pipeline.vae.config["block_out_channels"])
    for name, one in pipeline.vae.state_dict().items():
        short = _vae_name(name, blocks)
        # Written as a convolution of one pixel there.
        is_matrix = ".mid.attn" in short and one.dim() == 2
        whole[f"first_stage_model.{short}"] = one[:, :, None, None] if is_matrix else one
    first = "conditioner.embedders.0.transformer" if is_xl else "cond_stage_model.transformer"
    for name, one in pipeline.text_encoder.state_dict().items():
        whole[f"{first}.text_model.{name.removeprefix('text_model.')}"] = one
    if is_xl:
        second = _open_clip(pipeline.text_encoder_2.state_dict())
        whole |= {f"conditioner.embedders.1.model.{name}": one for name, one in second.items()}
    save_file({name: one.contiguous().clone() for name, one in whole.items()}, path)
    return path


def _unet_name(name: str, layers: int) -> str:
    module, _, kind = name.rpartition(".")
    if module == "conv_norm_out":
        return f"out.0.{kind}"
    renamed = _stability(module, layers)
    if ".resnets." in module:
        renamed = renamed.replace(".norm1", ".in_layers.0").replace(".norm2", ".out_layers.0")
    if "up_blocks.0.upsamplers" in module and layers == 1:
        # The first of the tiny base's blocks has no attention before it.
        renamed = renamed.replace(".2.conv", ".1.conv")
    return f"{renamed}.{kind}"


def _vae_name(name: str, blocks: int) -> str:
    for old, new in (
        ("mid_block.resnets.0", "mid.block_1"),
        ("mid_block.resnets.1", "mid.block_2"),
        ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
        ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
        ("mid_block.attentions.0.to_", "mid.attn_1."),
        ("conv_norm_out", "norm_out"),
        ("conv_shortcut", "nin_shortcut"),
        ("downsamplers.0", "downsample"),
        ("upsamplers.0", "upsample"),
        ("down_blocks.", "down."),
        (".resnets.", ".block."),
    ):
        name = name.replace(old, new)
    for number in range(blocks):
        name = name.replace(f"up_blocks.{number}.", f"up.{blocks - 1 - number}.")
    return name


def _open_clip(state: State) -> dict[str, torch.Tensor]:
    """The second text encoder by the names of OpenCLIP, which joins query, key and value."""
    renamed: dict[str, torch.Tensor] = {}
    for name, one in state.items():
        if ".q_proj." in name:
            parts = [state[name.replace(".q_proj.", f".{each}_proj.")] for each in "qkv"]
            short = name.replace("self_attn.q_proj.", "attn.in_proj_")
            one = torch.cat(parts)  # noqa: PLW2901
        elif ".k_proj." in name or ".v_proj." in name:
            continue
        else:
            short = name.replace("self_attn.", "attn.")
        for old, new in (
            ("text_model.encoder.layers.", "transformer.resblocks."),
            ("text_model.final_layer_norm", "ln_final"),
            ("layer_norm", "ln_"),
            ("mlp.fc1", "mlp.c_fc"),
            ("mlp.fc2", "mlp.c_proj"),
            ("text_model.embeddings.token_embedding.", "token_embedding."),
            ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
            ("text_projection.weight", "text_projection"),
        ):
            short = short.replace(old, new)
        renamed[short] = one.T if short == "text_projection" else one
    return renamed
