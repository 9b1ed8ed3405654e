"""The notary of the embedded stack: signs what the log is at the start, every hour and at the end.

It lives in the supervisor's own process, and whatever goes wrong with it is told and is no reason
to start later or to stop later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import structlog
from eventlog.broker import BrokerAddress, reach
from eventlog.checkpoints import Notary
from eventlog.errors import EventLogError
from eventlog.signatures import Signer

from myspinbot.embedded.supervisor import Tell

EVERY_S = 3600.0
_LET_GO_S = 2.0


class StackNotary:
    """Signs while its stack runs."""

    def __init__(self, nats: str, seed: Path, tell: Tell, every_s: float = EVERY_S) -> None:
        self._address = BrokerAddress(nats, "notary", seed)
        self._seed = seed
        self._tell = tell
        self._every_s = every_s
        self._last_time = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The log can be signed from now on."""
        self._task = asyncio.create_task(self._run())

    def sign_for_the_last_time(self) -> None:
        """The stack is about to stop: while its services do, there is time for what is new."""
        self._last_time.set()

    async def end(self) -> None:
        """The broker is gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_LET_GO_S)

    async def _run(self) -> None:
        with _logged(self._tell):
            while True:
                last = self._last_time.is_set()
                await self._sign()
                if last:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._every_s):
                        await self._last_time.wait()

    async def _sign(self) -> None:
        try:
            broker = await reach(self._address)
            try:
                made = await Notary(broker, Signer.of(self._seed)).sign()
            finally:
                await broker.close()
        except (EventLogError, OSError) as error:
            self._tell("checkpoint.failed", detail=str(error))
        except Exception as error:  # noqa: BLE001 - a stack runs on, whatever its notary does
            self._tell("checkpoint.failed", detail=repr(error))
        else:
            if made is not None:
                self._tell("checkpoint.signed", id=made.id, last_sequence=made.last_sequence)


@contextlib.contextmanager
def _logged(tell: Tell) -> Iterator[None]:
    """What the connection logs goes to the journal, and not between the lines of a command."""

    def told(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        name = str(event.pop("event"))
        tell(name, **{key: str(value) for key, value in event.items()})
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[told])
    try:
        yield
    finally:
        structlog.configure(**before)
