"""Who may say and hear what at the broker, written down a second time and independently.

The permissions (eventlog/permissions.py) are rules with wildcards; this is a list of single deeds,
each with all who may do it. The tests try every deed as every role on a real broker, and
docs/operations.md shows the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts.commands import Lane
from contracts.events import EVENTS
from contracts.subjects import CommandSubject
from eventlog.broker import API
from eventlog.topology import CHORES_CONSUMER, DELIVERIES_CONSUMER, DLQ_CONSUMER

from contracts import subjects

SERVICES = ("gateway", "planner", "runner", "projector", "notary", "observer")
"""Every role but `admin`, who may do everything."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that can be tried: publishing to a subject or subscribing to it."""

    what: str
    verb: Literal["publish", "subscribe"]
    subject: str
    roles: frozenset[str]


_COMMAND = str(CommandSubject("train_lora", Lane.CPU, "j", "train_lora", 1))
_FILTER = subjects.commands("train_lora", Lane.CPU)
_READERS = {"gateway", "planner", "projector", "notary", "observer"}
_NOBODY: set[str] = set()


def _events() -> list[Deed]:
    """An event of each type, with those who the contracts say tell of it."""
    who = {"user": "gateway", "planner": "planner", "runner": "runner"}
    return [
        Deed(
            f"tell {name}",
            "publish",
            subjects.event("j", name),
            frozenset(who[teller.name.lower()] for teller in event.told_by),
        )
        for name, event in EVENTS.items()
    ]


def _says(what: str, subject: str, roles: set[str]) -> Deed:
    return Deed(what, "publish", subject, frozenset(roles))


def _hears(what: str, subject: str, roles: set[str]) -> Deed:
    return Deed(what, "subscribe", subject, frozenset(roles))


def _asks(what: str, call: str, roles: set[str]) -> Deed:
    return Deed(what, "publish", f"{API}{call}", frozenset(roles))


DEEDS: tuple[Deed, ...] = (
    *_events(),
    _says("tell an unknown event", subjects.event("j", "Invented"), _NOBODY),
    # Work
    _says("order a stage", _COMMAND, {"planner"}),
    _says("stop an attempt", subjects.stop("j", "s", 1), {"planner"}),
    _asks("make a place to take commands", f"CONSUMER.CREATE.CMD.mine.{_FILTER}", {"runner"}),
    _asks("make a place to take all of them", "CONSUMER.CREATE.CMD.mine", _NOBODY),
    _asks("take a command", "CONSUMER.MSG.NEXT.CMD.train_lora-cpu", {"runner"}),
    _says("finish a command", "$JS.ACK.CMD.train_lora-cpu.1.1.1.1.1", {"runner"}),
    _asks("remove a command", "STREAM.MSG.DELETE.CMD", {"planner"}),
    _asks("take a dead letter", f"CONSUMER.MSG.NEXT.DLQ.{DLQ_CONSUMER}", {"planner"}),
    _says("finish a dead letter", "$JS.ACK.DLQ.planner.1.1.1.1.1", {"planner"}),
    _says("tell progress", subjects.progress("j", "s"), {"runner"}),
    _says("tell lines of an attempt", subjects.stage_log("j", "s", 1), {"runner"}),
    _says("announce a runner", subjects.runner("r"), {"runner"}),
    _says("announce a planner", subjects.planner("p"), {"planner"}),
    _says("keep a span", "spans.t.s", {"gateway", "planner", "runner", "projector"}),
    _asks("read a trace", "DIRECT.GET.SPANS", {"gateway"}),
    # Reading
    _asks("read the log", "CONSUMER.CREATE.JOBS.reader.jobs.>", _READERS),
    _asks("read a job", "DIRECT.GET.JOBS", _READERS | {"runner"}),
    _asks("know the log's length", "STREAM.INFO.JOBS", _READERS),
    _says("query the views", subjects.query("jobs.get"), {"gateway"}),
    _hears("answer queries", subjects.query(">"), {"projector"}),
    _hears("hear events", subjects.ALL_EVENTS, {"observer"}),
    _hears("hear commands", subjects.ALL_COMMANDS, {"runner", "observer"}),
    _hears("hear progress", subjects.ALL_PROGRESS, {"gateway", "observer"}),
    _hears("hear of runners", subjects.ALL_RUNNERS, {"gateway", "planner", "observer"}),
    _hears("hear of planners", subjects.ALL_PLANNERS, {"gateway", "observer"}),
    _hears("hear checkpoints", subjects.ALL_CHECKPOINTS, {"observer"}),
    _hears("hear lines of attempts", subjects.ALL_STAGE_LOGS, {"gateway"}),
    _hears("hear stops", subjects.ALL_STOPS, {"runner"}),
    # What people have set up
    _says("keep a setting", subjects.config("tokens", "me", "t"), {"gateway"}),
    _asks("read a setting", "DIRECT.GET.CONFIG", {"gateway"}),
    _hears("hear settings", subjects.ALL_CONFIG, _NOBODY),
    _says("order a delivery", subjects.delivery("me", "h", "d"), {"gateway"}),
    _asks("take a delivery", f"CONSUMER.MSG.NEXT.DELIVERIES.{DELIVERIES_CONSUMER}", {"gateway"}),
    _asks("take a chore", f"CONSUMER.MSG.NEXT.JOBS.{CHORES_CONSUMER}", {"gateway"}),
    _says("finish a chore", f"$JS.ACK.JOBS.{CHORES_CONSUMER}.1.1.1.1.1", {"gateway"}),
    _asks("move the chores' place", f"CONSUMER.CREATE.JOBS.{CHORES_CONSUMER}", _NOBODY),
    _asks("forget the chores' place", f"CONSUMER.DELETE.JOBS.{CHORES_CONSUMER}", _NOBODY),
    # What nobody may undo
    _says("sign a checkpoint", subjects.LOG_CHECKPOINTS, {"notary"}),
    _asks("delete an event", "STREAM.MSG.DELETE.JOBS", _NOBODY),
    _asks("purge the log", "STREAM.PURGE.JOBS", _NOBODY),
    _asks("delete the log", "STREAM.DELETE.JOBS", _NOBODY),
    _asks("change the log's settings", "STREAM.UPDATE.JOBS", _NOBODY),
    _asks("restore over the log", "STREAM.RESTORE.JOBS", _NOBODY),
    _asks("copy the settings", "STREAM.SNAPSHOT.CONFIG", _NOBODY),
    _asks("make the queue again", "STREAM.CREATE.CMD", {"planner"}),
    _asks("make another stream", "STREAM.CREATE.MINE", _NOBODY),
    # Others' conversations
    *(_hears(f"hear the {role}'s replies", f"_INBOX_{role}.>", {role}) for role in SERVICES),
    _hears("hear everything", ">", _NOBODY),
    _says("ask the server itself", "$SYS.REQ.SERVER.PING", _NOBODY),
)


def table() -> str:
    """The deeds as a table in Markdown."""
    lines = [
        "| " + " | ".join(("deed", "subject", *SERVICES)) + " |",
        "|" + "---|" * (2 + len(SERVICES)),
    ]
    for deed in DEEDS:
        marks = ("✓" if role in deed.roles else "" for role in SERVICES)
        lines.append("| " + " | ".join((deed.what, f"`{deed.subject}`", *marks)) + " |")
    return "\n".join(lines) + "\n"
