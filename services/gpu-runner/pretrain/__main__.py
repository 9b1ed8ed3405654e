"""Command line of the pretraining; each part reads what the one before left in `--work`.

    python -m pretrain draw      # captioned pictures             (about 3 minutes on two cores)
    python -m pretrain encoder   # principal components           (seconds)
    python -m pretrain decoder   # the codec's way back           (about 15 minutes)
    python -m pretrain denoiser  # UNet and text encoder          (about 45 minutes)
    python -m pretrain assemble  # the diffusers directory, samples and model card

`decoder` and `denoiser` do not need each other and may run side by side.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import torch

from pretrain import base, codec, denoiser
from pretrain.dataset import Dataset, build


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("pretrain", description="Pretrain the mini base.")
    parser.add_argument("part", choices=("draw", "encoder", "decoder", "denoiser", "assemble"))
    parser.add_argument("--work", type=Path, default=Path("build/mini-base"))
    parser.add_argument("--out", type=Path, default=Path("src/gpu_runner/engines/mini/weights"))
    parser.add_argument("--pictures", type=int, default=16_000)
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def main() -> None:
    """Run one part."""
    options = _arguments()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(work / f"{options.part}.log")],
    )
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    if options.part == "draw":
        build(options.pictures, options.seed, options.threads).save(work / "data.npz")
        return
    if options.part == "denoiser":
        plan = denoiser.Plan(options.steps, options.minutes, options.seed, options.threads)
        denoiser.train(work, plan)
        return
    dataset = Dataset.load(work / "data.npz")
    if options.part == "encoder":
        fitted = codec.fit_encoder(codec.training_mix(dataset, options.seed))
        fitted.save_pretrained(work / "vae")
    elif options.part == "decoder":
        codec.train_decoder(
            codec.AutoencoderTiny.from_pretrained(work / "vae"),
            codec.training_mix(dataset, options.seed),
            steps=options.steps,
            minutes=options.minutes,
            seed=options.seed,
            out=work / "vae",
        )
    else:
        base.assemble(work, options.out)


if __name__ == "__main__":
    main()
