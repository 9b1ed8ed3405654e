"""Captions in a training: every picture is learned under its own words, and under no other's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gpu_runner.engines.diffusion.components import encode_prompts, load_components
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.hooks import Hooks
from gpu_runner.engines.diffusion.trainer import LoraTrainer, TrainingDivergedError
from gpu_runner.engines.mini import train_lora
from mini_support import write_random_base

SILENT = Hooks(lambda *_: None, lambda *_: None, lambda *_: None)


def trainer(base: Path, captions: list[list[int]]) -> LoraTrainer:
    """Of two pictures and three wordings, of which the last would spoil the loss."""
    components = load_components(base, "cpu")
    words = encode_prompts(components, ["a", "b", "c"])
    words[2] = torch.nan
    latents = torch.zeros((2, 4, components.unet.config["sample_size"], 16))
    settings = train_lora.Params(steps=3, batch_size=4, rank=2)
    return LoraTrainer(
        components.unet,
        components.schedule,
        Examples((latents,), words, torch.tensor(captions)),
        settings,
        seed=1,
    )


def test_a_picture_is_learned_under_its_own_captions_only(tmp_path: Path) -> None:
    base = write_random_base(tmp_path)
    assert len(trainer(base, [[0, 1], [1, 0]]).run(SILENT).losses) == 3
    with pytest.raises(TrainingDivergedError):
        trainer(base, [[0, 0], [2, 2]]).run(SILENT)
