"""What lies where weights should be: found out by names and headers, before anything is loaded.

A base is a directory as diffusers saves it, or one safetensors file as Stability and most who
publish bases write it. Nothing that is pickled is ever opened, as that can run anything.
No torch here. What is said enters the event log, so it names parts, but no files and folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from gpu_runner.models.own import setting
from gpu_runner.stage import StageError

PICKLED = {".ckpt", ".bin", ".pt", ".pth", ".pkl"}
_COMMON = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
PARTS: Mapping[str, tuple[str, ...]] = {
    "sd15": _COMMON,
    "sdxl": (*_COMMON, "text_encoder_2", "tokenizer_2"),
}
"""Folders of a diffusers directory, by engine."""
TITLES = {"sd15": "Stable Diffusion 1.5", "sdxl": "Stable Diffusion XL"}
_WITHOUT_WEIGHTS = {
    "feature_extractor",
    "image_processor",
    "scheduler",
    "tokenizer",
    "tokenizer_2",
}
_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_CONV_IN = f"{_UNET}input_blocks.0.0.weight"
_TEXT = {
    "conditioner.embedders.1.model.": "sdxl",
    "conditioner.embedders.0.model.": "the refiner of Stable Diffusion XL",
    "cond_stage_model.transformer.": "sd15",
    "cond_stage_model.model.": "Stable Diffusion 2",
}
"""What a single file is, by where its text encoder is. The first that fits counts."""
_WIDTH_OF_SD2 = 1024
_PLAIN_CHANNELS = 4


@dataclass(frozen=True, slots=True)
class Source:
    """A base that is all there: a directory, or a file.

    `settings` is the directory with configurations and tokenizers, which for a file is another.
    """

    path: Path
    settings: Path

    @property
    def is_file(self) -> bool:
        """Whether all weights are in one file."""
        return self.path != self.settings


def open_source(path: Path, family: str, settings: Path | None = None) -> Source:
    """The base of a family (`sd15` or `sdxl`) at `path`; for a file, with `settings`.

    Raises:
        StageError: `weights-absent`, `base-pickled`, `base-unreadable`, `base-incomplete`,
            `base-of-another-family`.

    """
    if path.is_dir():
        _require_directory(path, family)
        return Source(path, path)
    if not path.is_file():
        raise StageError(
            "weights-absent",
            f"there is no base for the engine {family} at the place that was set for it",
            f"Set {setting(family)} to a diffusers directory or a safetensors file",
        )
    if path.suffix.lower() in PICKLED:
        raise pickled()
    _require_file(path, family)
    if settings is None:
        raise StageError(
            "base-incomplete",
            "a single file has weights only, and the tokenizer that belongs to it is not here",
            f"Get it where the runner is: `myspinbot models pull {family}`",
        )
    return Source(path, settings)


def variant_of(folder: Path) -> str | None:
    """`fp16` where only weights of that name are in a part's folder."""
    names = {path.name for path in folder.glob("*.safetensors")}
    return "fp16" if names and all(".fp16" in name for name in names) else None


def _require_directory(path: Path, family: str) -> None:
    index = read_json(path / "model_index.json")
    if not index:
        if any(one.suffix in PICKLED for one in path.iterdir()):
            raise pickled()
        raise StageError(
            "base-unreadable",
            "the directory is no base: it has no readable model_index.json",
            "Name the directory that diffusers has saved, in which the folder `unet` is",
        )
    found = "sdxl" if index.get("text_encoder_2") else "sd15"
    unet = read_json(path / "unet" / "config.json")
    if not str(index.get("_class_name", "")).startswith("StableDiffusion"):
        raise _of_another(family, "another architecture")
    if found == "sd15" and unet.get("cross_attention_dim") == _WIDTH_OF_SD2:
        found = "Stable Diffusion 2"
    _require_family(family, found)
    for part in PARTS[family]:
        require_part(path / part, part)
    if unet.get("in_channels") != read_json(path / "vae" / "config.json").get("latent_channels"):
        raise _of_another(family, "a base for inpainting or editing")


def require_part(folder: Path, part: str) -> None:
    """See that a part of a diffusers directory is all there, and holds nothing pickled.

    Raises:
        StageError: `base-incomplete`, `base-pickled`, `base-unreadable`.

    """
    if part in _WITHOUT_WEIGHTS:
        if not any(_sized(folder.glob("*.json"))):
            raise half(part)
        return
    if not read_json(folder / "config.json"):
        raise half(part)
    weights = list(folder.glob("*.safetensors"))
    if not weights:
        raise pickled() if any(one.suffix in PICKLED for one in folder.iterdir()) else half(part)
    for one in weights:
        shapes_of(one, part)
    for index in folder.glob("*.safetensors.index*.json"):
        shards = set(read_json(index).get("weight_map", {}).values())
        if not shards <= {one.name for one in weights}:
            raise half(part)


def _require_file(path: Path, family: str) -> None:
    names = shapes_of(path, "file")
    if not any(name.startswith(_UNET) for name in names):
        lora = any("lora" in name for name in names)
        raise StageError(
            "base-unreadable",
            "the file is a LoRA, not a base" if lora else "the file holds no denoiser of a base",
            f"Name a whole checkpoint of {TITLES[family]}, or a diffusers directory",
        )
    found = next(
        (kind for start, kind in _TEXT.items() if any(name.startswith(start) for name in names)),
        None,
    )
    if found is None:
        raise half("text encoder")
    _require_family(family, found)
    if not any(name.startswith(_VAE) for name in names):
        raise half("VAE")
    if names.get(_CONV_IN, (0, _PLAIN_CHANNELS))[1] != _PLAIN_CHANNELS:
        raise _of_another(family, "a base for inpainting or editing")


def _require_family(wanted: str, found: str) -> None:
    if found != wanted:
        raise _of_another(wanted, TITLES.get(found, found), found if found in TITLES else None)


def shapes_of(path: Path, part: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a safetensors file, whose end is checked to be where it should."""
    try:
        with safe_open(path, framework="np") as opened:
            return {
                name: tuple(opened.get_slice(name).get_shape())
                for name in opened.keys()  # noqa: SIM118 - it is no dict
            }
    except (SafetensorError, OSError) as error:
        raise StageError(
            "base-unreadable",
            f"the {part} of the base is no safetensors file, or a part of it is missing",
            "Get it again, and see that it comes to its end",
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _sized(paths: Iterable[Path]) -> Iterable[Path]:
    return (path for path in paths if path.stat().st_size)


def half(part: str) -> StageError:
    """A part is missing."""
    return StageError(
        "base-incomplete",
        f"the base has no {part}, or not all of it",
        "Get it again as a whole, with all its folders",
    )


def pickled() -> StageError:
    """Weights are there, but could run anything."""
    return StageError(
        "base-pickled",
        "the weights are pickled, and opening such a file can run any program that is in it",
        "Take the safetensors version of the same base; most publishers offer one",
    )


def _of_another(wanted: str, what: str, engine: str | None = None) -> StageError:
    return StageError(
        "base-of-another-family",
        f"this is {what}, which the engine {wanted} cannot use",
        f"Set it as {setting(engine)} and choose the engine {engine}"
        if engine
        else f"Give the engine {wanted} a base of {TITLES[wanted]}",
    )
