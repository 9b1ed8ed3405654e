"""Writes the JSON Schemas and the AsyncAPI document of the contracts, or checks them.

`python contracts/generate.py` writes; with `--check` it changes nothing and ends with
status 1 when what is written differs from what the models say.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import asyncapi
import event_table
import yaml
from contracts.capabilities import PlannerManifest, RunnerManifest
from contracts.checkpoints import LogCheckpoint
from contracts.commands import StageCommand, StopCommand
from contracts.envelope import dataschema
from contracts.events import EVENTS
from contracts.progress import StageProgress
from contracts.queries import QUERIES, RESULTS, Answer
from contracts.spans import SpanBatch
from contracts.stagelog import StageLine
from pydantic import BaseModel

ROOT = Path(__file__).parent
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MESSAGES: dict[str, type[BaseModel]] = {
    "schemas/checkpoints/LogCheckpoint.v1.json": LogCheckpoint,
    "schemas/commands/StageCommand.v1.json": StageCommand,
    "schemas/commands/StopCommand.v1.json": StopCommand,
    "schemas/boards/StageProgress.v1.json": StageProgress,
    "schemas/boards/RunnerManifest.v1.json": RunnerManifest,
    "schemas/boards/PlannerManifest.v1.json": PlannerManifest,
    "schemas/boards/StageLine.v1.json": StageLine,
    "schemas/boards/SpanBatch.v1.json": SpanBatch,
    "schemas/queries/Answer.json": Answer,
}


def documents() -> dict[str, str]:
    """Every generated file by its path below `contracts/`."""
    models: dict[str, type[BaseModel]] = dict(_MESSAGES)
    models |= {dataschema(event): event for event in EVENTS.values()}
    models |= {f"schemas/queries/{query.__name__}.json": query for query in QUERIES.values()}
    models |= {f"schemas/queries/{result.__name__}.json": result for result in RESULTS.values()}
    files = {path: _json(_schema(model, path)) for path, model in sorted(models.items())}
    told = asyncapi.document()
    # In the package, so that every gateway has it to show.
    files["src/contracts/asyncapi.json"] = _json(told)
    files["src/contracts/asyncapi.yaml"] = yaml.dump(
        told, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True
    )
    files["../docs/events.md"] = event_table.page()
    return files


class _Dumper(yaml.SafeDumper):
    """Writes what occurs several times several times: readers know no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whatever it is."""
        del data
        return True


def _schema(model: type[BaseModel], path: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": _DIALECT, "$id": path.removeprefix("schemas/"), **schema}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    check = parser.parse_args().check
    wanted = documents()
    present = {str(p.relative_to(ROOT)) for p in (ROOT / "schemas").rglob("*.json")}
    stale = sorted(
        {p for p, text in wanted.items() if not _is(ROOT / p, text)} | (present - set(wanted))
    )
    if check:
        for path in stale:
            sys.stderr.write(f"contracts/{path} is not what the models say: run `make schemas`\n")
        return 1 if stale else 0
    for path in stale:
        if path not in wanted:
            (ROOT / path).unlink()
            continue
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path], encoding="utf-8")
    return 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
