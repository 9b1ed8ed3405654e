"""Puts the trained parts together as a diffusers pipeline directory, and describes it.

Everything is stored in half precision. The directory opens with plain diffusers:
`DiffusionPipeline.from_pretrained(directory, safety_checker=None)`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from pretrain import journal
from pretrain.card import BaseFigures, write_card
from pretrain.codec import HELD_OUT, psnr, to_tensor
from pretrain.dataset import SIDE, Dataset
from pretrain.denoiser import make_pipeline
from pretrain.photographs import unseen_crops, unseen_portrait
from pretrain.samples import draw_samples


def assemble(work: Path, out: Path) -> None:
    """Write the pipeline in `out` from the parts in `work`, with samples and model card."""
    models = nn.ModuleDict(
        {
            "unet": UNet2DConditionModel.from_pretrained(work / "denoiser" / "unet"),
            "text_encoder": CLIPTextModel.from_pretrained(work / "denoiser" / "text_encoder"),
        }
    )
    codec = AutoencoderTiny.from_pretrained(work / "codec")
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    pipeline = make_pipeline(codec, tokenizer, models)
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(out, safe_serialization=True)
    _tidy(out)
    pipeline.to(dtype=torch.float32)
    draw_samples(pipeline, work / "samples" / "base.png")
    write_card(out / "README.md", _figures(pipeline, work, out))


def _tidy(out: Path) -> None:
    """Drop what says nothing, or only the path of this machine, from the written configurations."""
    for path in out.glob("*/config.json"):
        config = json.loads(path.read_text())
        # AutoencoderTiny writes this one itself and then warns that it did not expect it.
        if config.get("_class_name") == "AutoencoderTiny":
            config.pop("block_out_channels", None)
        config.pop("_name_or_path", None)
        # Transformers would load what is stored in half precision in half precision too, beside
        # a denoiser that diffusers loads in full.
        if "dtype" in config:
            config["dtype"] = "float32"
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for path in out.rglob("*.safetensors"):
        path.chmod(0o644)


@torch.no_grad()
def _figures(pipeline: StableDiffusionPipeline, work: Path, out: Path) -> BaseFigures:
    def quality(images: np.ndarray) -> float:
        pictures = to_tensor(images)
        return psnr(pictures, pipeline.vae.decode(pipeline.vae.encode(pictures).latents).sample)

    dataset = Dataset.load(work / "data.npz")
    trained = {name: journal.read(work / f"{name}.jsonl")[-1] for name in ("codec", "denoiser")}
    return BaseFigures(
        pictures=len(dataset.images),
        unet_weights=sum(weight.numel() for weight in pipeline.unet.parameters()),
        text_weights=sum(weight.numel() for weight in pipeline.text_encoder.parameters()),
        codec_weights=sum(weight.numel() for weight in pipeline.vae.parameters()),
        bytes=sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        portrait_psnr=quality(unseen_portrait(SIDE)[None]),
        photo_psnr=quality(unseen_crops(SIDE)),
        avatar_psnr=quality(dataset.images[~dataset.is_photo][-HELD_OUT:]),
        codec_steps=trained["codec"]["step"],
        denoiser_steps=trained["denoiser"]["step"],
        hours=sum(entry["seconds"] for entry in trained.values()) / 3600,
        held_out_loss=trained["denoiser"]["heldOutLoss"],
    )
