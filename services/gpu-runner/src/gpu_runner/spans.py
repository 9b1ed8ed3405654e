"""The spans of an attempt: how long it waited, what came before it, and what its engine is.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ for the queue, and
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ for engines that generate.
"""

from __future__ import annotations

import contextlib
import time

from contracts.commands import StageCommand
from eventlog import tracing
from eventlog.errors import EventLogError
from eventlog.log import EventLog
from eventlog.queue import Delivery
from opentelemetry.trace import SpanKind

from contracts import events as e
from contracts import subjects

_MADE = {
    "write_script": "text",
    "synthesize_speech": "speech",
    "generate_portrait": "image",
    "upscale": "image",
    # Not among the well-known values, as no convention speaks of moving pictures yet.
    "render_video": "video",
}
"""What kinds of stages that run a generating model make, as `gen_ai.output.type`."""


def attributes(command: StageCommand) -> dict[str, str | bool | int | float]:
    """Which attempt a span is about."""
    return {
        tracing.JOB: command.job,
        tracing.STAGE: command.stage,
        tracing.STAGE_KIND: command.kind,
        tracing.ATTEMPT: command.attempt,
        tracing.ENGINE: command.engine,
    }


def processing(command: StageCommand, delivery: Delivery) -> dict[str, str | bool | int | float]:
    """The attributes of the whole attempt, which is the processing of a message."""
    group = f"{command.kind}-{command.lane}"
    told = tracing.messaging(tracing.PROCESS, subjects.COMMANDS, group=group)
    return {**told, **attributes(command), "myspinbot.delivery": delivery.number}


def waited(command: StageCommand, delivery: Delivery) -> None:
    """Tell how long a command lay in the queue.

    Since when one waited that was delivered before is not known: its span has no length.
    """
    now = time.time_ns()
    group = f"{command.kind}-{command.lane}"
    told = tracing.messaging(tracing.RECEIVE, subjects.COMMANDS, group=group)
    tracing.told(
        f"queue {command.kind}",
        delivery.published_ns if delivery.number == 1 else now,
        now,
        traceparent=delivery.traceparent,
        kind=SpanKind.CONSUMER,
        attributes={**told, **attributes(command), "myspinbot.delivery": delivery.number},
    )


async def link_former(log: EventLog, command: StageCommand, delivery: Delivery) -> None:
    """Link the attempt to the one before it, if there was one: of this number, or the last."""
    if not tracing.recording() or (command.attempt == 1 and delivery.number == 1):
        return
    former: str | None = None
    # A link is a courtesy: without the log, the attempt would not have come so far.
    with contextlib.suppress(EventLogError):
        async for recorded in log.read_job(command.job):
            event = recorded.event
            if isinstance(event, e.StageStarted) and event.stage == command.stage:
                former = recorded.traceparent
    tracing.add_link(former, "former attempt")


def engine(command: StageCommand, device: str) -> dict[str, str | bool | int | float]:
    """The attributes of the child process, with those of its model if it generates something."""
    told = {**attributes(command), "myspinbot.device": device}
    if output := _MADE.get(command.kind):
        told |= {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "myspinbot",
            "gen_ai.request.model": command.engine,
            "gen_ai.request.seed": command.seed,
            "gen_ai.output.type": output,
        }
    return told
