"""The spans of the projector: what it wrote of each job, and each statement that it executed.

https://opentelemetry.io/docs/specs/semconv/database/database-spans/
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from contracts.envelope import Recorded
from eventlog import tracing
from opentelemetry.trace import SpanKind
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from contracts import subjects

MOST_TRACES = 16
"""Of so many jobs in one transaction the traces tell; a projector that catches up tells of none."""
_BEGAN = "myspinbot_began"
_TABLE = re.compile(r"\b(?:INTO|FROM|UPDATE)\s+\"?(\w+)", re.IGNORECASE)


@contextmanager
def processing(events: Sequence[Recorded]) -> Iterator[None]:
    """The span of a transaction, in the trace of the first of its jobs.

    The traces of the others have one of their own with the same times and a link to it.
    """
    traces = {one.job: one.traceparent for one in events if tracing.sampled(one.traceparent)}
    if not 0 < len(traces) <= MOST_TRACES:
        yield
        return
    (first, traceparent), *others = traces.items()
    began = time.time_ns()
    name = f"process {subjects.JOBS}"
    told = tracing.messaging(tracing.PROCESS, subjects.JOBS, group="projector", count=len(events))
    with tracing.continued(name, traceparent, attributes={**told, tracing.JOB: first}):
        yield
        whole = tracing.current_traceparent()
    for job, other in others:
        tracing.told(
            name,
            began,
            traceparent=other,
            kind=SpanKind.CONSUMER,
            attributes={**told, tracing.JOB: job},
            links=[tracing.link(whole, "same transaction")],
        )


def watch(engine: Engine) -> None:
    """Tell of every statement of an engine that is executed within something that is traced."""
    # Of SQLite's, the name of the file and not where on the machine it is.
    namespace = PurePath(engine.url.database or "memory").name

    def before(connection: Connection, *_: Any) -> None:
        if tracing.recording():
            connection.info[_BEGAN] = time.time_ns()

    def after(
        connection: Connection,
        _cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        executemany: bool,
    ) -> None:
        began = connection.info.pop(_BEGAN, None)
        if began is None:
            return
        operation = statement.split(None, 1)[0].upper()
        attributes: dict[str, str | bool | int | float] = {
            "db.system.name": engine.dialect.name,
            "db.namespace": namespace,
            "db.operation.name": operation,
        }
        if table := _TABLE.search(statement):
            attributes["db.collection.name"] = table[1]
        rows = len(parameters) if executemany or isinstance(parameters, list) else 1
        if rows > 1:
            attributes["db.operation.batch.size"] = rows
        name = f"{operation} {table[1]}" if table else operation
        attributes["db.query.summary"] = name
        tracing.told(name, began, kind=SpanKind.CLIENT, attributes=attributes)

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
