"""The parts of the pretraining that are exact: components, data, words, and the shipped files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from gpu_runner.engines.mini.base import BASE
from torch.nn import functional

HERE = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _pretrain_in_reach() -> Iterator[None]:
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


def test_the_encoder_is_the_principal_components_of_patches() -> None:
    from pretrain.codec import LATENT_CHANNELS, fit_encoder, photo_patches, psnr, to_tensor

    images = photo_patches(40, 64, seed=1)
    codec = fit_encoder(images)
    pixels = to_tensor(images)
    with torch.no_grad():
        latents = codec.encode(pixels).latents
    flat = latents.permute(1, 0, 2, 3).reshape(LATENT_CHANNELS, -1)
    correlation = torch.corrcoef(flat) - torch.eye(LATENT_CHANNELS)
    assert correlation.abs().max() < 0.02
    patches = functional.pixel_unshuffle(pixels, 4).permute(0, 2, 3, 1).reshape(-1, 48)
    known = torch.cat([flat.T, torch.ones(len(patches), 1)], dim=1)
    inverse = torch.linalg.lstsq(known, patches).solution
    lost = (patches - known @ inverse).square().mean()
    values = torch.linalg.eigvalsh(torch.cov(patches.T.double()))
    assert lost.item() == pytest.approx(values[:-LATENT_CHANNELS].sum().item() / 48, rel=0.02)
    assert psnr(patches, known @ inverse) > 28


def test_pictures_do_not_depend_on_the_number_of_workers() -> None:
    from pretrain.dataset import SIDE, build

    alone, together = build(300, seed=2, workers=1), build(300, seed=2, workers=2)
    assert np.array_equal(alone.images, together.images)
    assert alone.captions == together.captions
    assert alone.images.shape == (300, SIDE, SIDE, 3)
    assert 0.04 < alone.is_photo.mean() < 0.25


def test_only_free_styles_are_drawn() -> None:
    from pretrain.avatars import STYLES
    from pretrain.photographs import PHOTOGRAPHS

    licences = {item.licence for item in (*STYLES, *PHOTOGRAPHS)}
    assert licences <= {"CC0", "CC0 1.0", "CC BY 4.0", "CC BY 2.0", "public domain"}
    assert sum(card.share for card in STYLES) == pytest.approx(1)


def test_a_style_is_listed_under_the_licence_that_it_states() -> None:
    from importlib.resources import files

    from pretrain.avatars import STYLES

    for card in STYLES:
        text = files("dicebear_styles").joinpath(f"{card.name}.json").read_text("utf-8")
        assert json.loads(text)["meta"]["license"]["name"] == card.licence


def test_words_of_captions_are_whole_tokens_and_others_survive() -> None:
    from pretrain.language import TRIGGER, make_tokenizer

    tokenizer = make_tokenizer(["portrait, toon head style", "red hair, glasses"])
    assert tokenizer.tokenize(f"portrait, {TRIGGER}") == ["portrait</w>", ",</w>", f"{TRIGGER}</w>"]
    assert tokenizer.unk_token not in tokenizer.tokenize("zürich 7")


def test_the_shipped_base_is_small_and_names_its_sources() -> None:
    from pretrain.avatars import STYLES

    files = [file for file in BASE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 30_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".md"}
    card = (BASE / "README.md").read_text()
    assert all(style.author in card and style.licence in card for style in STYLES)
