"""Every error that a client sees, as a problem document (RFC 9457).

The `type` is a stable relative reference that programs can compare and people can open;
`detail` says what is wrong with this request and `remedy` what to do about it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import structlog
from contracts.upcasting import UnknownEventError
from eventlog.errors import UnavailableError
from eventlog.keyvalue import UnreadableRecordError
from eventlog.rpc import QueryFailedError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from servicekit.objects import ObjectStoreError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_S = 2
_MOST_ERRORS = 50
"""As many as anybody corrects at once: a list of thousands is larger than what it answers."""


class ProblemKind(Enum):
    """The kinds of problems: name in the URI, HTTP status, title."""

    INVALID_REQUEST = ("invalid-request", 422, "The request is not as it should be")
    MALFORMED_BODY = ("malformed-body", 400, "The body cannot be read")
    WRONG_CONTENT_TYPE = ("wrong-content-type", 415, "The body is of a kind that is not expected")
    UNKNOWN_FIELD = ("unknown-field", 422, "The form has a field that nobody knows")
    NOT_A_PICTURE = ("not-a-picture", 422, "A photo is not a picture")
    PICTURE_TOO_LARGE = ("picture-too-large", 422, "A photo has too many pixels")
    NOT_A_RECORDING = ("not-a-recording", 422, "The voice clip is not a sound recording")
    CONSENT_MISSING = ("consent-missing", 422, "Nobody has agreed to the use of a face or a voice")
    CONSENT_TOO_NARROW = ("consent-too-narrow", 422, "The consent does not cover all that is used")
    TOO_SLOW = ("too-slow", 408, "The body did not come in time")
    UPLOAD_TOO_LARGE = ("upload-too-large", 413, "The upload is too large")
    TOO_MANY_PHOTOS = ("too-many-photos", 422, "There are too many photos")
    NO_SUCH_UPLOAD = ("no-such-upload", 404, "There is no such upload")
    NO_SUCH_PART = ("no-such-part", 404, "The upload has no such part")
    WRONG_PART = ("wrong-part", 422, "A part is not of its size")
    WRONG_CONTENT = ("wrong-content", 422, "The upload is not what was announced")
    UPLOAD_INCOMPLETE = ("upload-incomplete", 409, "The upload lacks some of its parts")
    UPLOAD_COMPLETE = ("upload-complete", 409, "The upload is complete already")
    TOO_MANY_UPLOADS = ("too-many-uploads", 409, "There are too many uploads")
    QUOTA_EXCEEDED = ("quota-exceeded", 409, "There is no room left for this owner")
    UNKNOWN_ENGINE = ("unknown-engine", 422, "No runner has this engine")
    MISSING_WEIGHTS = ("missing-weights", 409, "An engine lacks its model weights")
    INVALID_PARAMS = ("invalid-params", 422, "A parameter is not allowed")
    KEY_REUSED = ("idempotency-key-reused", 422, "The idempotency key belongs to another request")
    NO_SUCH_JOB = ("no-such-job", 404, "There is no such job")
    NO_SUCH_PROFILE = ("no-such-profile", 404, "There is no such profile")
    PROFILE_NOT_READY = ("profile-not-ready", 409, "The profile is not trained yet")
    NO_SUCH_ARTIFACT = ("no-such-artifact", 404, "There is no such artifact")
    ARTIFACT_ERASED = ("artifact-erased", 410, "The artifact was erased")
    NO_THUMBNAIL = ("no-thumbnail", 404, "There is no thumbnail of this")
    RANGE_NOT_SATISFIABLE = ("range-not-satisfiable", 416, "The range lies outside the artifact")
    BEFORE_THE_JOB = ("before-the-job", 404, "The job did not exist at that time")
    JOB_HAS_ENDED = ("job-has-ended", 409, "The job has ended already")
    JOB_IS_RUNNING = ("job-is-running", 409, "The job has not ended")
    NO_SUCH_STAGE = ("no-such-stage", 422, "The job has no such stage")
    NOT_FORKABLE = ("not-forkable", 409, "The job lacks what the fork would take over")
    NOTHING_TO_RETRY = ("nothing-to-retry", 409, "The job has nothing to try again")
    NO_SUCH_DEAD_LETTER = ("no-such-dead-letter", 404, "There is no such dead letter")
    DEAD_LETTER_RETRIED = ("dead-letter-retried", 409, "The dead letter was tried again already")
    UNAUTHENTICATED = ("unauthenticated", 401, "It is not known who asks")
    FORBIDDEN = ("forbidden", 403, "The credentials do not reach that far")
    LINK_EXPIRED = ("link-expired", 403, "The link is not good any more")
    NO_SESSION = ("no-session", 403, "The page has no session")
    RATE_LIMITED = ("rate-limited", 429, "Too many requests")
    NO_SUCH_TOKEN = ("no-such-token", 404, "There is no such token")
    TOO_MANY_TOKENS = ("too-many-tokens", 409, "There are too many tokens")
    NO_SUCH_PIPELINE = ("no-such-pipeline", 404, "There is no such pipeline")
    TOO_MANY_PIPELINES = ("too-many-pipelines", 409, "There are too many pipelines")
    BUILT_IN_PIPELINE = ("built-in-pipeline", 409, "The pipeline is built in")
    NO_SUCH_WEBHOOK = ("no-such-webhook", 404, "There is no such webhook")
    NO_SUCH_DELIVERY = ("no-such-delivery", 404, "There is no such delivery")
    TOO_MANY_WEBHOOKS = ("too-many-webhooks", 409, "There are too many webhooks")
    WEBHOOK_INACTIVE = ("webhook-inactive", 409, "The webhook is not active")
    TARGET_NOT_ALLOWED = ("target-not-allowed", 422, "The address is not one to be called")
    FOREIGN_HOST = ("foreign-host", 421, "The gateway is not known by this name")
    FOREIGN_ORIGIN = ("foreign-origin", 403, "Another site's page may not do this")
    NOT_FOUND = ("not-found", 404, "There is nothing at this address")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "The address does not take this method")
    BUSY = ("busy", 503, "The gateway has its hands full")
    STARTING = ("starting", 503, "The gateway is starting")
    WRITTEN_BY_NEWER = ("written-by-newer", 503, "A newer version has written what is asked for")
    UNAVAILABLE = ("unavailable", 503, "A part of the system does not answer")
    INTERNAL = ("internal-error", 500, "Something went wrong inside")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The problem's `type`."""
        return f"/problems/{self.slug}"


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """What a request ends with when it cannot be done. `members` extend the document."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        remedy: str,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(f"{kind.slug}: {detail}")
        self.kind = kind
        self.detail = detail
        self.remedy = remedy
        self.headers = dict(headers or {})
        self.members = members


def unavailable(detail: str, kind: ProblemKind = ProblemKind.UNAVAILABLE) -> Problem:
    """A part that the request needs is away for now."""
    remedy = "Try again in a few seconds; if it stays so, look at the service logs."
    return Problem(kind, detail, remedy, {"Retry-After": str(_RETRY_S)})


def document(problem: Problem, instance: str) -> dict[str, Any]:
    """The members of the problem document."""
    return {
        "type": problem.kind.uri,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "remedy": problem.remedy,
        "instance": instance,
        **problem.members,
    }


class _ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """As JSON, whatever of the request it quotes: halves of surrogate pairs are no text."""
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def response(problem: Problem, instance: str) -> JSONResponse:
    """The problem as an HTTP response, which nobody keeps: the next answer may be another."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    return _ProblemResponse(document(problem, instance), problem.kind.status, headers)


def of_exception(error: Exception) -> Problem:
    """What a client is told about an exception; nothing of the inside of the system."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return of_validation(error.errors())
        case HTTPException(status_code=404):
            return Problem(
                ProblemKind.NOT_FOUND,
                "This address leads nowhere.",
                "See /docs for what the API offers.",
            )
        case HTTPException(status_code=405):
            allowed = dict(error.headers or {})
            return Problem(
                ProblemKind.METHOD_NOT_ALLOWED,
                f"This address takes {allowed.get('Allow', 'other methods')} only.",
                "See /docs for what the API offers.",
                allowed,
            )
        case HTTPException(status_code=400):
            return Problem(
                ProblemKind.MALFORMED_BODY, str(error.detail), "Send a well-formed request body."
            )
        case ClientDisconnect():
            return Problem(
                ProblemKind.MALFORMED_BODY, "The body was broken off.", "Send all of it."
            )
        case UnavailableError():
            log.warning("request.unavailable", detail=str(error))
            return unavailable("The message broker or the service behind it does not answer.")
        case UnknownEventError() | UnreadableRecordError():
            log.error("request.written_by_newer", detail=str(error))
            return Problem(
                ProblemKind.WRITTEN_BY_NEWER,
                f"This cannot be read here: {error}.",
                "Ask the operator to run the version that wrote it. Nothing of it is lost.",
            )
        case ObjectStoreError():
            log.warning("request.store_unavailable", detail=str(error))
            return unavailable("The object store does not answer as it should.")
        case QueryFailedError():
            log.error("request.query_failed", detail=str(error))
            return unavailable("The service that answers queries failed on this one.")
    return Problem(
        ProblemKind.INTERNAL,
        "The gateway met an error that it was not prepared for.",
        "The gateway's log says more. Please report it with the time of the request.",
    )


def of_validation(errors: Any) -> Problem:
    """The problem of values that do not fit a model, in pydantic's list of errors."""
    listed = [
        {
            "where": ".".join(str(part) for part in error["loc"]),
            "message": str(error["msg"]).removeprefix("Value error, "),
        }
        for error in errors[:_MOST_ERRORS]
    ]
    first = listed[0]
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(
        ProblemKind.INVALID_REQUEST,
        f"{first['where'] or 'request'}: {first['message']}{more}",
        "Correct what `errors` lists and send the request again.",
        errors=listed,
    )


def install(app: FastAPI, methods: Callable[[str], Iterable[str]]) -> None:
    """Answer every exception of `app` with a problem document.

    `methods` has all methods that a path takes: the framework knows only those of one route.
    """

    async def handle(request: Request, error: Exception) -> JSONResponse:
        # Files tell what they take; of routes the framework knows only one.
        wrong_method = isinstance(error, HTTPException) and error.status_code == 405
        if wrong_method and (taken := sorted(methods(request.url.path))):
            error.headers = {"Allow": ", ".join(taken)}  # type: ignore[attr-defined]
        return response(of_exception(error), request.url.path)

    for raised in (
        Problem,
        RequestValidationError,
        HTTPException,
        UnavailableError,
        QueryFailedError,
        UnknownEventError,
        UnreadableRecordError,
        ObjectStoreError,
        ClientDisconnect,
        Exception,
    ):
        app.add_exception_handler(raised, handle)
