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
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

from pretrain.card import BaseFigures, write_card
from pretrain.codec import psnr, to_tensor
from pretrain.dataset import SIDE, Dataset
from pretrain.denoiser import make_scheduler
from pretrain.photographs import unseen_portrait

PROMPTS = (
    "portrait, toon head style, brown hair, blue clothes, white background",
    "portrait, toon head style, blond hair, red clothes, smiling, cyan background",
    "portrait, toon head style, black hair, beard, green background",
    "portrait, personas style, pink hair, green clothes, yellow background",
    "portrait, micah style, cyan hair, purple clothes, smiling, white background",
    "portrait, open peeps style, yellow clothes, orange background",
    "portrait, big ears style, brown hair, soft light",
    "picture, photo style, cat",
)


def assemble(work: Path, out: Path) -> None:
    """Write the pipeline in `out` from the parts in `work`, with samples and model card."""
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderTiny.from_pretrained(work / "vae"),
        text_encoder=CLIPTextModel.from_pretrained(work / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(work / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(work / "unet"),
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(out, safe_serialization=True)
    _tidy(out)
    pipeline.to(dtype=torch.float32)
    _sample(pipeline, work / "samples.png")
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


def _sample(pipeline: StableDiffusionPipeline, path: Path) -> None:
    pipeline.set_progress_bar_config(disable=True)
    pictures = pipeline(
        list(PROMPTS) * 2,
        num_inference_steps=20,
        guidance_scale=2.5,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
    ).images
    rows = [np.concatenate(list(pictures[i : i + len(PROMPTS)]), axis=1) for i in (0, len(PROMPTS))]
    sheet = Image.fromarray((np.concatenate(rows) * 255).round().astype(np.uint8))
    sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.BICUBIC).save(path)


@torch.no_grad()
def _figures(pipeline: StableDiffusionPipeline, work: Path, out: Path) -> BaseFigures:
    def quality(images: np.ndarray) -> float:
        pictures = to_tensor(images)
        return psnr(pictures, pipeline.vae.decode(pipeline.vae.encode(pictures).latents).sample)

    dataset = Dataset.load(work / "data.npz")
    return BaseFigures(
        pictures=len(dataset.images),
        unet_weights=sum(weight.numel() for weight in pipeline.unet.parameters()),
        text_weights=sum(weight.numel() for weight in pipeline.text_encoder.parameters()),
        codec_weights=sum(weight.numel() for weight in pipeline.vae.parameters()),
        bytes=sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        unseen_psnr=quality(unseen_portrait(SIDE)[None]),
        avatar_psnr=quality(dataset.images[~dataset.is_photo][-256:]),
        training=_last_lines(work),
    )


def _last_lines(work: Path) -> list[str]:
    """The last entry of each training log, without its time of day."""
    lines = []
    for part in ("decoder", "denoiser"):
        entries = [
            line for line in (work / f"{part}.log").read_text().splitlines() if "step" in line
        ]
        lines += [entry.split(" ", 2)[2] for entry in entries[-1:]]
    return lines
