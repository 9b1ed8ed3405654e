"""Which image-to-video model a directory holds: found out by names and headers, without torch.

What is said enters the event log, so it names parts, but no files and folders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gpu_runner.engines.diffusion.sources import read_json, require_part, shapes_of
from gpu_runner.models.own import setting
from gpu_runner.stage import StageError

INDEX = "model_index.json"
Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Family:
    """What is peculiar to a kind of model.

    `rate` is its pictures a second, `pictures` how many it draws at once, which is a multiple of
    `stride` and one more; `grid` are the pixels of which sides are multiples. `worded` tells that
    it heeds a prompt. `denoiser` and `needs` are folders of its directory.
    """

    name: str
    title: str
    rate: float
    pictures: int
    stride: int
    grid: int
    steps: int
    guidance: float
    worded: bool
    denoiser: str
    needs: tuple[str, ...]

    def count(self, wanted: int) -> int:
        """The number of pictures nearest to `wanted` that it can draw; 0 is its own."""
        asked = wanted or self.pictures
        return self.stride * max(1, round((asked - 1) / self.stride)) + 1

    def size(self, canvas: Size, short_side: int) -> Size:
        """Width and height of what it draws for a canvas (width, height): sides on its grid."""
        scale = short_side / min(canvas)
        width, height = (max(1, round(side * scale / self.grid)) * self.grid for side in canvas)
        return width, height


_WORDS = ("text_encoder", "tokenizer")
SVD = Family(
    name="svd",
    title="Stable Video Diffusion",
    rate=7.0,
    pictures=25,
    stride=1,
    grid=64,
    steps=25,
    guidance=3.0,
    worded=False,
    denoiser="unet",
    needs=("unet", "vae", "image_encoder", "feature_extractor", "scheduler"),
)
WAN = Family(
    name="wan",
    title="Wan",
    rate=16.0,
    pictures=49,
    stride=4,
    grid=32,
    steps=40,
    guidance=5.0,
    worded=True,
    denoiser="transformer",
    needs=("transformer", "vae", *_WORDS, "scheduler"),
)
LTX = Family(
    name="ltx",
    title="LTX-Video",
    rate=25.0,
    pictures=97,
    stride=8,
    grid=32,
    steps=40,
    guidance=3.0,
    worded=True,
    denoiser="transformer",
    needs=("transformer", "vae", *_WORDS, "scheduler"),
)
# The same weights serve several pipelines, and are published under the name of one of them.
_BY_PIPELINE = {
    "StableVideoDiffusionPipeline": SVD,
    "WanImageToVideoPipeline": WAN,
    "WanPipeline": WAN,
    "LTXImageToVideoPipeline": LTX,
    "LTXConditionPipeline": LTX,
    "LTXPipeline": LTX,
}


@dataclass(frozen=True, slots=True)
class Source:
    """A model that is all there: its directory, its family, and the parts that it has."""

    path: Path
    family: Family
    parts: tuple[str, ...]

    def weights(self, bytes_each: int) -> Mapping[str, int]:
        """Bytes of each part's weights, where every number takes `bytes_each`."""
        return {
            part: bytes_each
            * sum(
                math.prod(shape)
                for file in _files(self.path / part)
                for shape in shapes_of(file, part).values()
            )
            for part in self.parts
        }


def open_source(path: Path) -> Source:
    """The image-to-video model in a diffusers directory.

    Raises:
        StageError: `weights-absent`, `base-unreadable`, `base-incomplete`, `base-pickled`,
            `base-of-another-family`.

    """
    if not path.is_dir():
        raise StageError(
            "weights-absent",
            "there is no directory at the place that was set for the engine i2v",
            f"Set {setting('i2v')} to a directory that diffusers has saved",
        )
    index = read_json(path / INDEX)
    if not index:
        raise StageError(
            "base-unreadable",
            "the directory is no model: it has no readable model_index.json",
            "Name the directory that diffusers has saved; single files do not do here",
        )
    family = _BY_PIPELINE.get(str(index.get("_class_name", "")))
    if family is None or (family is WAN and not _draws_from_pictures(path, index)):
        raise StageError(
            "base-of-another-family",
            "this model does not make a video from a picture",
            "Take an image-to-video model: Stable Video Diffusion, Wan or LTX-Video",
        )
    parts = sorted({*family.needs, *_present(index)})
    for part in parts:
        require_part(path / part, part)
    return Source(path, family, tuple(parts))


def _draws_from_pictures(path: Path, index: Mapping[str, Any]) -> bool:
    """Whether a Wan takes a picture: by channels for it, or as the first of all pictures."""
    if index.get("expand_timesteps"):
        return True
    config = read_json(path / "transformer" / "config.json")
    return bool(config.get("in_channels", 0) > config.get("out_channels", 0))


def _present(index: Mapping[str, Any]) -> set[str]:
    """Parts that a model says it has: each is told as a library and a class."""
    return {name for name, told in index.items() if isinstance(told, list) and any(map(bool, told))}


def _files(folder: Path) -> list[Path]:
    """The files of a part's weights, of which there may be some in half precision besides."""
    every = sorted(folder.glob("*.safetensors"))
    return [file for file in every if ".fp16" not in file.name] or every
