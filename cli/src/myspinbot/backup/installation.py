"""Whose data it is: the addresses and credentials of an installation's log, objects and views."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from eventlog.broker import BrokerAddress
from servicekit.objects import StoreAddress
from servicekit.settings import Environment, SettingsError

from myspinbot.client.target import running
from myspinbot.embedded import stack
from myspinbot.embedded.broker import seed_files
from myspinbot.embedded.home import Home, StackNote
from myspinbot.embedded.objects import BUCKET, ensure_keys
from myspinbot.errors import MISUSED, NOT_FOUND, CommandError


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything is. `views` is a database's URL; `keys` a folder, of a local home only."""

    name: str
    broker: BrokerAddress
    store: StoreAddress
    views: str | None
    keys: Path | None


@contextlib.asynccontextmanager
async def of_home(home: Home) -> AsyncIterator[Installation]:
    """The local system, running or not; its broker and object store are started if need be.

    Raises CommandError if there is none, or it is just starting.
    """
    if not holds_data(home):
        raise CommandError(
            f"There is no data in {home.root}.",
            "Name the data folder of the system with --home or MYSPINBOT_HOME.",
            NOT_FOUND,
        )
    if home.running() is not None:
        yield _with_views(home, running(home))
        return
    async with stack.kept_running(home, stack.storage) as note:
        yield _with_views(home, note)


@contextlib.asynccontextmanager
async def of_new_home(home: Home) -> AsyncIterator[Installation]:
    """A home whose broker and object store are there to be filled."""
    async with stack.kept_running(home, stack.empty_storage) as note:
        yield at_home(home, note)


def at_home(home: Home, note: StackNote) -> Installation:
    """The parts of a local system that run at the ports of its note."""
    keys = ensure_keys(home)
    store = StoreAddress(
        f"http://127.0.0.1:{note.ports['s3']}", BUCKET, keys.access_key, keys.secret_key
    )
    return Installation(
        name=str(home.root),
        broker=BrokerAddress(note.nats, "admin", seed_files(home)["admin"]),
        store=store,
        views=f"sqlite+aiosqlite:///{home.views}",
        keys=home.keys,
    )


def _with_views(home: Home, note: StackNote) -> Installation:
    # A system that was ended before its first event has none.
    there = at_home(home, note)
    return there if home.views.exists() else replace(there, views=None)


def holds_data(home: Home) -> bool:
    """Whether there is a file among the home's data."""
    return any(path.is_file() for path in home.data.rglob("*"))


@dataclass(frozen=True, slots=True)
class Remote:
    """What was said of another installation, by addresses and credentials as services take them."""

    nats: str | None = None
    seed: Path | None = None
    s3_endpoint: str | None = None
    s3_bucket: str | None = None
    database: str | None = None

    def installation(self, environment: Mapping[str, str]) -> Installation | None:
        """The installation that is named, or None if it is the local one.

        Credentials of the object store come from the environment only: others see options in
        the list of processes. Raises CommandError if something is missing.
        """
        if self.nats is None:
            if stray := self.s3_endpoint or self.database:
                raise CommandError(
                    f"{stray} is of another installation than the local one.",
                    "Name its broker too, with --nats and --seed.",
                    MISUSED,
                )
            return None
        given = {
            "MYSPINBOT_S3_ENDPOINT": self.s3_endpoint,
            "MYSPINBOT_S3_BUCKET": self.s3_bucket,
        }
        settings = {**environment, **{name: value for name, value in given.items() if value}}
        try:
            store = StoreAddress.of(Environment(settings))
        except SettingsError as error:
            raise CommandError(
                f"The object store is not fully named: {error}.",
                "Set MYSPINBOT_S3_ENDPOINT, MYSPINBOT_S3_ACCESS_KEY and MYSPINBOT_S3_SECRET_KEY "
                "as for the gateway.",
                MISUSED,
            ) from error
        broker = BrokerAddress(self.nats, "admin", self.seed)
        return Installation(self.nats, broker, store, self.database, None)
