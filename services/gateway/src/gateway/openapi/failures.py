"""Which problems each route can end with, as rules over methods and paths.

Most problems follow from what a path is about, so saying it once for all such paths is
shorter than saying it at every route, and a new route is covered from its first day.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.problems import ProblemKind as P

OPEN = frozenset({"/health", "/ready", "/problems", "/problems/{slug}"})
"""Paths that ask nobody who they are."""

_ENGINES = (P.UNKNOWN_ENGINE, P.MISSING_WEIGHTS, P.INVALID_PARAMS)
_FILES = (P.NOT_A_PICTURE, P.PICTURE_TOO_LARGE, P.NOT_A_RECORDING, P.UPLOAD_TOO_LARGE)

_RULES: tuple[tuple[str, tuple[P, ...]], ...] = (
    (r"\w+ /problems/.*", (P.NOT_FOUND,)),
    (r"\w+ /api/(jobs/\{job\}|uploads|pipelines|webhooks).*", (P.WRITTEN_BY_NEWER,)),
    (r"\w+ /api/.*\{job\}.*", (P.NO_SUCH_JOB,)),
    (r"GET /api/jobs/\{job\}", (P.BEFORE_THE_JOB,)),
    (r"DELETE /api/jobs/\{job\}", (P.JOB_IS_RUNNING,)),
    (r"POST /api/jobs/\{job\}/cancel", (P.JOB_HAS_ENDED,)),
    (r"POST /api/jobs/\{job\}/retry", (P.NOTHING_TO_RETRY,)),
    (r"POST /api/jobs/\{job\}/fork", (P.NO_SUCH_STAGE, P.NOT_FORKABLE, *_ENGINES)),
    (
        r"POST /api/(train|generate|jobs)",
        (
            P.MALFORMED_BODY,
            P.WRONG_CONTENT_TYPE,
            P.UNKNOWN_FIELD,
            P.TOO_MANY_PHOTOS,
            P.CONSENT_MISSING,
            P.CONSENT_TOO_NARROW,
            P.NO_SUCH_JOB,
            P.NO_SUCH_UPLOAD,
            P.UPLOAD_INCOMPLETE,
            P.QUOTA_EXCEEDED,
            *_FILES,
            *_ENGINES,
        ),
    ),
    (r"POST /api/(generate|jobs)", (P.NO_SUCH_PROFILE, P.PROFILE_NOT_READY)),
    (r"POST /api/jobs", (P.NO_SUCH_PIPELINE,)),
    (r"\w+ /api/jobs/\{job\}/(artifacts|inputs|samples)/.*", (P.NO_SUCH_ARTIFACT,)),
    (r"GET .*/(\{index\}|\{sample\})", (P.ARTIFACT_ERASED, P.RANGE_NOT_SATISFIABLE, P.BUSY)),
    (r"GET .*/thumbnail", (P.ARTIFACT_ERASED, P.NO_THUMBNAIL)),
    (r"POST /api/uploads", (P.UPLOAD_TOO_LARGE, P.TOO_MANY_UPLOADS, P.QUOTA_EXCEEDED)),
    (r"\w+ /api/uploads/\{upload\}.*", (P.NO_SUCH_UPLOAD,)),
    (r"PUT /api/uploads/.*", (P.NO_SUCH_PART, P.WRONG_PART, P.UPLOAD_COMPLETE, P.BUSY)),
    (r"POST /api/uploads/.*/complete", (P.UPLOAD_INCOMPLETE, P.WRONG_CONTENT, *_FILES)),
    (r"\w+ /api/profiles/\{profile\}", (P.NO_SUCH_PROFILE,)),
    (r"DELETE /api/profiles/\{profile\}", (P.JOB_IS_RUNNING, P.WRITTEN_BY_NEWER)),
    (r"\w+ /api/pipelines/\{pipeline\}.*", (P.NO_SUCH_PIPELINE,)),
    (r"POST /api/pipelines", (P.TOO_MANY_PIPELINES, *_ENGINES)),
    (r"DELETE /api/pipelines/\{pipeline\}", (P.BUILT_IN_PIPELINE,)),
    (r"\w+ /api/dead-letters/.*", (P.NO_SUCH_DEAD_LETTER,)),
    (r"POST /api/dead-letters/.*/retry", (P.NOTHING_TO_RETRY,)),
    (r"POST /api/dead-letters/.*/drop", (P.DEAD_LETTER_RETRIED,)),
    (r"\w+ /api/tokens/\{token\}", (P.NO_SUCH_TOKEN,)),
    (r"POST /api/tokens", (P.TOO_MANY_TOKENS,)),
    (r"\w+ /api/webhooks/\{webhook\}.*", (P.NO_SUCH_WEBHOOK,)),
    (r"POST /api/webhooks", (P.TARGET_NOT_ALLOWED, P.TOO_MANY_WEBHOOKS)),
    (r"POST /api/webhooks/\{webhook\}/(test|.*/redeliver)", (P.WEBHOOK_INACTIVE,)),
    (r"\w+ /api/webhooks/.*\{delivery\}.*", (P.NO_SUCH_DELIVERY,)),
)


def failures(method: str, path: str, operation: Mapping[str, Any]) -> list[P]:
    """The problems of a route, in the order in which `ProblemKind` lists them."""
    place = f"{method.upper()} {path}"
    found: set[P] = set()
    for pattern, kinds in _RULES:
        if re.fullmatch(pattern, place):
            found.update(kinds)
    parameters = operation.get("parameters", ())
    if parameters or "requestBody" in operation:
        found.add(P.INVALID_REQUEST)
    if "requestBody" in operation:
        found.add(P.TOO_SLOW)
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        found.add(P.MALFORMED_BODY)
    if any(parameter["name"] == "Idempotency-Key" for parameter in parameters):
        found.add(P.KEY_REUSED)
    if path not in ("/health", "/ready"):
        found.add(P.FOREIGN_HOST)
    if path not in OPEN:
        found.update((P.UNAUTHENTICATED, P.FORBIDDEN, P.RATE_LIMITED, P.STARTING, P.UNAVAILABLE))
        found.update((P.LINK_EXPIRED,) if method == "get" else (P.FOREIGN_ORIGIN, P.NO_SESSION))
    return [kind for kind in P if kind in found]
