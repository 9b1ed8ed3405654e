"""The bodies of the routes that read them as a stream, which FastAPI cannot see."""

from __future__ import annotations

import json
from typing import Any

from contracts.events import JobType

from gateway.jobs.drafts import JobDraft
from gateway.problems import MEDIA_TYPE

_REFERENCE = "#/components/schemas/{model}"
_FILE = {"type": "string", "format": "binary"}
_TEXT = {"type": "string"}
_FORM: dict[str, dict[str, Any]] = {
    "type": {"enum": [kind.value for kind in JobType]},
    "script": {**_TEXT, "description": "the words to speak"},
    "topic": {**_TEXT, "description": "what to speak about, where there is no script"},
    "profileId": {**_TEXT, "description": "the profile to use instead of files"},
    "image": {
        "type": "array",
        "items": _FILE,
        "description": "photos of one person: JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF",
    },
    "voice": {
        **_FILE,
        "description": "a recording of their voice: WAV, MP3, FLAC, OGG, M4A or WebM",
    },
    "music": {
        **_FILE,
        "description": "what plays under the speech: WAV, MP3, FLAC, OGG, M4A or WebM",
    },
    "prompt": {**_TEXT, "description": "how the portrait should look"},
    "name": {**_TEXT, "description": "what the profile is called"},
    "consent": {
        **_TEXT,
        "description": "JSON object: who agrees to the use of the face and the voice, on what "
        "`basis` (self, permission or nobody), for what `purpose`, and what it `covers`",
    },
    "graph": {**_TEXT, "description": "JSON object: the stages of a pipeline"},
    "pipeline": {**_TEXT, "description": "a pipeline that is kept, instead of a graph"},
    "quality": {"enum": ["draft", "standard", "best"], "default": "standard"},
    "engines": {**_TEXT, "description": "JSON object: engine by stage kind"},
    "params": {**_TEXT, "description": "JSON object: engine parameters by stage kind"},
    "seed": {"type": "integer", "minimum": 0, "default": 0},
}
_OF_PIPELINES = ("graph", "pipeline")
_OF_VIDEOS = ("script", "topic", "profileId", "music")


def _definitions() -> dict[str, Any]:
    schema = JobDraft.model_json_schema(ref_template=_REFERENCE)
    return {**schema.pop("$defs", {}), "JobDraft": schema}


DEFINITIONS = _definitions()
"""Schemas that the bodies refer to, for the document's components."""


def _body(
    job_type: JobType | None,
    without: tuple[str, ...],
    required: tuple[list[str], list[str]],
    examples: tuple[dict[str, Any], dict[str, Any]],
) -> dict[str, Any]:
    """A body as a form or as JSON; `required` and `examples` are for each of the two."""
    own = ("type", *without) if job_type else without
    form = {
        "type": "object",
        "properties": {name: schema for name, schema in _FORM.items() if name not in own},
        "required": required[0],
        "additionalProperties": False,
    }
    draft: dict[str, Any] = {"$ref": _REFERENCE.format(model="JobDraft")}
    if job_type is not None:
        whole = DEFINITIONS["JobDraft"]
        properties = {
            name: schema for name, schema in whole["properties"].items() if name not in without
        }
        draft = {
            **whole,
            "title": f"{job_type.value.capitalize()}Draft",
            "properties": {**properties, "type": {"const": job_type.value}},
            "required": required[1],
        }
    content = {
        "multipart/form-data": {
            "schema": form,
            "encoding": {
                "image": {"contentType": "image/*"},
                "voice": {"contentType": "audio/*"},
                "music": {"contentType": "audio/*"},
            },
            "example": examples[0],
        },
        "application/json": {"schema": draft, "example": examples[1]},
    }
    return {"requestBody": {"required": True, "content": content}}


_PROFILE_ID = "01jbz3k9m2d4x6w8q0r5t7v1ya"
_UPLOAD_IDS = ["u0f3a5c7e9b1d2f4a6c8e0b2d4f6a8c0", "u1c3e5a7f9b0d2c4e6a8f0b1d3c5e7a9"]
_HELLO = "Hello, it is me."
_CONSENT = {
    "who": "myself",
    "basis": "self",
    "purpose": "greetings to my family",
    "covers": ["face", "voice"],
}
_CONSENT_TEXT = json.dumps(_CONSENT)

TRAIN = _body(
    JobType.TRAIN,
    (*_OF_PIPELINES, *_OF_VIDEOS),
    (["image", "consent"], ["uploads", "consent"]),
    (
        {
            "image": ["…the bytes of a photo…"],
            "voice": "…the bytes of a recording…",
            "name": "Ada",
            "consent": _CONSENT_TEXT,
        },
        {"uploads": {"photos": _UPLOAD_IDS}, "name": "Ada", "consent": _CONSENT},
    ),
)
GENERATE = _body(
    JobType.GENERATE,
    _OF_PIPELINES,
    ([], []),
    (
        {
            "image": ["…the bytes of a photo…"],
            "script": _HELLO,
            "quality": "draft",
            "consent": _CONSENT_TEXT,
        },
        {"profileId": _PROFILE_ID, "script": _HELLO},
    ),
)
JOBS = _body(
    None,
    (),
    (["type"], []),
    (
        {
            "type": "train",
            "image": ["…the bytes of a photo…"],
            "name": "Ada",
            "consent": _CONSENT_TEXT,
        },
        {"type": "generate", "profileId": _PROFILE_ID, "script": _HELLO, "quality": "draft"},
    ),
)
STATUS_RESPONSES: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "There is no such job; `status` is the word `not_found`",
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": _REFERENCE.format(model="Problem")},
                "example": {
                    "type": "/problems/no-such-job",
                    "title": "There is no such job",
                    "status": "not_found",
                    "detail": "No job of yours has this id.",
                    "remedy": "GET /api/jobs lists your jobs.",
                    "instance": "/api/status/nobody",
                    "jobId": "nobody",
                },
            }
        },
    }
}
