"""Examples made from JSON Schemas, so that every message has one and none goes out of date.

The schema says what a value may be, and a small vocabulary what values of that name look
like; tests hold each example to its schema. Needs `jsonschema`, which only those who write
documents have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

JOB = "01jbz3k9m2d4x6w8q0r5t7v1ya"
SHA256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
_FORMATS = {
    "date-time": "2026-11-22T18:55:00Z",
    "date": "2026-11-22",
    "binary": "…bytes…",
    "uri": "https://example.org/hook",
}
_KINDS = ("train_lora", "render_portrait")
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Examples:
    """Makes examples. `definitions` are schemas by name, `words` values by name of their field."""

    definitions: Schema
    words: Schema

    def of(self, schema: Schema, name: str = "", depth: int = 0) -> Any:
        """A value that fits a schema."""
        schema = self._resolved(schema)
        for word in ("examples", "example"):
            if word in schema:
                return schema[word][0] if word == "examples" else schema[word]
        if "const" in schema:
            return schema["const"]
        if name in self.words and self._fits(self.words[name], schema):
            return self.words[name]
        if "enum" in schema:
            return schema["enum"][min(1, len(schema["enum"]) - 1)]
        for word in ("anyOf", "oneOf", "allOf"):
            if word in schema:
                return self.of(schema[word][0], name, depth)
        return self._by_type(schema, name, depth)

    def _by_type(self, schema: Schema, name: str, depth: int) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                if depth > _DEEPEST:
                    return []
                items = schema.get("items") or schema.get("prefixItems", [{}])[0]
                return [self.of(items, name.removesuffix("s"), depth + 1)]
            case "string":
                return _string(schema)
            case "integer":
                return schema.get("default") or max(int(schema.get("minimum", 0)), 1)
            case "number":
                return schema.get("default") or 1.5
            case "boolean":
                return bool(schema.get("default", True))
            case "null":
                return None
        return "…"

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        if properties := schema.get("properties"):
            return {name: self.of(inner, name, depth + 1) for name, inner in properties.items()}
        values = schema.get("additionalProperties")
        if not isinstance(values, Mapping) or depth > _DEEPEST:
            return {}
        allowed = self._resolved(schema.get("propertyNames", {})).get("enum", _KINDS)
        return {key: self.of(values, "", depth + 1) for key in allowed[:2]}

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        return schema

    def _fits(self, value: Any, schema: Schema) -> bool:
        from jsonschema import Draft202012Validator

        whole = {**schema, "components": {"schemas": self.definitions}}
        return bool(Draft202012Validator(whole).is_valid(value))


def _string(schema: Schema) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    pattern = schema.get("pattern", "")
    if "{64}" in pattern:
        return SHA256
    if pattern.startswith("^[a-z][a-z0-9_]"):
        return _KINDS[0]
    if pattern.startswith("^[a-z0-9][a-z0-9_-]"):
        return JOB
    return str(schema.get("default") or "text")
