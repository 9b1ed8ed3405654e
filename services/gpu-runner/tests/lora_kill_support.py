"""A training in a process of its own, which can be killed, and the digest of what it has made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.checkpoint import BackgroundWriter
from gpu_runner.engines.diffusion.components import encode_prompts, load_components, tokenize
from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.hooks import Hooks
from gpu_runner.engines.diffusion.trainer import LoraTrainer


def train(
    base: Path, folder: Path, resume: Path | None, settings: dict[str, Any], told: Connection
) -> None:
    """Tell the number of each step, at last the digest; keep checkpoints in `folder`."""
    torch.set_num_threads(1)
    config = TrainConfig.model_validate(settings)
    components = load_components(base, "cpu")
    generator = torch.Generator().manual_seed(1)
    latents = tuple(
        torch.randn(count, 4, *shape, generator=generator)
        for count, shape in ((3, (16, 16)), (2, (24, 8)))
    )
    words = tokenize if config.text_encoder else encode_prompts
    text_encoder = components.text_encoder if config.text_encoder else None
    trainer = LoraTrainer(
        components.unet,
        components.schedule,
        Examples(latents, words(components, ["a", "b"])),
        config,
        seed=3,
        text_encoder=text_encoder,
    )
    if resume is not None:
        trainer.resume(resume)
    writer = BackgroundWriter()

    def on_checkpoint(step: int, save: Callable[[Path], None]) -> None:
        writer.submit(lambda: save(folder / str(step)))

    hooks = Hooks(lambda step, *_: told.send(step), lambda *_: None, on_checkpoint)
    result = trainer.run(hooks)
    writer.wait()
    made = {f"unet.{name}": each for name, each in lora.weights(components.unet).items()}
    if text_encoder is not None:
        made |= {f"text.{name}": each for name, each in lora.weights(text_encoder).items()}
    told.send(digest(made | {"losses": torch.tensor(result.losses)}))


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of names and numbers."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].contiguous().numpy().tobytes())
    return total.hexdigest()
