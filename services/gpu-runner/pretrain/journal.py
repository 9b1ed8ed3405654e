"""The log of one training: a file of JSON lines, each with step, loss, rate and seconds.

A training that goes on from a checkpoint writes the lines after it once more; those
that were there are dropped first, so that every step stands in the file once.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pretrain.files import replaced


class Journal:
    """Appends to `path`; `seconds` counts the time at work, over all starts of the training."""

    def __init__(self, path: Path, step: int) -> None:
        """Open the journal of a training that stands at `step`."""
        self.path = path
        kept = [entry for entry in read(path) if entry["step"] <= step]
        with replaced(path) as temporary:
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in kept))
        earlier = kept[-1]["seconds"] if kept else 0.0
        self._begun = time.monotonic() - earlier

    def note(self, step: int, **figures: float) -> dict[str, Any]:
        """Write one line and give it back."""
        seconds = round(time.monotonic() - self._begun, 1)
        entry = {"step": step, **figures, "seconds": seconds}
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        return entry


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a journal, none if it is not there; a line cut off by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]
