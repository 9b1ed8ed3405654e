"""Any instance of a JSON Schema, for tests that must hold for all of them.

It knows the keywords that the schemas of events use, and refuses others: an instance that a schema
allows and this never makes would be a hole in the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from hypothesis import strategies as st

Json = Any
_KNOWN = {
    *("type", "const", "enum", "default", "anyOf", "$ref", "$defs", "format", "pattern"),
    *("properties", "required", "additionalProperties", "patternProperties", "items"),
    *("minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
# Where JSON Schema says `\\w`, it means that of JavaScript.
_ASCII = st.characters(codec="ascii")
_WHOLE = st.integers(-(2**63), 2**63 - 1)
_SCALAR = st.none() | st.booleans() | _WHOLE | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    _SCALAR | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_OBJECT = st.dictionaries(_TEXT, ANYTHING, max_size=3)


def instances(
    schema: Mapping[str, Any], root: Mapping[str, Any] | None = None
) -> st.SearchStrategy:
    """Everything that a schema allows; ValueError for a keyword that is not known here."""
    root = root if root is not None else schema
    if unknown := set(schema) - _KNOWN:
        raise ValueError(f"the schema uses {sorted(unknown)}, which is not known here")
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return st.deferred(lambda: instances(root["$defs"][name], root))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([instances(each, root) for each in schema["anyOf"]])
    match schema.get("type"):
        case "object":
            return _object(schema, root)
        case "array":
            return st.lists(
                instances(schema["items"], root),
                min_size=schema.get("minItems", 0),
                max_size=min(schema.get("maxItems", 3), 3),
            )
        case "string":
            return _string(schema)
        case "integer":
            return _integer(schema)
        case "number":
            return _number(schema)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case None:
            return ANYTHING
    raise ValueError(f"the type {schema['type']!r} is not known here")


def _object(schema: Mapping[str, Any], root: Mapping[str, Any]) -> st.SearchStrategy:
    if "properties" in schema:
        named = {name: instances(each, root) for name, each in schema["properties"].items()}
        required = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {name: each for name, each in named.items() if name in required},
            optional={name: each for name, each in named.items() if name not in required},
        )
    if patterns := schema.get("patternProperties"):
        [(pattern, each)] = patterns.items()
        names = _matching(pattern)
        return st.dictionaries(names, instances(each, root), max_size=2)
    more = schema.get("additionalProperties", True)
    if isinstance(more, Mapping):
        return st.dictionaries(_TEXT, instances(more, root), max_size=2)
    return _OBJECT if more else st.just({})


def _string(schema: Mapping[str, Any]) -> st.SearchStrategy:
    match schema.get("format"):
        case "date-time":
            return st.datetimes(timezones=st.just(UTC)).map(lambda time: time.isoformat())
        case None if "pattern" in schema:
            return _matching(schema["pattern"])
        case None:
            return _TEXT
    raise ValueError(f"the format {schema['format']!r} is not known here")


def _matching(pattern: str) -> st.SearchStrategy[str]:
    # JSON Schema's `$` is the very end, Python's also stands before a line break.
    return st.from_regex(pattern.removesuffix("$") + r"\Z", alphabet=_ASCII)


def _integer(schema: Mapping[str, Any]) -> st.SearchStrategy:
    least, most = schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)
    least = max(least, schema.get("exclusiveMinimum", least - 1) + 1)
    most = min(most, schema.get("exclusiveMaximum", most + 1) - 1)
    return st.integers(least, most)


def _number(schema: Mapping[str, Any]) -> st.SearchStrategy:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    return st.floats(
        least,
        most,
        allow_nan=False,
        allow_infinity=False,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
    )
