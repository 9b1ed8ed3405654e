"""What a call of the client may raise. Each has a `cause` and a `remedy`, both to be shown."""

from __future__ import annotations

from typing import Any, Self

import httpx
from pydantic import ValidationError

from myspinbot.client.replies.base import Problem
from myspinbot.errors import (
    FAILED,
    NOT_ALLOWED,
    NOT_FOUND,
    REFUSED,
    UNREACHABLE,
    CommandError,
)

_EXIT_STATUS = {401: NOT_ALLOWED, 403: NOT_ALLOWED, 404: NOT_FOUND, 410: NOT_FOUND}


class ClientError(CommandError):
    """The root of what a call of the client raises."""


class ApiError(ClientError):
    """The gateway refused a request, for a reason that it tells in a problem document.

    `status` is of HTTP, `type` is stable and can be compared, `members` has what the document
    says beside, such as `errors` or `allowed`.
    """

    def __init__(self, status: int, problem: Problem, retry_after_s: float | None = None) -> None:
        cause = problem.detail or problem.title or f"The gateway answered {status}."
        away = status in (502, 503, 504)
        super().__init__(
            cause, problem.remedy, UNREACHABLE if away else _EXIT_STATUS.get(status, REFUSED)
        )
        self.status = status
        self.type = problem.type
        self.title = problem.title
        self.detail = problem.detail
        self.retry_after_s = retry_after_s
        self.members: dict[str, Any] = dict(problem.model_extra or {})

    def about(self, name: str) -> Self:
        """The same error, saying which of several files it is about."""
        self.cause = f"{name}: {self.cause}"
        self.args = (f"{self.cause} {self.remedy}",)
        return self

    @staticmethod
    def of(response: httpx.Response) -> ApiError:
        """The error that a response tells; its body has been read."""
        try:
            problem = Problem.model_validate(response.json())
        except (ValueError, ValidationError):
            problem = Problem(
                detail=f"The answer to {response.request.method} {response.request.url.path} "
                f"was {response.status_code}, without a reason.",
                remedy="Check that the address is a MySpinBot of this version, with no proxy "
                "before it that answers for it.",
            )
        wait = response.headers.get("Retry-After", "")
        return ApiError(response.status_code, problem, float(wait) if wait.isdecimal() else None)


class UnreachableError(ClientError):
    """Nobody answers at the gateway's address."""

    def __init__(self, api: str) -> None:
        super().__init__(
            f"No MySpinBot answers at {api}.",
            "Start one with `myspinbot up`, or name the address of another one with --api; if one "
            "should be running here, `myspinbot doctor` finds out what is wrong with it.",
            UNREACHABLE,
        )


class NotRunningError(ClientError):
    """There is no local system to talk to."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause, remedy, UNREACHABLE)


class StrangeReplyError(ClientError):
    """What answers does not speak as a gateway does."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(
            f"The answer to {path} cannot be understood: {detail}.",
            "Check the address, and that program and system are of about the same version.",
            FAILED,
        )


class DamagedDownloadError(ClientError):
    """What arrived is not what the gateway announced."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The download of {what} arrived damaged.",
            "Try again; if it stays so, the object store has lost data: see its log.",
        )


class FileChangedError(ClientError):
    """A file is not what it was when its upload began."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The file {name} changed while it was sent.", "Send it again when it is complete."
        )
