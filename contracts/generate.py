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

import yaml
from contracts.capabilities import PlannerManifest, RunnerManifest
from contracts.commands import StageCommand, StopCommand
from contracts.envelope import TYPE_PREFIX, dataschema
from contracts.events import EVENTS, Event
from contracts.progress import StageProgress
from contracts.queries import QUERIES, RESULTS, Answer
from contracts.stagelog import StageLine
from pydantic import BaseModel

ROOT = Path(__file__).parent
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MESSAGES: dict[str, type[BaseModel]] = {
    "schemas/commands/StageCommand.v1.json": StageCommand,
    "schemas/commands/StopCommand.v1.json": StopCommand,
    "schemas/boards/StageProgress.v1.json": StageProgress,
    "schemas/boards/RunnerManifest.v1.json": RunnerManifest,
    "schemas/boards/PlannerManifest.v1.json": PlannerManifest,
    "schemas/boards/StageLine.v1.json": StageLine,
    "schemas/queries/Answer.json": Answer,
}


def documents() -> dict[str, str]:
    """Every generated file by its path below `contracts/`."""
    models: dict[str, type[BaseModel]] = dict(_MESSAGES)
    models |= {dataschema(event): event for event in EVENTS.values()}
    models |= {f"schemas/queries/{query.__name__}.json": query for query in QUERIES.values()}
    models |= {f"schemas/queries/{result.__name__}.json": result for result in RESULTS.values()}
    files = {path: _json(_schema(model, path)) for path, model in sorted(models.items())}
    files["asyncapi.yaml"] = yaml.safe_dump(_asyncapi(), sort_keys=False, width=100)
    return files


def _schema(model: type[BaseModel], path: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": _DIALECT, "$id": path.removeprefix("schemas/"), **schema}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _message(path: str, summary: str) -> dict[str, Any]:
    return {
        "summary": summary.splitlines()[0],
        "contentType": "application/json",
        "headers": {"type": "object", "properties": {"traceparent": {"type": "string"}}},
        "payload": {"$ref": f"./{path}"},
    }


def _event_message(event: type[Event]) -> dict[str, Any]:
    message = _message(dataschema(event), event.__doc__ or "")
    message["headers"]["properties"] = {
        "ce-specversion": {"const": "1.0"},
        "ce-id": {"type": "string"},
        "ce-source": {"type": "string"},
        "ce-type": {"const": TYPE_PREFIX + event.type_name()},
        "ce-subject": {"type": "string", "description": "the job"},
        "ce-time": {"type": "string", "format": "date-time"},
        "ce-dataschema": {"const": dataschema(event)},
        "traceparent": {"type": "string"},
    }
    return message


def _channel(address: str, message: str, description: str) -> dict[str, Any]:
    names = [part[1:-1] for part in address.split(".") if part.startswith("{")]
    return {
        "address": address,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "parameters": {name: {} for name in names},
    }


def _asyncapi() -> dict[str, Any]:
    messages = {name: _event_message(event) for name, event in sorted(EVENTS.items())}
    channels = {
        name: _channel(f"jobs.{{job}}.events.{name}", name, (event.__doc__ or "").splitlines()[0])
        for name, event in sorted(EVENTS.items())
    }
    others = {
        "StageCommand": (
            "cmd.stage.{kind}.{lane}.{job}.{stage}.{attempt}",
            "schemas/commands/StageCommand.v1.json",
            StageCommand,
        ),
        "StopCommand": (
            "control.stop.{job}.{stage}.{attempt}",
            "schemas/commands/StopCommand.v1.json",
            StopCommand,
        ),
        "StageProgress": (
            "progress.{job}.{stage}",
            "schemas/boards/StageProgress.v1.json",
            StageProgress,
        ),
        "RunnerManifest": (
            "runners.{runner}",
            "schemas/boards/RunnerManifest.v1.json",
            RunnerManifest,
        ),
        "PlannerManifest": (
            "planners.{planner}",
            "schemas/boards/PlannerManifest.v1.json",
            PlannerManifest,
        ),
        "StageLine": (
            "logs.{job}.{stage}.{attempt}",
            "schemas/boards/StageLine.v1.json",
            StageLine,
        ),
    }
    for name, (address, path, model) in others.items():
        messages[name] = _message(path, model.__doc__ or "")
        channels[name] = _channel(address, name, (model.__doc__ or "").splitlines()[0])
    for subject, query in sorted(QUERIES.items()):
        name = query.__name__
        messages[name] = _message(f"schemas/queries/{name}.json", query.__doc__ or "")
        channels[name] = _channel(f"query.{subject}", name, (query.__doc__ or "").splitlines()[0])
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "MySpinBot over NATS",
            "version": "0.1.0",
            "description": "Everything that MySpinBot's services say to each other.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "components": {"messages": messages},
    }


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
