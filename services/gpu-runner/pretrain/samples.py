"""Sample grids: what a model draws, or gives back, in rows of small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from pretrain.files import replaced

PROMPTS = (
    "portrait, lifelike style, woman, brown hair, long hair, blue background",
    "portrait, lifelike style, man, black hair, short hair, beard, white background",
    "portrait, lifelike style, old man, bald, glasses, green background",
    "portrait, lifelike style, woman, blond hair, smiling, red clothes, grey background",
    "portrait, lifelike style, man, glasses, yellow background",
    "portrait, toon head style, brown hair, blue clothes, white background",
    "portrait, toon head style, black hair, beard, green background",
    "portrait, personas style, brown hair, glasses, blue background",
    "portrait, micah style, black hair, glasses, pink background",
    "portrait, blue background, glasses",
    "portrait, red background",
    "picture, photo style, cat",
)
ENLARGED = 2


def write_grid(rows: Sequence[torch.Tensor], path: Path) -> None:
    """Write rows of pictures [n, 3, h, w] in -1..1 as one PNG; short rows are filled with black."""
    columns = max(len(row) for row in rows)
    _, _, height, width = rows[0].shape
    sheet = np.zeros((len(rows) * height, columns * width, 3), np.uint8)
    for line, row in enumerate(rows):
        for column, picture in enumerate(row.float().clamp(-1, 1).add(1).mul(127.5).round()):
            top, left = line * height, column * width
            sheet[top : top + height, left : left + width] = picture.byte().permute(1, 2, 0).numpy()
    large = cv2.resize(sheet, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    done, png = cv2.imencode(".png", large[..., ::-1])
    if not done:
        raise OSError(f"{path}: the sample grid could not be encoded")
    with replaced(path) as temporary:
        temporary.write_bytes(png.tobytes())


def draw_samples(pipeline: StableDiffusionPipeline, path: Path) -> None:
    """Draw each of `PROMPTS` twice from noise that is the same every time."""
    pipeline.set_progress_bar_config(disable=True)
    pictures = pipeline(
        list(PROMPTS) * 2,
        num_inference_steps=20,
        guidance_scale=2.5,
        generator=torch.Generator().manual_seed(1),
        output_type="pt",
    ).images
    write_grid(list(pictures.mul(2).sub(1).split(len(PROMPTS))), path)
