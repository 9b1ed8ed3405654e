"""The generated documents are what the models say, and what they say is valid."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import yaml

from contracts import events as e

CONTRACTS = Path(__file__).parents[1]


def test_the_written_documents_are_what_the_models_say() -> None:
    check = [sys.executable, str(CONTRACTS / "generate.py"), "--check"]
    assert subprocess.run(check, check=False, capture_output=True, text=True).stderr == ""


def test_an_event_as_written_is_valid_by_its_published_schema() -> None:
    schema = json.loads((CONTRACTS / "schemas/events/JobRequested.v1.json").read_text())
    event = e.JobRequested(type=e.JobType.TRAIN, owner="me")
    jsonschema.Draft202012Validator(schema).validate(json.loads(event.to_json()))


def test_every_reference_of_the_asyncapi_document_leads_to_a_file() -> None:
    document = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())
    payloads = [m["payload"]["$ref"] for m in document["components"]["messages"].values()]
    assert len(payloads) > len(e.EVENTS)
    assert [ref for ref in payloads if not (CONTRACTS / ref).exists()] == []
