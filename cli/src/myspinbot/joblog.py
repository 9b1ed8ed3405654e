"""The job log for commands that read it themselves: a connection that says why it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import structlog
from eventlog.broker import Broker, BrokerAddress, reach
from eventlog.errors import DeniedError, EventLogError, GapError, UnavailableError
from eventlog.server_config import public_key

from myspinbot.client.target import running
from myspinbot.embedded.broker import seed_files
from myspinbot.embedded.home import Home
from myspinbot.errors import FAILED, MISUSED, NOT_ALLOWED, UNREACHABLE, CommandError
from myspinbot.screen import hint

OBSERVER = "observer"
"""The broker's user for people: it may read what is going on, and change nothing."""
_TOLD = {
    "broker.disconnected": "The broker is away; waiting for it.",
    "broker.reconnected": "The broker is back.",
}


def broker_of(nats: str | None, seed: Path | None, home: Home) -> BrokerAddress:
    """The broker that is meant, and who we are there.

    Raises NotRunningError if it is the local system's and that is away, and CommandError if the
    file that was named holds no seed.
    """
    if seed is not None:
        _check(seed)
    if nats is not None:
        return BrokerAddress(nats, OBSERVER, seed)
    return BrokerAddress(running(home).nats, OBSERVER, seed or seed_files(home)[OBSERVER])


def _check(seed: Path) -> None:
    try:
        public_key(seed.read_bytes().strip())
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(
            f"The seed file {seed} cannot be read: {reason}.", _SEED_REMEDY, MISUSED
        ) from error
    except ValueError as error:
        raise CommandError(f"The file {seed} holds no nkey seed.", _SEED_REMEDY, MISUSED) from error


_SEED_REMEDY = "`myspinbot nats creds --read-only --out FILE` makes one where the system runs."


@asynccontextmanager
async def opened(address: BrokerAddress) -> AsyncIterator[Broker]:
    """A connection to the broker; what goes wrong meanwhile is a CommandError."""
    with _in_words():
        try:
            broker = await reach(address)
            try:
                yield broker
            finally:
                await broker.close()
        except EventLogError as error:
            _explain(error, address)


def _explain(error: EventLogError, address: BrokerAddress) -> NoReturn:
    match error:
        case UnavailableError():
            raise CommandError(
                f"No broker answers at {address.url}.",
                "`myspinbot up` starts the local one, and `myspinbot nats url` tells its address.",
                UNREACHABLE,
            ) from error
        case DeniedError():
            raise CommandError(
                f"The broker at {address.url} does not let us do this.",
                "Name the seed of its observer with --seed: `myspinbot nats creds --read-only` "
                "makes one where the system runs.",
                NOT_ALLOWED,
            ) from error
        case GapError():
            raise CommandError(
                f"The log is damaged: {error}.", "`myspinbot events verify` shows where.", FAILED
            ) from error
    raise CommandError(
        f"The broker refused: {error}.", "`myspinbot doctor` looks at it."
    ) from error


@contextmanager
def _in_words() -> Any:
    """What the connection logs in the meantime, as a word to whoever reads along."""
    before = structlog.get_config()
    structlog.configure(processors=[_told])
    try:
        yield
    finally:
        structlog.configure(**before)


def _told(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
    if words := _TOLD.get(str(event.get("event"))):
        hint(words)
    raise structlog.DropEvent
