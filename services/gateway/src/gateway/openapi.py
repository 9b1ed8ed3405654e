"""What FastAPI cannot see of the routes that read their body as a stream."""

from __future__ import annotations

from typing import Any

from gateway.drafts import JobDraft
from gateway.problems import MEDIA_TYPE

_FILE = {"type": "string", "format": "binary"}
_TEXT = {"type": "string"}
_IMAGE = {
    "type": "array",
    "items": _FILE,
    "description": "photos of one person: JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF",
}
_VOICE = {**_FILE, "description": "a recording of their voice: WAV, MP3, FLAC, OGG, M4A or WebM"}
_NAME = {**_TEXT, "description": "what the profile is called"}
_PROMPT = {**_TEXT, "description": "how the portrait should look"}
_COMMON: dict[str, Any] = {
    "quality": {"enum": ["draft", "standard", "best"], "default": "standard"},
    "engines": {**_TEXT, "description": "JSON object: engine by stage kind"},
    "params": {**_TEXT, "description": "JSON object: engine parameters by stage kind"},
    "seed": {"type": "integer", "minimum": 0, "default": 0},
}
_SCRIPT = {**_TEXT, "description": "the words to speak"}
_PROFILE = {**_TEXT, "description": "the profile to use instead of files"}
_TYPE = {"enum": ["train", "generate", "pipeline"]}
_PIPELINE = {**_TEXT, "description": "a pipeline that is kept, instead of a graph"}
_GRAPH = {**_TEXT, "description": "JSON object: the stages of a pipeline"}


def _body(
    properties: dict[str, Any], required: list[str], example: dict[str, Any]
) -> dict[str, Any]:
    form = {
        "schema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        "encoding": {"image": {"contentType": "image/*"}, "voice": {"contentType": "audio/*"}},
    }
    json_body = {
        "schema": JobDraft.model_json_schema(ref_template="#/components/schemas/{model}"),
        "example": example,
    }
    definitions = json_body["schema"].pop("$defs", {})
    DEFINITIONS.update(definitions)
    content = {"multipart/form-data": form, "application/json": json_body}
    return {"requestBody": {"required": True, "content": content}}


DEFINITIONS: dict[str, Any] = {}
"""Schemas that the bodies refer to, for the document's components."""

TRAIN = _body(
    {"image": _IMAGE, "voice": _VOICE, "prompt": _PROMPT, "name": _NAME, **_COMMON},
    ["image"],
    {"type": "train"},
)
TRAIN["requestBody"]["content"].pop("application/json")
GENERATE = _body(
    {
        "script": _SCRIPT,
        "profileId": _PROFILE,
        "image": _IMAGE,
        "voice": _VOICE,
        "prompt": _PROMPT,
        "name": _NAME,
        **_COMMON,
    },
    ["script"],
    {"type": "generate", "profileId": "01jbz3k9m2d4x6w8q0r5t7v1ya", "script": "Hello, it is me."},
)
JOBS = _body(
    {
        "type": _TYPE,
        "script": _SCRIPT,
        "profileId": _PROFILE,
        "image": _IMAGE,
        "voice": _VOICE,
        "prompt": _PROMPT,
        "name": _NAME,
        "graph": _GRAPH,
        "pipeline": _PIPELINE,
        **_COMMON,
    },
    ["type"],
    {
        "type": "generate",
        "profileId": "01jbz3k9m2d4x6w8q0r5t7v1ya",
        "script": "Hello, it is me.",
        "quality": "draft",
    },
)
STATUS_RESPONSES: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "There is no such job; `status` is the word `not_found`",
        "content": {
            MEDIA_TYPE: {
                "example": {
                    "type": "/problems/no-such-job",
                    "title": "There is no such job",
                    "status": "not_found",
                    "detail": "No job of yours has this id.",
                    "remedy": "GET /api/jobs lists your jobs.",
                    "instance": "/api/status/nobody",
                    "jobId": "nobody",
                }
            }
        },
    }
}
