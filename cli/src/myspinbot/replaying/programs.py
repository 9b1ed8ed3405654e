"""Programs of the services that work on the log, and tell how they come on in lines of JSON.

A service is never imported here: its program runs as a process of its own, with the settings
that the service has. On Ctrl-C it is told to stop, and it leaves everything so that it can go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eventlog.broker import BrokerAddress

from myspinbot.embedded.services import inherited
from myspinbot.errors import FAILED, STATUSES, CommandError

Message = dict[str, Any]
_STOPPING_S = 10.0
_LONGEST_LINE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the log is and who we are there; database, data folder and weights, if needed."""

    broker: BrokerAddress | None = None
    database: str | None = None
    models: Path | None = None
    home: Path | None = None

    def environment(self) -> Mapping[str, str]:
        """The settings as a service reads them."""
        settings = inherited(os.environ)
        if self.broker is not None:
            settings["MYSPINBOT_NATS_URL"] = self.broker.url
            if self.broker.seed_file is not None:
                settings["MYSPINBOT_NATS_SEED"] = str(self.broker.seed_file)
        if self.database is not None:
            settings["MYSPINBOT_DATABASE_URL"] = self.database
        if self.models is not None:
            settings["MYSPINBOT_MODELS"] = str(self.models)
        if self.home is not None:
            settings["MYSPINBOT_HOME"] = str(self.home)
        return settings


async def told_by(
    module: str, arguments: list[str], settings: Settings
) -> AsyncGenerator[Message, None]:
    """What a program tells, line by line, until it ends.

    Raises CommandError if it fails, with the cause and the remedy that it gives.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        "--progress",
        "json",
        *arguments,
        env=settings.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        # The terminal's Ctrl-C would reach it as well, and then a second one from here.
        start_new_session=True,
    )
    stderr = asyncio.create_task(_read(process.stderr))
    failure: CommandError | None = None
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        async for line in process.stdout:
            message = _message(line)
            if "error" in message:
                failure = _failure(message)
            else:
                yield message
        status = await process.wait()
        if failure is None and status not in (0, FAILED):
            last = (await stderr).strip().rpartition("\n")[2]
            failure = CommandError(
                f"{module} ended with status {status}: {last or 'it says no more'}.",
                "Check that all parts of MySpinBot are installed beside this command.",
            )
    finally:
        await _stop(process)
        stderr.cancel()
    if failure is not None:
        exit_status = status if status in STATUSES else failure.exit_status
        raise CommandError(failure.cause, failure.remedy, exit_status)


def of_runner(
    module: str, what: str, arguments: list[str], settings: Settings
) -> AsyncGenerator[Message, None]:
    """What a program of the runner tells; CommandError if no runner is installed here."""
    if find_spec("gpu_runner") is None:
        raise CommandError(
            f"The runner, whose {what} these are, is not installed beside this command.",
            f"Call `python -m {module}` where the runner is installed.",
        )
    return told_by(module, arguments, settings)


async def last_of(messages: AsyncGenerator[Message, None]) -> Message:
    """What a program says in the end; CommandError if it says nothing."""
    answer: Message | None = None
    async with contextlib.aclosing(messages):
        async for message in messages:
            answer = message
    if answer is None:
        raise CommandError(
            "A program of the runner ended without an answer.",
            "Check that all parts of MySpinBot are installed beside this command.",
        )
    return answer


async def _read(stream: asyncio.StreamReader | None) -> str:
    return (await stream.read()).decode(errors="replace") if stream else ""


def _message(line: bytes) -> Message:
    try:
        return dict(json.loads(line))
    except ValueError as error:
        raise CommandError(
            f"A program of a service says {line[:80]!r}.",
            "All parts of MySpinBot must be of the same version.",
        ) from error


def _failure(message: Message) -> CommandError:
    cause, remedy = str(message["error"]), str(message.get("remedy", ""))
    return CommandError(_sentence(cause), _sentence(remedy))


def _sentence(words: str) -> str:
    """With a capital and a full stop, as everything that this command says."""
    ended = words if words.endswith((".", "!", "?", "…")) else f"{words}."
    return ended[:1].upper() + ended[1:]


async def _stop(process: asyncio.subprocess.Process) -> None:
    """As Ctrl-C would; and if that does not help, at once."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(_STOPPING_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def with_bar(
    messages: AsyncGenerator[Message, None], told: Callable[[int, int | None], None]
) -> AsyncGenerator[Message, None]:
    """The messages but those that only say how far it has come, which move the bar."""
    async for message in messages:
        if "end" in message:
            told(message["position"], message["end"])
        else:
            yield message
