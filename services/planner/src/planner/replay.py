"""Decides recorded jobs anew, and shows where today's planner would decide otherwise.

    python -m planner.replay [JOB …] [--file PATH …] [--role ROLE] [--progress json]

Jobs come from the log, all of them unless some are named, or from files of one CloudEvent a line,
as `myspinbot events export` writes them. Nothing is changed. For the log the settings are those of
a service: `MYSPINBOT_NATS_URL` and `MYSPINBOT_NATS_SEED`, which is of the user named by `--role`
(default: observer).

With `--progress json` standard output holds one JSON object a line:

    {"position", "end"}                                    jobs done, of how many
    {"difference": {"job", "sequence", "time", "recorded": [event…], "today": [event…]}}
    {"assumption": {"job", "sequence", "time", "absent": ["mini for train_lora"…]}}
    {"unread": {"job", "cause"}}
    {"done": true, "jobs", "decisions", "differences", "unread", "seconds"}
    {"error", "remedy"}                                    the last line, if it failed

A difference is what was decided when the job stood at event `sequence`, and what would be decided
today; an event is its fields with its `type`. An assumption is that the runners of some engines
were away then: the log does not tell, and the decision is the same only if they were. A job is
unread if it holds an event that cannot be understood, or if it took something over from a job
whose history is not there. Exit status: 0 all is decided the same, 1 not so or failed, 2 misuse.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from contracts.envelope import Recorded, from_structured
from contracts.exchange import CHECKPOINT_TYPE, CLOSING_TYPE
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker, reach
from eventlog.errors import EventLogError
from eventlog.index import job_ids
from eventlog.log import EventLog, utc_now
from servicekit import logs
from servicekit.settings import Environment, SettingsError

from planner.domain.recorded import MissingHistoryError
from planner.domain.replay import Decided, essences, replay

_AT_REST = timedelta(seconds=30)
"""A job that moved later than this ago may have a decision under way."""
_TOLD_EVERY_S = 0.2


class ReplayError(Exception):
    """What stops a replay: a cause and what to do next."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}. {remedy}")
        self.cause = cause
        self.remedy = remedy


class Source(Protocol):
    """Where recorded jobs come from."""

    async def jobs(self) -> Sequence[str]:
        """The ids of all jobs."""
        ...

    async def history(self, job: str) -> Sequence[Recorded]:
        """A job's events, none if there is no such job; UnknownEventError for an unknown one."""
        ...


@dataclass(frozen=True, slots=True)
class LogSource:
    """The jobs of the log."""

    broker: Broker
    log: EventLog

    async def jobs(self) -> Sequence[str]:
        """All that were ever asked for."""
        return await job_ids(self.broker)

    async def history(self, job: str) -> Sequence[Recorded]:
        """Read from the log."""
        return [recorded async for recorded in self.log.read_job(job)]


@dataclass(slots=True)
class FileSource:
    """The jobs in files, of one CloudEvent a line."""

    _lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @staticmethod
    def read(paths: Sequence[Path]) -> FileSource:
        """Read the files; ReplayError if one cannot be read or is cut off."""
        source = FileSource()
        for path in paths:
            try:
                lines = path.read_text().splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ReplayError(
                    f"{path} cannot be read: {error}", "Name a file that `events export` has made"
                ) from error
            for number, line in enumerate(lines, 1):
                source.add(line, f"line {number} of {path}")
        return source

    def add(self, line: str, where: str) -> None:
        """Take in one event, but no word of the export itself; ReplayError if it is neither."""
        try:
            value = json.loads(line)
            if value["type"] in (CLOSING_TYPE, CHECKPOINT_TYPE):
                return
            job = value["subject"]
        except (ValueError, TypeError, KeyError) as error:
            raise ReplayError(
                f"{where} is no event", "Export the job again: the file may have been cut off"
            ) from error
        self._lines.setdefault(str(job), []).append(value)

    async def jobs(self) -> Sequence[str]:
        """All that the files tell of."""
        return tuple(self._lines)

    async def history(self, job: str) -> Sequence[Recorded]:
        """As the files tell it."""
        return [from_structured(line) for line in self._lines.get(job, ())]


@dataclass(slots=True)
class Report:
    """What came out so far."""

    jobs: int = 0
    decisions: int = 0
    differences: int = 0
    unread: int = 0


async def replayed(
    source: Source, job: str, now: datetime, report: Report
) -> AsyncIterator[dict[str, Any]]:
    """The messages about one job; the report is carried on."""
    report.jobs += 1
    try:
        history = await source.history(job)
        if not history:
            raise ReplayError(
                f"there is no job {job}", "`myspinbot jobs` lists them; `--file` reads a file"
            )
        decisions = await _decided(source, history, now)
    except (UnknownEventError, MissingHistoryError) as error:
        report.unread += 1
        yield {"unread": {"job": job, "cause": str(error)}}
        return
    for decided in decisions:
        report.decisions += 1
        about = {"job": job, "sequence": decided.sequence, "time": decided.time.isoformat()}
        if not decided.same:
            report.differences += 1
            told = essences([item.event for item in decided.recorded])
            today = essences(decided.today)
            yield {"difference": {**about, "recorded": told, "today": today}}
        elif decided.absent:
            yield {"assumption": {**about, "absent": [str(use) for use in decided.absent]}}


async def _decided(source: Source, history: Sequence[Recorded], now: datetime) -> list[Decided]:
    others: dict[str, Sequence[Recorded]] = {}
    settled = now - history[-1].time > _AT_REST
    while True:
        try:
            return list(replay(history, others, settled=settled))
        except MissingHistoryError as missing:
            found = await source.history(missing.other)
            if not found:
                raise
            others[missing.other] = found


async def run(source: Source, jobs: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    """All messages of a replay; ReplayError or EventLogError if it cannot go on."""
    began = told = time.monotonic()
    jobs = tuple(dict.fromkeys(jobs)) or tuple(await source.jobs())
    report = Report()
    for number, job in enumerate(jobs, 1):
        async for message in replayed(source, job, utc_now(), report):
            yield message
        if time.monotonic() - told > _TOLD_EVERY_S:
            told = time.monotonic()
            yield {"position": number, "end": len(jobs)}
    yield {
        "done": True,
        "jobs": report.jobs,
        "decisions": report.decisions,
        "differences": report.differences,
        "unread": report.unread,
        "seconds": round(time.monotonic() - began, 3),
    }


async def _main(arguments: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        source: Source
        if arguments.file:
            source = FileSource.read(arguments.file)
        else:
            broker = await reach(Environment.current().broker(arguments.role))
            stack.push_async_callback(broker.close)
            source = LogSource(broker, EventLog(broker, arguments.role))
        status = 0
        async for message in run(source, arguments.jobs):
            _tell(message, as_json=arguments.progress == "json")
            if message.get("differences") or message.get("unread"):
                status = 1
    return status


def _tell(message: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    elif "position" not in message:
        sys.stdout.write(json.dumps(message, ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


def main() -> None:
    """The entry point of `python -m planner.replay`."""
    parser = argparse.ArgumentParser(prog="planner.replay", description=__doc__)
    parser.add_argument("jobs", nargs="*", metavar="JOB")
    parser.add_argument("--file", action="append", type=Path, default=[], metavar="PATH")
    parser.add_argument("--role", default="observer")
    parser.add_argument("--progress", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    logs.configure("replay", "ERROR")
    try:
        sys.exit(asyncio.run(_main(arguments)))
    except ReplayError as error:
        failure = (error.cause, error.remedy)
    except SettingsError as error:
        failure = (str(error), "Set it, or name files with --file")
    except EventLogError as error:
        who = f"is the seed that of its user {arguments.role}"
        failure = (str(error), f"Does the broker run, and {who}? Files are read without it")
    _tell({"error": failure[0], "remedy": failure[1]}, as_json=arguments.progress == "json")
    sys.exit(1)


if __name__ == "__main__":
    main()
