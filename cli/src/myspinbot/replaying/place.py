"""Which installation a replay is about, and who we are there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from eventlog.broker import BrokerAddress

from myspinbot.client.target import running
from myspinbot.commands.events.session import LogSession
from myspinbot.embedded.broker import seed_files
from myspinbot.embedded.home import Home
from myspinbot.errors import MISUSED, CommandError
from myspinbot.joblog import broker_of, opened
from myspinbot.replaying.programs import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """The local system on a home folder, or another one by its addresses."""

    home: Home
    nats: str | None
    seed: Path | None
    database: str | None
    as_json: bool

    def settings(self, role: str) -> Settings:
        """What a program of a service needs to read the log; NotRunningError."""
        return Settings(self._address(role))

    def with_database(self) -> Settings:
        """The same with the database; CommandError if it is another system's and not named."""
        if self.nats is not None and self.database is None:
            raise CommandError(
                "The database of that system is not known.", "Name it with --database-url.", MISUSED
            )
        local = f"sqlite+aiosqlite:///{self.home.views}"
        return Settings(self._address("projector"), self.database or local)

    def page(self, path: str) -> str | None:
        """The address of a place in the page, if the page's system is known."""
        return f"{running(self.home).api}/{path}" if self.nats is None else None

    def _address(self, role: str) -> BrokerAddress:
        address = broker_of(self.nats, self.seed, self.home)
        seed = self.seed or (seed_files(self.home)[role] if self.nats is None else None)
        return replace(address, role=role, seed_file=seed)

    @asynccontextmanager
    async def session(self, role: str = "observer") -> AsyncIterator[LogSession]:
        """A connection to the log."""
        async with opened(self._address(role)) as broker:
            yield LogSession(broker, self.as_json)

    async def jobs(self, named: list[str], role: str) -> list[str]:
        """The ids of the jobs that are meant; CommandError if there is no such job."""
        if not named:
            return []
        async with self.session(role) as session:
            found = [(await session.stored(given))[0].job for given in named]
        return list(dict.fromkeys(found))
