"""The streams of the system, made in one administrative step before any service starts."""

from __future__ import annotations

from typing import Any

from contracts import subjects
from eventlog.broker import Broker
from eventlog.errors import BrokerError

_SECOND = 1_000_000_000
_NAME_IN_USE = 10058

DLQ_CONSUMER = "planner"


def streams(replicas: int = 1) -> list[dict[str, Any]]:
    """The configuration of every stream, as the JetStream API takes it.

    Only the log must outlive the broker. The queue is derived from it and the planner fills
    it again, and the boards hold only what is true now, so those live in memory.
    """
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
    dead_letters = {
        "name": subjects.DEAD_LETTERS,
        "description": "Commands that the broker gave up delivering",
        "subjects": list(subjects.ADVISORIES),
        "retention": "limits",
        "storage": "file",
        "max_age": 30 * 86_400 * _SECOND,
        "num_replicas": replicas,
    }
    boards = [
        _board(subjects.PROGRESS, subjects.ALL_PROGRESS, 86_400, replicas),
        _board(subjects.RUNNERS, subjects.ALL_RUNNERS, 30, replicas),
        _board(subjects.CONTROL, subjects.ALL_STOPS, 86_400, replicas),
    ]
    return [log, commands, dead_letters, *boards]


def _board(name: str, subject: str, age_s: int, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": [subject],
        "retention": "limits",
        "storage": "memory",
        "allow_direct": True,
        "max_msgs_per_subject": 1,
        "max_age": age_s * _SECOND,
        "num_replicas": replicas,
    }


async def ensure(broker: Broker, replicas: int = 1) -> None:
    """Make the streams, or bring them to this configuration. Safe to repeat."""
    for config in streams(replicas):
        try:
            await broker.api(f"STREAM.CREATE.{config['name']}", config)
        except BrokerError as error:
            if error.code != _NAME_IN_USE:
                raise
            await broker.api(f"STREAM.UPDATE.{config['name']}", config)
    await broker.api(
        f"CONSUMER.CREATE.{subjects.DEAD_LETTERS}.{DLQ_CONSUMER}",
        {
            "stream_name": subjects.DEAD_LETTERS,
            "config": {
                "durable_name": DLQ_CONSUMER,
                "name": DLQ_CONSUMER,
                "ack_policy": "explicit",
                "ack_wait": 30 * _SECOND,
                "deliver_policy": "all",
                "max_deliver": -1,
            },
        },
    )
