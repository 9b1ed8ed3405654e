"""The published OpenAPI document: complete, true to its own schemas, and up to date."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway.app import build
from gateway.openapi.examples import example_of
from gateway.openapi.failures import failures
from gateway.problems import ProblemKind
from jsonschema import Draft202012Validator
from servicekit.admin import Readiness

FILE = Path(__file__).parents[3] / "docs" / "openapi.json"
DOCUMENT: dict[str, Any] = build(Readiness()).openapi()
# Told of addresses that are in no document, and of mistakes of ours.
UNLISTED = {ProblemKind.METHOD_NOT_ALLOWED, ProblemKind.INTERNAL}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


OPERATIONS = dict(operations())


def bodies(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for content in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from content.get("content", {}).values()


def test_the_published_document_is_what_the_routes_say() -> None:
    assert json.loads(FILE.read_text()) == DOCUMENT, "run `make schemas`"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_route_says_what_it_does_and_shows_each_body(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1
    for body in bodies(operation):
        assert "schema" in body
        assert {"example", "examples"} & body.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_fits_its_schema(name: str) -> None:
    for body in bodies(OPERATIONS[name]):
        schema = {**body["schema"], "components": DOCUMENT["components"]}
        known = DOCUMENT["components"]["examples"]
        shown = [
            known[one["$ref"].rpartition("/")[2]]["value"]
            for one in body.get("examples", {}).values()
        ]
        for example in shown or [body["example"]]:
            Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_route_tells_of_its_parameters(name: str) -> None:
    for parameter in OPERATIONS[name].get("parameters", ()):
        assert re.fullmatch(r"[a-z][A-Za-z]*|[A-Z][A-Za-z-]*|[a-z-]+", parameter["name"])
        assert parameter["schema"]


def test_operations_have_names_of_their_own_and_tags_that_are_explained() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    explained = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {tag for operation in OPERATIONS.values() for tag in operation["tags"]} == explained


def test_every_kind_of_problem_can_be_met_somewhere() -> None:
    met: set[ProblemKind] = set()
    for name, operation in OPERATIONS.items():
        method, path = name.split()
        met |= set(failures(method.lower(), path, operation))
    assert met == set(ProblemKind) - UNLISTED


def test_what_changes_something_can_be_sent_again_safely() -> None:
    for name, operation in OPERATIONS.items():
        if name.startswith("POST ") and name != "POST /api/session":
            keys = {parameter["name"] for parameter in operation.get("parameters", ())}
            assert "Idempotency-Key" in keys, name


def test_all_json_is_in_camel_case() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for property_name in schema.get("properties", {}):
            assert re.fullmatch(r"[a-z][A-Za-z0-9]*", property_name), f"{name}.{property_name}"


def test_an_example_is_made_for_every_shape_a_schema_can_have() -> None:
    schema = {
        "type": "object",
        "properties": {
            "one": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "many": {"type": "array", "items": {"enum": ["a", "b"]}},
            "map": {"type": "object", "additionalProperties": {"type": "number"}},
            "any": {},
            "node": {"type": "array", "items": {"type": "boolean"}},
        },
    }
    made = example_of(schema, {})
    Draft202012Validator(schema).validate(made)
    assert made["many"] == ["b"]
