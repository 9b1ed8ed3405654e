"""Puts the OpenAPI document together (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.openapi.bodies import DEFINITIONS
from gateway.openapi.examples import example_of
from gateway.openapi.failures import OPEN, failures
from gateway.problems import MEDIA_TYPE, ProblemKind

_METHODS = ("get", "put", "post", "delete")
_DESCRIPTION = """
Photos and a short voice clip become a talking video, on your own machine.

- **Names** are camelCase, times RFC 3339 in UTC, durations end in `S` for seconds, sizes are bytes.
- **Errors** are problem documents (RFC 9457): a stable `type`, the cause, and a `remedy`.
- **Pages**: a list answers `next`, to be given as `before` (or `after`); null at the end.
- **Sending again**: a POST with an `Idempotency-Key` does its work once, however often it comes.
- **Asking again**: JSON has a weak `ETag`; `If-None-Match` gets 304 while nothing has changed.
- **Live**: server-sent events at `/api/jobs/{job}/events`, the WebSocket `/ws`, and webhooks.
"""
_TAGS = {
    "jobs": "Ask for trainings and videos, see how they go, and change their course.",
    "uploads": "Send files before the job that uses them: in parts, and taken up again.",
    "artifacts": "What jobs were given, showed and made: the bytes, thumbnails, links.",
    "profiles": "The people who can speak.",
    "pipelines": "The graphs of jobs, built in and your own.",
    "capabilities": "What can be done now, by whom, and how long it takes.",
    "webhooks": "Be told of what happens, by signed requests.",
    "access": "Who asks, and what they may do.",
    "oversight": "Who did what, what it took, and what nobody could do.",
    "operations": "For operators and their probes.",
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "Why a request was not done (RFC 9457). Some kinds have more members.",
    "properties": {
        "type": {"type": "string", "description": "stable; to be compared, and opened"},
        "title": {"type": "string"},
        "status": {
            "type": ["integer", "string"],
            "description": "the HTTP status; `not_found` on /api/status of an unknown job",
        },
        "detail": {"type": "string", "description": "what is wrong with this request"},
        "remedy": {"type": "string", "description": "what to do about it"},
        "instance": {"type": "string", "description": "the path that was asked for"},
    },
    "required": ["type", "title", "status", "detail", "remedy", "instance"],
}
_SECURITY_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token (`msb_…`), or a JWT where MYSPINBOT_ACCESS=oidc",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "myspinbot_session",
        "description": "The page's session: see POST /api/session",
    },
}
# The last: on one's own machine (MYSPINBOT_ACCESS=local) nothing is asked for.
_SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"session": []}, {}]
_HEADERS = {
    201: ("Location", "where to find what was made"),
    202: ("Location", "where to find the job"),
    401: ("WWW-Authenticate", "what credentials are wanted (RFC 9110)"),
    429: ("Retry-After", "seconds until another request is let in"),
    503: ("Retry-After", "seconds after which to try again"),
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of all routes, with examples and problems."""
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=_DESCRIPTION.strip(),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=[{"name": name, "description": says} for name, says in _TAGS.items()],
        routes=app.routes,
    )
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.update({**DEFINITIONS, "Problem": _PROBLEM})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["schemas"] = dict(sorted(schemas.items()))
    components["examples"] = {kind.slug: _told(kind) for kind in ProblemKind}
    components["securitySchemes"] = _SECURITY_SCHEMES
    made["security"] = _SECURITY
    for path, item in made["paths"].items():
        for method in _METHODS:
            if method in item:
                _complete(method, path, item[method], schemas)
    return made


def _complete(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add to an operation what FastAPI does not know of it."""
    responses = operation["responses"]
    if operation["summary"] == operation["operationId"].replace("_", " ").title():
        # Nobody has said it shorter than the first sentence does.
        operation["summary"] = operation["description"].split(". ")[0].split("\n")[0].rstrip(".")
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    if path in OPEN:
        operation["security"] = []
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in failures(method, path, operation):
        by_status.setdefault(kind.status, []).append(kind)
    for status, kinds in sorted(by_status.items()):
        responses.setdefault(str(status), _problem(kinds))
    if method == "get" and path.startswith("/api/") and _is_json(responses.get("200", {})):
        responses["200"].setdefault("headers", {})["ETag"] = _header("weak; for If-None-Match")
        responses.setdefault("304", {"description": "The client has it already"})
    for status, (name, says) in _HEADERS.items():
        if str(status) in responses and (status != 202 or "/jobs" in path or "/t" in path):
            responses[str(status)].setdefault("headers", {})[name] = _header(says)
    for content in (operation.get("requestBody", {}), *responses.values()):
        for body in content.get("content", {}).values():
            if "schema" in body and not {"example", "examples"} & body.keys():
                body["example"] = example_of(body["schema"], schemas)


def _problem(kinds: list[ProblemKind]) -> dict[str, Any]:
    return {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [{"$ref": "#/components/schemas/Problem"}],
                    "properties": {"type": {"enum": [kind.uri for kind in kinds]}},
                },
                "examples": {
                    kind.slug: {"$ref": f"#/components/examples/{kind.slug}"} for kind in kinds
                },
            }
        },
    }


def _told(kind: ProblemKind) -> dict[str, Any]:
    value = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": f"{kind.title}: here it says what exactly.",
        "remedy": "Here it says what to do about it.",
        "instance": "/api/…",
    }
    return {"summary": kind.title, "value": value}


def _header(says: str) -> dict[str, Any]:
    return {"description": says, "schema": {"type": "string"}}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter, which is left out and never null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**rest, **choices[0]}


def _is_json(response: dict[str, Any]) -> bool:
    return "application/json" in response.get("content", {})
