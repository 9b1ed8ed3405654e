"""Examples made from JSON Schemas, so that every body has one and none goes out of date.

The schema says what a value may be, and a small vocabulary what values of that name look
like; a test holds each example to its schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_JOB = "01jbz3k9m2d4x6w8q0r5t7v1ya"
_SHA256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
_ARTIFACT_URL = f"/api/jobs/{_JOB}/artifacts/render_video/video/0"
_WORDS: dict[str, Any] = {
    "after": ["prepare_dataset"],
    "attempt": 1,
    "attempts": 1,
    "before": _JOB,
    "cancelRequested": False,
    "caption": "step 120",
    "cause": "photo 2 shows no face",
    "code": "no-face",
    "createdAt": "2026-11-22T18:55:00Z",
    "deliveryId": "d7f0c4a9e1b34c5d8a6f",
    "description": "What it is for",
    "detail": "No job of yours has this id.",
    "device": "cuda:0",
    "done": 120,
    "endedAt": None,
    "engine": "diffusers",
    "engineVersion": "3",
    "etaS": 31.5,
    "expiresAt": "2026-11-23T18:55:00Z",
    "expiresInS": 3600,
    "failure": None,
    "forkedFrom": None,
    "from": "render_portrait",
    "howToGet": "myspinbot models get base-xl",
    "id": "train_lora",
    "index": 0,
    "input": "photos",
    "instance": "/api/jobs/nobody",
    "jobId": _JOB,
    "kind": "train_lora",
    "lastError": "the target did not answer within 10 s",
    "lastStatus": 503,
    "licence": "Apache-2.0",
    "limit": 50,
    "mediaType": "video/mp4",
    "memoryBytes": 25_769_803_776,
    "mermaid": "graph LR\n  train_lora --> render_portrait",
    "message": "loss 0.507",
    "name": "Ada",
    "next": _JOB,
    "nextAt": "2026-11-22T19:00:00Z",
    "output": "video",
    "owner": "ada",
    "params": {"steps": 400},
    "partBytes": 8_388_608,
    "pipelineId": "pk3n8f2",
    "portraitUrl": f"/api/jobs/{_JOB}/artifacts/prepare_dataset/faces/0/thumbnail",
    "profileId": _JOB,
    "progress": 0.42,
    "prompt": "in a garden, evening light",
    "queuePosition": 2,
    "rate": 3.8,
    "remedy": "Use a photo that shows one face, from the front.",
    "resumedFromStep": None,
    "retryAt": None,
    "reusedFrom": None,
    "runner": "workshop-1",
    "runnerId": "workshop-1",
    "scheduledAt": "2026-11-22T18:55:02Z",
    "script": "Hello, it is me.",
    "seed": 7,
    "sequence": 1804,
    "sha256": _SHA256,
    "size": 1_482_003,
    "stage": "train_lora",
    "status": "running",
    "startedAt": "2026-11-22T18:55:04Z",
    "step": 120,
    "thumbnailUrl": f"/api/jobs/{_JOB}/artifacts/render_video/poster/0/thumbnail",
    "title": "LoRA on Stable Diffusion XL",
    "tokenId": "t9c2e4a6b8d0",
    "total": 400,
    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    "traceUrl": None,
    "unit": "step",
    "updatedAt": "2026-11-22T18:56:11Z",
    "uploadId": "u0f3a5c7e9b1d2f4a6c8e0b2d4f6a8c0",
    "url": _ARTIFACT_URL,
    "version": "3",
    "videoUrl": _ARTIFACT_URL,
    "voiceUrl": f"/api/jobs/{_JOB}/artifacts/train_voice/preview/0",
    "webhookId": "w5d7f9b1c3e5",
}
_FORMATS = {
    "date-time": "2026-11-22T18:55:00Z",
    "binary": "…bytes…",
    "uri": "https://example.org/hook",
}
_KINDS = ("train_lora", "render_portrait")


def example_of(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], name: str = "", depth: int = 0
) -> Any:
    """A value that fits a schema; `definitions` are the document's components by name."""
    schema = _resolved(schema, definitions)
    for word in ("examples", "example"):
        if word in schema:
            return schema[word][0] if word == "examples" else schema[word]
    if "const" in schema:
        return schema["const"]
    if name in _WORDS and _fits(_WORDS[name], schema, definitions):
        return _WORDS[name]
    if "enum" in schema:
        return schema["enum"][min(1, len(schema["enum"]) - 1)]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return example_of(schema[word][0], definitions, name, depth)
    return _by_type(schema, definitions, name, depth)


def _by_type(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], name: str, depth: int
) -> Any:
    match schema.get("type"):
        case "object":
            return _object(schema, definitions, depth)
        case "array":
            if depth > 6:
                return []
            items = schema.get("items") or schema.get("prefixItems", [{}])[0]
            return [example_of(items, definitions, name.removesuffix("s"), depth + 1)]
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


def _object(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int
) -> dict[str, Any]:
    properties = schema.get("properties")
    if properties:
        return {
            name: example_of(inner, definitions, name, depth + 1)
            for name, inner in properties.items()
        }
    values = schema.get("additionalProperties")
    if not isinstance(values, Mapping) or depth > 6:
        return {}
    allowed = _resolved(schema.get("propertyNames", {}), definitions).get("enum", _KINDS)
    return {key: example_of(values, definitions, "", depth + 1) for key in allowed[:2]}


def _string(schema: Mapping[str, Any]) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    pattern = schema.get("pattern", "")
    if "{64}" in pattern:
        return _SHA256
    if pattern.startswith("^[a-z][a-z0-9_]"):
        return "train_lora"
    if pattern.startswith("^[a-z0-9][a-z0-9_-]"):
        return _JOB
    return str(schema.get("default") or "text")


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def _fits(value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    from jsonschema import Draft202012Validator

    whole = {**schema, "components": {"schemas": definitions}}
    return bool(Draft202012Validator(whole).is_valid(value))
