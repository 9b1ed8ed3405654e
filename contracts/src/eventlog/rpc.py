"""Questions and answers over NATS request/reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from contracts.base import Contract
from contracts.queries import QUERIES, RESULTS, Answer, Query, QueryError
from nats.aio.msg import Msg
from opentelemetry.trace import SpanKind
from pydantic import ValidationError

from contracts import subjects
from eventlog import tracing
from eventlog.broker import Broker
from eventlog.errors import EventLogError, UnavailableError

log = structlog.get_logger(__name__)

Handler = Callable[[Query], Awaitable[Answer]]
Result = TypeVar("Result", bound=Contract)


class NotFoundError(EventLogError):
    """There is no such thing, or it belongs to somebody else."""


class QueryFailedError(EventLogError):
    """The projector could not answer."""

    def __init__(self, error: QueryError) -> None:
        super().__init__(f"{error.code}: {error.detail}")
        self.error = error


async def serve(broker: Broker, handler: Handler, queue_group: str = "projector") -> None:
    """Answer every query with `handler` from now on, sharing the work within a group.

    Returns when the broker knows of it, so that whoever hears that we are ready may ask.
    """

    async def answer(msg: Msg) -> None:
        name = msg.subject.removeprefix(subjects.query(""))
        traceparent = (msg.headers or {}).get("traceparent")
        with tracing.continued(f"query {name}", traceparent, SpanKind.SERVER):
            reply = await _answer(name, msg.data, handler)
        await msg.respond(reply.to_json())

    # A question that waits for the view to catch up must not keep others waiting.
    answering: set[asyncio.Task[None]] = set()

    async def received(msg: Msg) -> None:
        task = asyncio.create_task(answer(msg))
        answering.add(task)
        task.add_done_callback(answering.discard)

    await broker.client.subscribe(subjects.query(">"), queue=queue_group, cb=received)
    await broker.client.flush()


async def _answer(name: str, body: bytes, handler: Handler) -> Answer:
    model = QUERIES.get(name)
    if model is None:
        detail = f"there is no query {name!r}"
        return Answer(position=0, error=QueryError(code="invalid", detail=detail))
    try:
        return await handler(model.model_validate_json(body))
    except ValidationError as error:
        return Answer(position=0, error=QueryError(code="invalid", detail=str(error)))
    except Exception as error:
        log.exception("query.failed", query=name)
        return Answer(position=0, error=QueryError(code="internal", detail=type(error).__name__))


async def ask(
    broker: Broker, query: Query, result: type[Result], timeout: float = 10.0
) -> tuple[Result, int]:
    """The answer to a query and the position of the view that gave it.

    Raises NotFoundError, QueryFailedError, or UnavailableError when nobody answers.
    """
    if RESULTS[query.subject] is not result:
        raise TypeError(f"{query.subject} is not answered by {result.__name__}")
    headers = {}
    if traceparent := tracing.current_traceparent():
        headers["traceparent"] = traceparent
    subject = subjects.query(query.subject)
    reply = await broker.request(subject, query.to_json(), headers, timeout)
    answer = Answer.model_validate_json(reply.data)
    if answer.error is not None:
        if answer.error.code == "not_found":
            raise NotFoundError(answer.error.detail)
        if answer.error.code == "behind":
            raise UnavailableError(answer.error.detail)
        raise QueryFailedError(answer.error)
    return result.model_validate(answer.result or {}), answer.position
