"""Command line of the pretraining: one command does all of it, or what a killed run left undone.

    python -m pretrain                # draw, fit, train the codec, train the denoiser, write
    python -m pretrain --help         # the numbers of the plan

Run it in `services/gpu-runner`. It may be killed at any moment, kill -9 too: the same command
again goes on from the last checkpoint in `--work`, where the logs (JSON lines) and sample grids
are as well. To leave the machine to others: `chrt --idle 0 nice -n 19 python -m pretrain`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from pretrain.parts import configure_logging, run
from pretrain.plan import Plan, PlanError


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("pretrain", description="Pretrain the mini base.")
    parser.add_argument("--work", type=Path, default=Path("build/mini-base"))
    parser.add_argument(
        "--out", type=Path, help="the diffusers directory to write (default: `base` in --work)"
    )
    for field in fields(Plan):
        if field.name != "channels":
            option = f"--{field.name.replace('_', '-')}"
            parser.add_argument(option, type=int, default=field.default, help="(%(default)s)")
    return parser.parse_args()


def main() -> int:
    """Run all parts; 2 if the plan cannot be carried out."""
    options = vars(_arguments())
    work: Path = options.pop("work")
    out: Path = options.pop("out") or work / "base"
    configure_logging(work)
    try:
        run(Plan(**options), work, out)
    except PlanError as error:
        sys.stderr.write(f"pretrain: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
