"""Train a base in a process whose memory is limited by the kernel; tell how it went, as JSON."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import torch
from gpu_runner.engines.diffusion.components import encode_prompts, load_components
from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.hooks import Hooks
from gpu_runner.engines.diffusion.trainer import LoraTrainer

MORE = 330_000_000
"""Bytes beyond what the process has when it starts to train: too few for a backward pass of all."""


def taken() -> int:
    """Bytes of the process's address space (proc(5))."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def main() -> None:
    """A step of 32 pictures."""
    torch.set_num_threads(1)
    components = load_components(Path(sys.argv[1]), "cpu")
    latents = torch.randn(32, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    trainer = LoraTrainer(
        components.unet,
        components.schedule,
        Examples((latents,), encode_prompts(components, ["a"])),
        TrainConfig(steps=1, batch_size=32, rank=2, sample_every=0, warmup_steps=0),
        seed=3,
    )
    smaller: list[int] = []
    hooks = Hooks(
        lambda *_: None,
        lambda *_: None,
        lambda *_: None,
        on_smaller_batch=lambda _, pictures: smaller.append(pictures),
    )
    limit = taken() + MORE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    result = trainer.run(hooks)
    print(json.dumps({"losses": len(result.losses), "smaller": smaller}))  # noqa: T201


if __name__ == "__main__":
    main()
