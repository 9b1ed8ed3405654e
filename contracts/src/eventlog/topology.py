"""The streams of the system, made in one administrative step before any service starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from contracts import subjects
from eventlog.broker import Broker
from eventlog.errors import BrokerError
from eventlog.log import utc_now
from eventlog.receipt import ACK_WAIT_S

_SECOND = 1_000_000_000
_NAME_IN_USE = 10058
_CONSUMER_EXISTS = 10148

LAYOUT = 1
"""The version of all that is laid down here: add one with each change that is to stay when an older
program starts on the same streams."""
_LAYOUT_KEY = "myspinbot-layout"

DLQ_CONSUMER = "planner"
CHORES_CONSUMER = "gateway-chores"
"""The gateway's durable place in the log, for what must follow from an event exactly once."""
DELIVERIES_CONSUMER = "gateway"
_DAY = 86_400 * _SECOND
_SPAN_BYTES = 32 << 20


def lasting_streams(replicas: int = 1) -> list[dict[str, Any]]:
    """The streams that must outlive the broker, as the JetStream API takes them."""
    log = {
        "name": subjects.JOBS,
        "description": "The append-only log of job events",
        "subjects": [subjects.ALL_EVENTS],
        "retention": "limits",
        "storage": "file",
        "compression": "s2",
        "deny_delete": True,
        "deny_purge": True,
        "allow_direct": True,
        "allow_atomic": True,
        "duplicate_window": 600 * _SECOND,
        "num_replicas": replicas,
    }
    dead_letters = {
        "name": subjects.DEAD_LETTERS,
        "description": "Commands that the broker gave up delivering",
        "subjects": list(subjects.ADVISORIES),
        "retention": "limits",
        "storage": "file",
        "max_age": 30 * _DAY,
        "num_replicas": replicas,
    }
    stage_logs = {
        "name": subjects.STAGE_LOGS,
        "description": "What attempts say while they run",
        "subjects": [subjects.ALL_STAGE_LOGS],
        "retention": "limits",
        "storage": "file",
        "compression": "s2",
        "allow_direct": True,
        "max_msgs_per_subject": 5_000,
        "max_age": 30 * _DAY,
        "num_replicas": replicas,
    }
    config = {
        "name": subjects.CONFIG,
        "description": "What people have set up",
        "subjects": [subjects.ALL_CONFIG],
        "retention": "limits",
        "storage": "file",
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        # An upload that nobody finishes is forgotten after a time of its own.
        "allow_msg_ttl": True,
        "max_msgs_per_subject": 1,
        "num_replicas": replicas,
    }
    deliveries = {
        "name": subjects.DELIVERIES,
        "description": "Webhook deliveries that are due",
        "subjects": [subjects.ALL_DELIVERIES],
        "retention": "workqueue",
        "storage": "file",
        "duplicate_window": 600 * _SECOND,
        "max_age": 7 * _DAY,
        "num_replicas": replicas,
    }
    delivered = {
        "name": subjects.DELIVERED,
        "description": "How webhook deliveries went",
        "subjects": [subjects.ALL_DELIVERED],
        "retention": "limits",
        "storage": "file",
        "allow_direct": True,
        "max_msgs_per_subject": 1,
        "max_age": 7 * _DAY,
        "num_replicas": replicas,
    }
    checkpoints = {
        "name": subjects.CHECKPOINTS,
        "description": "Signed statements of what the log was",
        "subjects": [subjects.ALL_CHECKPOINTS],
        "retention": "limits",
        "storage": "file",
        "deny_delete": True,
        "deny_purge": True,
        "allow_direct": True,
        "num_replicas": replicas,
    }
    return [log, dead_letters, stage_logs, config, deliveries, delivered, checkpoints]


def derived_streams(replicas: int = 1) -> list[dict[str, Any]]:
    """The streams that live in the broker's memory.

    The queue is derived from the log, and the planner fills it again; the boards hold only
    what is true now. A single broker forgets these streams when it restarts, so the planner
    makes them anew.
    """
    commands = {
        "name": subjects.COMMANDS,
        "description": "Stage commands, derived from the log",
        "subjects": [subjects.ALL_COMMANDS],
        "retention": "workqueue",
        "storage": "memory",
        "allow_direct": True,
        # One message per attempt: publishing a command again while it is there changes nothing.
        "max_msgs_per_subject": 1,
        "discard": "new",
        "discard_new_per_subject": True,
        "max_msgs": 1_000_000,
        "num_replicas": replicas,
    }
    boards = [
        _board(subjects.PROGRESS, [subjects.ALL_PROGRESS], 86_400, replicas),
        _board(subjects.RUNNERS, [subjects.ALL_RUNNERS, subjects.ALL_PLANNERS], 30, replicas),
        _board(subjects.CONTROL, [subjects.ALL_STOPS], 86_400, replicas),
    ]
    spans = {
        "name": subjects.SPANS,
        "description": "The finished spans of jobs",
        "subjects": [subjects.ALL_SPANS],
        "retention": "limits",
        "storage": "memory",
        "allow_direct": True,
        # The oldest go first: a waterfall is looked at while a job runs, or soon after.
        "discard": "old",
        "max_bytes": _SPAN_BYTES,
        "max_msgs_per_subject": 2_000,
        "max_age": _DAY,
        "num_replicas": replicas,
    }
    return [commands, *boards, spans]


def _board(name: str, board_subjects: list[str], age_s: int, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": board_subjects,
        "retention": "limits",
        "storage": "memory",
        "allow_direct": True,
        "max_msgs_per_subject": 1,
        "max_age": age_s * _SECOND,
        "num_replicas": replicas,
    }


async def ensure(
    broker: Broker,
    replicas: int = 1,
    ack_wait_s: float = ACK_WAIT_S,
    now: Callable[[], datetime] = utc_now,
) -> tuple[str, ...]:
    """Make all streams, or bring them to this configuration. Safe to repeat; takes `admin`.

    Returns the names of those that a newer program has made. They stay as they are, and so do
    their consumers: a shorter age, for example, would delete what is older.
    """
    configs: list[tuple[dict[str, Any], Mapping[str, int]]] = [
        (config, {}) for config in lasting_streams(replicas)
    ]
    configs += [(config, _numbers(now())) for config in derived_streams(replicas)]
    newer = [
        config["name"]
        for config, numbers in configs
        if not await _create(broker, config, numbers, update=True)
    ]
    for stream, consumer, wait_s in (
        (subjects.DEAD_LETTERS, DLQ_CONSUMER, ack_wait_s),
        (subjects.JOBS, CHORES_CONSUMER, ack_wait_s),
        # Whose receiver is slow is not called a second time meanwhile.
        (subjects.DELIVERIES, DELIVERIES_CONSUMER, ACK_WAIT_S),
    ):
        await _open_consumer(broker, stream, consumer, wait_s, update=stream not in newer)
    return tuple(newer)


def told_of_newer(streams: Sequence[str]) -> str:
    """What an operator is told of streams that `ensure` has left as they are."""
    return (
        f"a newer MySpinBot has made {', '.join(streams)}, and they stay as it made them; run that "
        "version again, or restore a backup from before it"
    )


async def _open_consumer(
    broker: Broker, stream: str, name: str, ack_wait_s: float, *, update: bool
) -> None:
    config = {
        "durable_name": name,
        "name": name,
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait_s * _SECOND),
        "deliver_policy": "all",
        "max_deliver": -1,
        # What waits for its next try must not keep others from their first.
        "max_ack_pending": -1,
    }
    request = {"stream_name": stream, "config": config, "action": "" if update else "create"}
    try:
        await broker.api(f"CONSUMER.CREATE.{stream}.{name}", request)
    except BrokerError as error:
        if update or error.code != _CONSUMER_EXISTS:
            raise


async def ensure_derived(
    broker: Broker, replicas: int = 1, now: Callable[[], datetime] = utc_now
) -> None:
    """Make the streams that a restarted broker has forgotten; those that exist stay as they are."""
    for config in derived_streams(replicas):
        await _create(broker, config, _numbers(now()), update=False)


def _numbers(now: datetime) -> dict[str, int]:
    """Where a stream begins to count that may be made anew: never where the one before it did.

    Acknowledgements and dead letters name a message by its number alone. One of a stream that is no
    more would take another runner's command off the queue, or fail it.
    """
    return {"first_seq": int(now.timestamp() * 1000)}


async def _create(
    broker: Broker, config: dict[str, Any], numbers: Mapping[str, int], *, update: bool
) -> bool:
    """Make a stream, or bring it to this; False if a newer program has made it."""
    name = config["name"]
    stamped = {**config, "metadata": {_LAYOUT_KEY: str(LAYOUT)}}
    try:
        await broker.api(f"STREAM.CREATE.{name}", {**stamped, **numbers})
    except BrokerError as error:
        if error.code != _NAME_IN_USE:
            raise
        if update:
            if _layout((await broker.api(f"STREAM.INFO.{name}"))["config"]) > LAYOUT:
                return False
            await broker.api(f"STREAM.UPDATE.{name}", stamped)
    return True


def _layout(config: Mapping[str, Any]) -> int:
    """The layout that a stream was made by; 0 for one from before they were counted."""
    said = str(config.get("metadata", {}).get(_LAYOUT_KEY, "0"))
    return int(said) if said.isdecimal() else 0
