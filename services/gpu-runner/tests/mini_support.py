"""A base of random weights in diffusers' layout, and a report that remembers what it was told.

The tiny base has another codec class, size and noise target than the shipped one, so what
passes on both does not depend on `mini`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from gpu_runner.faces.crops import crop_portrait, widest_face
from gpu_runner.media.pictures import write_picture
from gpu_runner.stage import StageContext
from report_support import Talk
from skimage import data
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz,"


@dataclass
class Memory(Talk):
    """Keeps all reports."""

    steps: list[tuple[float, float, str, str]] = field(default_factory=list)
    checkpoints: list[tuple[Path, int]] = field(default_factory=list)
    samples: list[tuple[Path, str, int]] = field(default_factory=list)

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        self.steps.append((done, total, unit, message))

    def checkpoint(self, directory: Path, step: int) -> None:
        self.checkpoints.append((directory, step))

    def sample(self, path: Path, caption: str, step: int) -> None:
        self.samples.append((path, caption, step))


def write_random_base(directory: Path, seed: int = 0, channels: int = 32) -> Path:
    torch.manual_seed(seed)
    tokens = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{c}</w>" for c in LETTERS)]
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(32, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokens),
                hidden_size=32,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=16,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        ),
        tokenizer=CLIPTokenizer(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[],
            model_max_length=16,
        ),
        unet=UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(channels, channels),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            attention_head_dim=2,
            cross_attention_dim=32,
            norm_num_groups=8,
        ),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(directory)
    return directory


def write_face(directory: Path) -> Path:
    """The astronaut's face as the crop that a stage would get, 512x512."""
    photo = data.astronaut()
    path = directory / "face.png"
    write_picture(path, crop_portrait(photo, widest_face(photo, "photo 1")))
    return path


def make_context(
    folder: Path,
    params: Any,
    inputs: dict[str, list[Path]],
    *,
    report: Memory | None = None,
    seed: int = 5,
    resume: Path | None = None,
) -> StageContext:
    output, scratch = folder / "output", folder / "scratch"
    output.mkdir(parents=True)
    scratch.mkdir()
    return StageContext(
        params=params,
        inputs=inputs,
        output=output,
        scratch=scratch,
        device="cpu",
        seed=seed,
        report=report or Memory(),
        resume=resume,
    )
