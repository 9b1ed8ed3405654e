"""What a pretraining run does, in steps alone: nothing in it depends on the clock.

The plan is kept in the work folder, so that a run is never continued under another one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pretrain.files import replaced

CADENCE = ("checkpoint_every", "sample_every", "log_every")
"""What may differ from one start of a run to the next: the weights do not depend on it."""


class PlanError(Exception):
    """A plan that cannot be carried out, or not in this folder; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the weights depend on, and how often the run is written down.

    `batch` is of all `workers` together; `channels` are the denoiser's, finest grid first.
    Checkpoints, sample grids and log lines come after every so many steps.
    """

    seed: int = 20262
    workers: int = 2
    pictures: int = 16_000
    codec_steps: int = 300
    denoiser_steps: int = 12_000
    batch: int = 32
    channels: tuple[int, int, int] = (96, 128, 192)
    checkpoint_every: int = 250
    sample_every: int = 1_000
    log_every: int = 50

    def __post_init__(self) -> None:
        """Refuse what would fail, or repeat itself in the log, later.

        Raises:
            PlanError: a number below 1, or numbers that do not fit each other.

        """
        numbers = {**asdict(self), "seed": 1, "channels": min(self.channels)}
        wrong = [name for name, number in numbers.items() if number < 1]
        if wrong or self.seed < 0:
            raise PlanError(f"{', '.join(wrong or ['seed'])}: too small")
        if self.batch % self.workers:
            raise PlanError(f"a batch of {self.batch} cannot be shared by {self.workers} workers")
        if self.checkpoint_every % self.log_every or self.sample_every % self.log_every:
            raise PlanError("checkpoints and samples have to come at steps that are logged")

    def bind(self, work: Path) -> None:
        """Write the plan into `work`, or compare it with the one that is there.

        Raises:
            PlanError: the folder holds a run under another plan.

        """
        path = work / "plan.json"
        mine = {key: value for key, value in asdict(self).items() if key not in CADENCE}
        mine["channels"] = list(self.channels)
        if not path.exists():
            with replaced(path) as temporary:
                temporary.write_text(json.dumps(mine, indent=2) + "\n")
            return
        there = json.loads(path.read_text())
        other = [
            f"{key} {there.get(key)} (not {mine.get(key)})"
            for key in sorted({*mine, *there})
            if there.get(key) != mine.get(key)
        ]
        if other:
            raise PlanError(
                f"{work} holds a run with {', '.join(other)}."
                " Give the same options again, or another --work"
            )
