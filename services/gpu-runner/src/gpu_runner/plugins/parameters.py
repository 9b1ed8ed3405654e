"""The parameters of a plug-in: a JSON Schema (draft 2020-12) of its author, and its faults."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_LARGEST = 64 << 10


class SchemaError(Exception):
    """The schema of a plug-in's parameters cannot be used. The message says why."""


def schema_of(folder: Path, given: Mapping[str, Any] | str) -> dict[str, Any]:
    """The schema that a manifest holds or names a file for; SchemaError if it cannot be used.

    It always refuses what it does not name, so that a misspelt parameter is never ignored.
    """
    # Imported where it is used: a runner without plug-ins starts without it.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError as WrongSchema

    raw = _read(folder / given) if isinstance(given, str) else given
    try:
        text = json.dumps(raw, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SchemaError("the parameters' schema has what JSON cannot say") from error
    if len(text) > _LARGEST:
        raise SchemaError("the parameters' schema is larger than 64 KiB")
    schema = {"type": "object", "properties": {}, "additionalProperties": False, **json.loads(text)}
    if schema["type"] != "object" or schema["additionalProperties"] is not False:
        raise SchemaError("the parameters' schema must be of an object without further properties")
    try:
        Draft202012Validator.check_schema(schema)
    except WrongSchema as error:
        where = ".".join(map(str, error.absolute_path)) or "its top"
        raise SchemaError(f"the parameters' schema is not valid at {where}") from error
    if any(not reference.startswith("#") for reference in _references(schema)):
        raise SchemaError("the parameters' schema refers to another document")
    if wrong := faults({**schema, "required": []}, _defaults(schema)):
        raise SchemaError(f"the parameters' defaults are not valid: {wrong}")
    return schema


def complete(schema: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with defaults for what was left out."""
    return {**_defaults(schema), **params}


def faults(schema: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """What is wrong with parameters, without what their values are; empty if nothing is."""
    from jsonschema import Draft202012Validator

    known = schema["properties"]
    told = [f"{name}: there is no such parameter" for name in params if name not in known]
    for error in Draft202012Validator(schema).iter_errors(dict(params)):
        if error.validator == "additionalProperties" and not error.absolute_path:
            continue
        where = ".".join(map(str, error.absolute_path))
        rule = json.dumps(error.validator_value)[:120]
        told.append(f"{where or 'parameters'}: breaks {error.validator} {rule}")
    return "; ".join(told[:4])


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: about["default"]
        for name, about in schema["properties"].items()
        if isinstance(about, dict) and "default" in about
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SchemaError(f"the parameters' schema {path.name} cannot be read as JSON") from error
    if not isinstance(found, dict):
        raise SchemaError(f"the parameters' schema {path.name} is no JSON object")
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)
