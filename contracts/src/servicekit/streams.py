"""The administrative step before any service starts: `python -m servicekit.streams`.

It makes the streams and their durable consumers, or brings them to their configuration, and
ends. Only its user may do that; the services bind to what it has made. Safe to repeat.
"""

from __future__ import annotations

import asyncio
import sys

import structlog
from eventlog.broker import connect
from eventlog.errors import EventLogError
from eventlog.patience import insist
from eventlog.topology import ensure, told_of_newer

from servicekit import logs
from servicekit.settings import Environment, SettingsError

log = structlog.get_logger(__name__)

_PATIENCE_S = 120.0


async def make_streams(environment: Environment) -> None:
    """Wait for the broker, then make all streams with the replicas that are set.

    Raises EventLogError if the broker refuses, such as one with fewer servers than replicas.
    """
    replicas, ack_wait_s = environment.stream_replicas(), environment.ack_wait_s()
    broker = await connect(environment.broker("admin"))
    try:
        # A cluster answers once it has a leader.
        newer = await insist(lambda: ensure(broker, replicas, ack_wait_s), _PATIENCE_S)
    finally:
        await broker.close()
    if newer:
        log.warning("streams.newer", detail=told_of_newer(newer))
    log.info("streams.ready", replicas=replicas)


def main() -> None:
    """Ends with status 2 if a setting is wrong, and 1 if the broker refuses."""
    environment = Environment.current()
    try:
        logs.configure("streams", environment.text("LOG_LEVEL", "INFO"))
        asyncio.run(make_streams(environment))
    except SettingsError as error:
        log.error("streams.misconfigured", detail=str(error))  # noqa: TRY400 - no trace needed
        sys.exit(2)
    except EventLogError as error:
        log.error("streams.refused", detail=str(error))  # noqa: TRY400 - no trace needed
        sys.exit(1)


if __name__ == "__main__":
    main()
