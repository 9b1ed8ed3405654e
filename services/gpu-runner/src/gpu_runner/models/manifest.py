"""The models that engines use: where each comes from, which of its files, how large, whose terms.

Revisions are commits, so that all who pull get the same bytes. Sizes here are from the models'
pages and only good for a first word: before a pull the hub is asked for the exact ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.licence import (
    CC_BY,
    CPML,
    MIT,
    OPENRAIL_M,
    OPENRAIL_PP_M,
    SVD_COMMUNITY,
    Licence,
)


@dataclass(frozen=True, slots=True)
class Source:
    """A repository at a hub, and the patterns (as of `fnmatch`) of the files that are needed.

    Each of `files` must match something there; `also` is taken if there is any.
    """

    repository: str
    revision: str
    files: tuple[str, ...]
    also: tuple[str, ...]
    about_bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    """Weights by the name that engines call them; without `source` they are in the package."""

    name: str
    title: str
    needed_by: str
    licence: Licence
    source: Source | None

    def told(self) -> dict[str, str]:
        """What is to be said of it wherever something is made from it, as plain JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "licence": self.licence.title,
            "licence_url": self.licence.url,
        }


_TERMS = ("README.md", "LICENSE*")
_UNET = ("unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors")
_VAE = ("vae/config.json", "vae/diffusion_pytorch_model.fp16.safetensors")


def _text_encoder(suffix: str = "") -> tuple[str, ...]:
    return (
        f"text_encoder{suffix}/config.json",
        f"text_encoder{suffix}/model.fp16.safetensors",
        f"tokenizer{suffix}/*",
    )


_PIPELINE = ("model_index.json", "scheduler/*")

MODELS: tuple[Model, ...] = (
    Model("mini", "Our own small base for portraits", "the engine mini", CC_BY, None),
    Model(
        "sd15",
        "Stable Diffusion 1.5, half precision",
        "the engine sd15",
        OPENRAIL_M,
        Source(
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            (*_PIPELINE, *_UNET, *_VAE, *_text_encoder()),
            _TERMS,
            2_135_000_000,
        ),
    ),
    Model(
        "sdxl",
        "Stable Diffusion XL 1.0, half precision",
        "the engine sdxl",
        OPENRAIL_PP_M,
        Source(
            "stabilityai/stable-diffusion-xl-base-1.0",
            "462165984030d82259a11f4367a4eed129e94a7b",
            (*_PIPELINE, *_UNET, *_VAE, *_text_encoder(), *_text_encoder("_2")),
            _TERMS,
            6_941_000_000,
        ),
    ),
    Model(
        "sdxl-vae",
        "A decoder for SDXL that does not overflow in half precision",
        "the engine sdxl, optionally",
        MIT,
        Source(
            "madebyollin/sdxl-vae-fp16-fix",
            "207b116dae70ace3637169f1ddd2434b91b3a8cd",
            ("config.json", "diffusion_pytorch_model.safetensors"),
            _TERMS,
            334_700_000,
        ),
    ),
    Model(
        "i2v",
        "Stable Video Diffusion XT, half precision",
        "the engine i2v",
        SVD_COMMUNITY,
        Source(
            "stabilityai/stable-video-diffusion-img2vid-xt",
            "9e43909513c6714f1bc78bcb44d96e733cd242aa",
            (
                *_PIPELINE,
                *_UNET,
                *_VAE,
                "image_encoder/config.json",
                "image_encoder/model.fp16.safetensors",
                "feature_extractor/*",
            ),
            _TERMS,
            4_510_000_000,
        ),
    ),
    Model(
        "xtts",
        "XTTS 2, speech in 17 languages",
        "the engine xtts",
        CPML,
        Source(
            "coqui/XTTS-v2",
            "6c2b0d75eae4b7047358e3b6bd9325f857d43f77",
            # There are no safetensors of it: its engine reads these as weights only.
            ("config.json", "vocab.json", "model.pth", "dvae.pth"),
            (*_TERMS, "LICENSE.txt"),
            2_080_000_000,
        ),
    ),
)


def find(name: str) -> Model:
    """The model of this name; ModelError if there is none."""
    for model in MODELS:
        if model.name == name:
            return model
    raise ModelError(
        f"there is no model {name!r}",
        f"There are {', '.join(model.name for model in MODELS)}",
        Fault.ABSENT,
    )
