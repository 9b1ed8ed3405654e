"""The generated documents are what the models say, and what they say is valid."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from contracts.events import EVENTS
from contracts.queries import QUERIES

from contracts import events as e

CONTRACTS = Path(__file__).parents[1]


def test_the_written_documents_are_what_the_models_say() -> None:
    check = [sys.executable, str(CONTRACTS / "generate.py"), "--check"]
    assert subprocess.run(check, check=False, capture_output=True, text=True).stderr == ""


def test_an_event_as_written_is_valid_by_its_published_schema() -> None:
    schema = json.loads((CONTRACTS / "schemas/events/JobRequested.v1.json").read_text())
    event = e.JobRequested(type=e.JobType.TRAIN, owner="me")
    jsonschema.Draft202012Validator(schema).validate(json.loads(event.to_json()))


PACKAGE = CONTRACTS / "src/contracts"
TOLD: dict[str, Any] = json.loads((PACKAGE / "asyncapi.json").read_text())


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_of_the_asyncapi_document_leads_to_a_place_in_it() -> None:
    found = set(references(TOLD))
    assert len(found) > 100
    for reference in found:
        place: Any = TOLD
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_the_asyncapi_document_is_the_same_in_both_forms() -> None:
    assert yaml.safe_load((PACKAGE / "asyncapi.yaml").read_text()) == TOLD


def test_every_event_command_and_query_has_a_channel_and_a_right_example() -> None:
    assert {*EVENTS, "StageCommand", "StopCommand"} < TOLD["channels"].keys()
    assert {query.__name__ for query in QUERIES.values()} < TOLD["channels"].keys()
    for name, message in TOLD["components"]["messages"].items():
        schema = {**message["payload"], "components": TOLD["components"]}
        for example in message["examples"]:
            jsonschema.Draft202012Validator(schema).validate(example["payload"])
            if name in EVENTS:
                EVENTS[name].model_validate(example["payload"])


def test_who_tells_and_hears_a_message_is_who_may() -> None:
    def of(name: str) -> tuple[list[str], list[str]]:
        channel = TOLD["channels"][name]
        return channel["x-told-by"], channel["x-heard-by"]

    assert of("StageFailed")[0] == ["planner", "runner"]
    assert "projector" in of("StageFailed")[1]
    assert of("StageCommand") == (["planner"], ["runner", "observer"])
    assert of("StageLine") == (["runner"], ["gateway"])
    assert of("ListJobs") == (["gateway"], ["projector"])
    for name in TOLD["channels"]:
        assert all(of(name)), name
