"""Recorded histories: whole jobs as they once stood in the log, one CloudEvent a line."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from contracts.envelope import Recorded, from_structured

HISTORIES = Path(__file__).parents[1] / "histories"


def history_files() -> list[Path]:
    return sorted(HISTORIES.glob("*.jsonl"))


def load(path: Path) -> list[Recorded]:
    return [from_structured(json.loads(line)) for line in path.read_text().splitlines()]


@cache
def all_histories() -> dict[str, list[Recorded]]:
    """Every recorded history by its job."""
    return {history[0].job: history for history in map(load, history_files())}
