"""The spans of the planner: what it decided, what it sent, what it took over, how a job ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from contracts.commands import StageCommand
from contracts.envelope import Recorded
from contracts.job import JobState
from eventlog import tracing
from eventlog.errors import EventLogError
from eventlog.log import EventLog
from opentelemetry.trace import Span, SpanKind

from contracts import events as e
from contracts import subjects

_ASKED = (e.JobCancelRequested, e.JobRetryRequested)
_ENDED = (e.JobCompleted, e.JobFailed, e.JobCancelled)


def cause_of(recorded: Recorded) -> str | None:
    """The trace of what somebody asked of a job that had begun already; None of other events."""
    return recorded.traceparent if isinstance(recorded.event, _ASKED) else None


def deciding(
    state: JobState, events: Sequence[e.Event], began: int, cause: str | None
) -> AbstractContextManager[Span]:
    """The span of a decision that began so many nanoseconds after 1970.

    `cause` is the trace of a request that it follows from, beside that of the job.
    """
    attributes = {
        tracing.JOB: state.job,
        "myspinbot.event.types": ",".join(event.type_name() for event in events),
    }
    links = [tracing.link(cause, "cause")]
    return tracing.continued(
        "plan", state.traceparent, SpanKind.INTERNAL, attributes, links=links, began=began
    )


@contextlib.contextmanager
def sending(command: StageCommand, traceparent: str | None) -> Iterator[str | None]:
    """The span of putting a command on the queue; gives the trace context to send with it."""
    if traceparent is None:
        yield None
        return
    attributes = {
        **tracing.messaging(tracing.SEND, subjects.COMMANDS),
        tracing.JOB: command.job,
        tracing.STAGE: command.stage,
        tracing.STAGE_KIND: command.kind,
        tracing.ATTEMPT: command.attempt,
    }
    name = f"send {subjects.COMMANDS}"
    with tracing.continued(name, traceparent, SpanKind.PRODUCER, attributes):
        yield tracing.current_traceparent()


async def tell_reuse(log: EventLog, job: str, events: Sequence[e.Event], began: int) -> None:
    """Tell of each stage that is taken over, with a link to where its outputs were made."""
    if not tracing.recording():
        return
    makers: dict[str, Mapping[str, str | None]] = {}
    for event in events:
        if not isinstance(event, e.StageReused):
            continue
        if event.from_job not in makers:
            makers[event.from_job] = await _makers(log, event.from_job)
        tracing.told(
            f"reuse {event.stage}",
            began,
            attributes={
                tracing.JOB: job,
                tracing.STAGE: event.stage,
                "myspinbot.from.job.id": event.from_job,
                "myspinbot.from.stage.id": event.from_stage,
            },
            links=[tracing.link(makers[event.from_job].get(event.from_stage), "made by")],
        )


async def _makers(log: EventLog, job: str) -> Mapping[str, str | None]:
    """The trace context of what made, or itself took over, the outputs of a job's stages."""
    found: dict[str, str | None] = {}
    # A link is a courtesy: the decision stands without it.
    with contextlib.suppress(EventLogError):
        async for recorded in log.read_job(job):
            if isinstance(recorded.event, e.StageStarted | e.StageReused):
                found[recorded.event.stage] = recorded.traceparent
    return found


def tell_end(state: JobState, events: Sequence[e.Event], now: datetime) -> None:
    """Tell of the whole job, from its request on, once it has ended."""
    request = state.request
    for event in events:
        if not isinstance(event, _ENDED) or request is None:
            continue
        tracing.told(
            f"job {request.type}",
            state.created_at or now,
            now,
            traceparent=state.traceparent,
            attributes={
                tracing.JOB: state.job,
                "myspinbot.job.type": str(request.type),
                "myspinbot.job.quality": str(request.quality),
                "myspinbot.outcome": event.type_name(),
            },
            error_type=event.code if isinstance(event, e.JobFailed) else None,
        )
