"""Who may say and hear what: the broker users of the services, as data.

The embedded stack and every deployment make their broker configuration from this table,
so that a service that is broken into can do no more than its own work.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.events import EVENTS, Teller

from contracts import subjects
from eventlog.broker import API
from eventlog.topology import CHORES_CONSUMER, DELIVERIES_CONSUMER, DLQ_CONSUMER, derived_streams


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that one role may publish and subscribe to.

    `never_publish` takes away from what `publish` gives.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    never_publish: tuple[str, ...] = ()
    allow_responses: bool = False


def _tells(teller: Teller) -> tuple[str, ...]:
    return tuple(
        subjects.event("*", name) for name, event in EVENTS.items() if teller in event.told_by
    )


_JOBS = subjects.JOBS
_READ_JOB = (f"{API}DIRECT.GET.{_JOBS}",)
_READ_LOG = (
    f"{API}STREAM.INFO.{_JOBS}",
    f"{API}CONSUMER.CREATE.{_JOBS}.>",
    f"{API}CONSUMER.DELETE.{_JOBS}.>",
    f"{API}CONSUMER.MSG.NEXT.{_JOBS}.>",
    *_READ_JOB,
)


# Whoever reads the log makes consumers of its own, but the chores' place in it is not theirs.
_MOVE_CHORES = (
    f"{API}CONSUMER.*.{_JOBS}.{CHORES_CONSUMER}",
    f"{API}CONSUMER.*.{_JOBS}.{CHORES_CONSUMER}.>",
)
_TAKE_CHORES = f"{API}CONSUMER.MSG.NEXT.{_JOBS}.{CHORES_CONSUMER}"


_LOOKED_AT = (
    subjects.JOBS,
    subjects.COMMANDS,
    subjects.DEAD_LETTERS,
    subjects.PROGRESS,
    subjects.RUNNERS,
    subjects.CHECKPOINTS,
)
# What any NATS client asks to look around. The readers of the log are not listed: who knows the
# name of a consumer there could take what it is owed, or delete it, and so halt a projector.
_LOOK = (
    f"{API}INFO",
    "$SYS.REQ.USER.INFO",
    f"{API}STREAM.NAMES",
    f"{API}STREAM.LIST",
    # The ordered consumers of client libraries: unnamed ones, and those that are slowed down.
    f"{API}CONSUMER.CREATE.{_JOBS}",
    f"$JS.FC.{_JOBS}.>",
    *(f"{API}STREAM.INFO.{stream}" for stream in _LOOKED_AT),
    *(f"{API}STREAM.MSG.GET.{stream}" for stream in _LOOKED_AT),
    *(f"{API}DIRECT.GET.{stream}" for stream in _LOOKED_AT),
    *(f"{API}DIRECT.GET.{stream}.>" for stream in _LOOKED_AT),
    *(f"{API}CONSUMER.INFO.{stream}.>" for stream in _LOOKED_AT),
    *(f"{API}CONSUMER.NAMES.{stream}" for stream in _LOOKED_AT if stream != subjects.JOBS),
    *(f"{API}CONSUMER.LIST.{stream}" for stream in _LOOKED_AT if stream != subjects.JOBS),
)


def _inbox(role: str) -> str:
    return f"_INBOX_{role}.>"


ROLES: dict[str, Permissions] = {
    "admin": Permissions(publish=(">",), subscribe=(">",)),
    "gateway": Permissions(
        publish=(
            *_tells(Teller.USER),
            subjects.query(">"),
            *_READ_LOG,
            f"{API}DIRECT.GET.{subjects.PROGRESS}",
            f"{API}DIRECT.GET.{subjects.RUNNERS}",
            f"{API}DIRECT.GET.{subjects.STAGE_LOGS}",
            f"{API}DIRECT.GET.{subjects.SPANS}",
            subjects.ALL_SPANS,
            f"{API}DIRECT.GET.{subjects.CONFIG}",
            f"{API}CONSUMER.CREATE.{subjects.CONFIG}.>",
            f"{API}CONSUMER.MSG.NEXT.{subjects.CONFIG}.>",
            f"{API}DIRECT.GET.{subjects.DELIVERED}",
            f"{API}CONSUMER.MSG.NEXT.{subjects.DELIVERIES}.{DELIVERIES_CONSUMER}",
            f"$JS.ACK.{subjects.JOBS}.>",
            f"$JS.ACK.{subjects.DELIVERIES}.>",
            subjects.ALL_CONFIG,
            subjects.ALL_DELIVERIES,
            subjects.ALL_DELIVERED,
        ),
        subscribe=(
            _inbox("gateway"),
            subjects.ALL_STAGE_LOGS,
            subjects.ALL_PROGRESS,
            subjects.ALL_RUNNERS,
            subjects.ALL_PLANNERS,
        ),
        never_publish=_MOVE_CHORES,
    ),
    "planner": Permissions(
        publish=(
            *_tells(Teller.PLANNER),
            subjects.ALL_COMMANDS,
            subjects.ALL_STOPS,
            subjects.ALL_PLANNERS,
            subjects.ALL_SPANS,
            *_READ_LOG,
            f"{API}DIRECT.GET.{subjects.RUNNERS}",
            f"{API}DIRECT.GET.{subjects.COMMANDS}",
            f"{API}STREAM.MSG.DELETE.{subjects.COMMANDS}",
            *(f"{API}STREAM.CREATE.{config['name']}" for config in derived_streams()),
            f"{API}CONSUMER.MSG.NEXT.{subjects.DEAD_LETTERS}.{DLQ_CONSUMER}",
            f"$JS.ACK.{subjects.DEAD_LETTERS}.>",
        ),
        subscribe=(_inbox("planner"), subjects.ALL_RUNNERS),
        never_publish=(*_MOVE_CHORES, _TAKE_CHORES),
    ),
    "runner": Permissions(
        publish=(
            *_tells(Teller.RUNNER),
            subjects.ALL_PROGRESS,
            subjects.ALL_RUNNERS,
            subjects.ALL_STAGE_LOGS,
            subjects.ALL_SPANS,
            *_READ_JOB,
            f"{API}DIRECT.GET.{subjects.PROGRESS}",
            f"{API}DIRECT.GET.{subjects.CONTROL}",
            # With a filter only: one that takes everything would keep work from the others.
            f"{API}CONSUMER.CREATE.{subjects.COMMANDS}.*.{subjects.ALL_COMMANDS}",
            f"{API}CONSUMER.MSG.NEXT.{subjects.COMMANDS}.>",
            f"$JS.ACK.{subjects.COMMANDS}.>",
        ),
        subscribe=(_inbox("runner"), subjects.ALL_COMMANDS, subjects.ALL_STOPS),
    ),
    "projector": Permissions(
        publish=(*_READ_LOG, subjects.ALL_SPANS),
        subscribe=(_inbox("projector"), subjects.query(">")),
        allow_responses=True,
        never_publish=(*_MOVE_CHORES, _TAKE_CHORES),
    ),
    "notary": Permissions(
        publish=(
            *_READ_LOG,
            f"{API}DIRECT.GET.{subjects.CHECKPOINTS}",
            subjects.ALL_CHECKPOINTS,
        ),
        subscribe=(_inbox("notary"),),
        never_publish=(*_MOVE_CHORES, _TAKE_CHORES),
    ),
    "observer": Permissions(
        publish=(*_READ_LOG, *_LOOK),
        subscribe=(
            _inbox("observer"),
            subjects.ALL_EVENTS,
            subjects.ALL_COMMANDS,
            subjects.ALL_PROGRESS,
            subjects.ALL_RUNNERS,
            subjects.ALL_PLANNERS,
            subjects.ALL_CHECKPOINTS,
            *subjects.ADVISORIES,
        ),
        never_publish=(*_MOVE_CHORES, _TAKE_CHORES),
    ),
}
"""Every role. `admin` makes the streams; `observer` is for people with a NATS client, and `notary`
signs checkpoints: it alone may write them, and it may write nothing else."""
