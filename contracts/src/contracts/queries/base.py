"""What all questions to the projector, and all answers of its, have in common."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from contracts.base import Contract, Id


class Query(Contract):
    """The base of all questions. `subject` is the query's name after `query.`."""

    subject: ClassVar[str]
    owner: Id
    min_position: Annotated[int, Field(ge=0)] = 0


class QueryError(Contract):
    """Why a question has no answer."""

    code: Literal["not_found", "behind", "invalid", "internal"]
    detail: str


class Answer(Contract):
    """The reply to any question: a result or an error, and how far the view has read."""

    position: int
    result: dict[str, Any] | None = None
    error: QueryError | None = None
