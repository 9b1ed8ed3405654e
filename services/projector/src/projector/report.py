"""What `projector.rebuild` and `projector.check` say: JSON lines for programs, or words."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import uvloop
from eventlog.broker import Broker, connect
from eventlog.errors import EventLogError
from servicekit import logs
from servicekit.settings import Environment, SettingsError

from projector import collector
from projector.database import Database, open_database
from projector.errors import (
    BrokerSilentError,
    ProjectorError,
    UnknownProjectionError,
    UnsupportedDatabaseError,
)
from projector.pace import Step, Tell
from projector.projection import Projection
from projector.projections import ALL
from projector.settings import database_url

DONE, FAILED, MISUSE = 0, 1, 2
"""Exit statuses."""

_CONNECTING_S = 10.0


class Report:
    """Writes lines: objects as they are, or what `words` makes of them."""

    def __init__(self, *, as_json: bool, words: Callable[[dict[str, Any]], str]) -> None:
        self._as_json = as_json
        self._words = words

    def tell(self, line: dict[str, Any]) -> None:
        """Write one line at once, for whoever reads along."""
        text = json.dumps(line, default=str) if self._as_json else self._words(line)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def steps(self, **more: str) -> Tell:
        """Writes a line for each step, with what else is to be told of it."""

        def tell(step: Step) -> None:
            self.tell(
                {
                    **more,
                    "position": step.position,
                    "end": step.end,
                    "eventsPerS": round(step.events_per_s),
                    "etaS": None if step.eta_s is None else round(step.eta_s, 1),
                }
            )

        return tell

    def fail(self, cause: str, remedy: str) -> None:
        """Write what went wrong."""
        if self._as_json:
            self.tell({"error": cause, "remedy": remedy})
        else:
            sys.stderr.write(f"{cause}\n{remedy}\n")


class Parser(argparse.ArgumentParser):
    """Tells of misuse in the form that was asked for."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        if "json" in sys.argv:
            sys.stdout.write(json.dumps({"error": message, "remedy": "see --help"}) + "\n")
            sys.exit(MISUSE)
        super().error(message)


def parser(of: str | None) -> Parser:
    """A parser with the options that both programs have."""
    made = Parser(description=(of or "").split("\n", 1)[0])
    made.add_argument(
        "--projection", action="append", default=[], metavar="NAME", help="may be given again"
    )
    made.add_argument(
        "--progress", choices=("json", "text"), default="text", help="json: one object a line"
    )
    return made


def chosen(names: list[str]) -> list[Projection]:
    """The projections of these names, each once; UnknownProjectionError if there is none."""
    known = {one.name: one for one in ALL}
    for name in names:
        if name not in known:
            raise UnknownProjectionError(name, list(known))
    return [known[name] for name in dict.fromkeys(names)]


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Broker, Database]]:
    """The broker and the database that the environment names.

    Raises SettingsError, UnsupportedDatabaseError and BrokerSilentError.
    """
    environment = Environment.current()
    address = environment.broker("projector")
    database = open_database(database_url(environment))
    try:
        try:
            async with asyncio.timeout(_CONNECTING_S):
                broker = await connect(address)
        except TimeoutError as error:
            raise BrokerSilentError(f"no connection to {address.url}") from error
        try:
            yield broker, database
        finally:
            await broker.close()
    finally:
        await database.close()


def run(name: str, report: Report, work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Do the work and return the exit status; errors are told with what to do about them."""
    logs.configure(name, "WARNING")
    collector.calm()
    try:
        return uvloop.run(work())
    except (SettingsError, UnsupportedDatabaseError, UnknownProjectionError) as error:
        remedy = error.remedy if isinstance(error, ProjectorError) else "set it and start again"
        report.fail(error.cause if isinstance(error, ProjectorError) else str(error), remedy)
        return MISUSE
    except ProjectorError as error:
        report.fail(error.cause, error.remedy)
    except EventLogError as error:
        known = BrokerSilentError(error)
        report.fail(known.cause, known.remedy)
    except KeyboardInterrupt:
        report.fail("interrupted", "start again to go on from here")
    return FAILED
