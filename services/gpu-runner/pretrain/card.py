"""The model card of the base: what it is made of, from whom, how good, and what it cannot do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pretrain.avatars import STYLES
from pretrain.photographs import PHOTOGRAPHS


@dataclass(frozen=True, slots=True)
class BaseFigures:
    """Measured numbers: sizes, codec quality in dB, and the last line of each training log."""

    pictures: int
    unet_weights: int
    text_weights: int
    codec_weights: int
    bytes: int
    unseen_psnr: float
    avatar_psnr: float
    training: list[str]


def write_card(path: Path, figures: BaseFigures) -> None:
    """Write the card as Markdown."""
    styles = "\n".join(
        f"| {card.title} | {card.author} | {card.licence} | {card.share:.0%} |" for card in STYLES
    )
    photos = "\n".join(
        f"| {photo.subject} | {photo.source} | {photo.licence} |" for photo in PHOTOGRAPHS
    )
    training = "\n".join(f"- {line}" for line in figures.training)
    path.write_text(
        f"""---
license: cc-by-4.0
library_name: diffusers
tags: [text-to-image, stable-diffusion, lora-base]
---

# mini: a latent diffusion base that a CPU can tune

A `StableDiffusionPipeline` for 64x64 portraits, trained from nothing by this project
(`python -m pretrain` in `services/gpu-runner`). It exists so that a personal LoRA can be
trained and tried on a machine without a GPU and without a download.

| part | class | weights |
|---|---|---|
| codec, 64x64x3 to 16x16x16 | AutoencoderTiny | {figures.codec_weights / 1e6:.2f} M |
| denoiser, 16x16x16 | UNet2DConditionModel | {figures.unet_weights / 1e6:.2f} M |
| words, 24 tokens | CLIPTextModel | {figures.text_weights / 1e6:.2f} M |

{figures.bytes / 1e6:.1f} MB in all, half precision. The denoiser
predicts v; the schedule is a cosine with zero terminal signal-to-noise ratio.

## Data

{figures.pictures} pictures at 64x64: drawn avatars, cropped around the face and placed on plain,
shaded and photographic backgrounds, and crops of photographs.

| DiceBear style | author | licence | part of the drawings |
|---|---|---|---|
{styles}

The drawings were cropped, turned, recoloured by light and scaled down. CC BY 4.0:
<https://creativecommons.org/licenses/by/4.0/>. CC0:
<https://creativecommons.org/publicdomain/zero/1.0/>.

| photograph | source | licence |
|---|---|---|
{photos}

CC BY 2.0: <https://creativecommons.org/licenses/by/2.0/>. The only person in them is the
man with a camera, seen from the side. The sample character of the demonstration and skimage's
astronaut were held out.

## Figures

- Codec on a portrait photograph it never saw (the astronaut): {figures.unseen_psnr:.1f} dB PSNR;
  on avatars: {figures.avatar_psnr:.1f} dB.
- Last entries of the training logs:

{training}

## Limits

It knows drawn heads and little else, and it was trained briefly: samples from noise show a head
with hair, clothes and background in the colours asked for, but the features of the face are
blurred. A LoRA draws them towards a person's colours and outline; it gives no likeness that would
deceive anyone. The words it knows are those of its captions: a style, hair, clothes,
beard, glasses, mood, background.
"""
    )
