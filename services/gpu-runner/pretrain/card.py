"""The model card of the base: what it is made of, from whom, how good, and what it cannot do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pretrain.avatars import STYLES
from pretrain.dataset import LIFELIKE_SHARE, PHOTO_SHARE
from pretrain.people.figure import PACKAGE
from pretrain.photographs import PHOTOGRAPHS


@dataclass(frozen=True, slots=True)
class BaseFigures:
    """Measured numbers: sizes, codec quality in dB on pictures never seen, and the training's."""

    pictures: int
    unet_weights: int
    text_weights: int
    codec_weights: int
    bytes: int
    portrait_psnr: float
    photo_psnr: float
    avatar_psnr: float
    codec_steps: int
    denoiser_steps: int
    hours: float
    held_out_loss: float


def write_card(path: Path, figures: BaseFigures) -> None:
    """Write the card as Markdown."""
    styles = "\n".join(
        f"| {card.title} | {card.author} | {card.licence} | {card.share:.0%} |" for card in STYLES
    )
    photos = "\n".join(
        f"| {photo.subject} | {photo.source} | {photo.licence} |" for photo in PHOTOGRAPHS
    )
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

{figures.pictures} pictures at 64x64: {LIFELIKE_SHARE:.0%} lifelike people who do not exist,
{PHOTO_SHARE:.0%} crops of photographs, and drawn avatars. People and avatars are placed on plain,
shaded and photographic backgrounds.

The lifelike people are MakeHuman's figure with random features, age, light, hair and clothes.
Its mesh, morph targets, skins, hair and clothes are by the MakeHuman team and CC0
(<https://github.com/makehumancommunity/makehuman/blob/master/LICENSE.md>), taken from npm
(`{PACKAGE}`); what others contributed to that package is not used.

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

- Codec on a portrait photograph it never saw (the astronaut): {figures.portrait_psnr:.1f} dB PSNR;
  on other parts of that photograph: {figures.photo_psnr:.1f} dB; on avatars it never saw:
  {figures.avatar_psnr:.1f} dB.
- Codec: {figures.codec_steps} steps; denoiser: {figures.denoiser_steps} steps; together
  {figures.hours:.1f} hours on a machine shared with other work. Error of the velocity on held-out
  pictures: {figures.held_out_loss:.3f}.

## Limits

It knows heads and shoulders, lifelike and drawn, and little else; by itself it draws faces softly,
some of them wrongly. A LoRA makes a person of them that is recognised, at 64 pixels a side: no
likeness that would deceive anyone. The words it knows are those of its captions: a style, the
colour and shape of hair, clothes, beard, glasses, mood, light, background. The codec is made for
pictures of up to 64 pixels a side: on larger ones it paints patches wrongly.
"""
    )
