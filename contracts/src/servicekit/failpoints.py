"""Named places in the services at which a test makes a process die, freeze, fail or be late.

A place is passed with `await reached(Failpoint.…)`. Nothing happens there unless the process was
started with `MYSPINBOT_FAILPOINTS`, such as `planner.before-append=kill` or, for the third time
that a place is passed, `runner.before-ack=delay:2@3`; several are separated by commas. Without
that variable `reached` is bound at import to a function that does nothing. With it, a service ends
at its start unless its broker is on the loopback of its own machine: see `refuse_elsewhere`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog

from servicekit.settings import PREFIX, Environment, SettingsError

log = structlog.get_logger(__name__)

SETTING = "FAILPOINTS"


class Failpoint(StrEnum):
    """Every place, by its service and what has just happened or comes next there."""

    GATEWAY_BEFORE_STORE = "gateway.before-store"
    GATEWAY_BEFORE_APPEND = "gateway.before-append"
    GATEWAY_AFTER_APPEND = "gateway.after-append"
    GATEWAY_BEFORE_CHORE = "gateway.before-chore"
    GATEWAY_CHORE_BEFORE_ACK = "gateway.chore-before-ack"
    PLANNER_BEFORE_APPEND = "planner.before-append"
    PLANNER_AFTER_APPEND = "planner.after-append"
    PLANNER_BEFORE_COMMAND = "planner.before-command"
    PLANNER_AFTER_COMMAND = "planner.after-command"
    PLANNER_BEFORE_STOP = "planner.before-stop"
    PLANNER_BEFORE_DEAD_LETTER = "planner.before-dead-letter"
    PLANNER_AFTER_DEAD_LETTER = "planner.after-dead-letter"
    RUNNER_TAKEN = "runner.taken"
    RUNNER_STARTED = "runner.started"
    RUNNER_BEFORE_CHECKPOINT_STORED = "runner.before-checkpoint-stored"
    RUNNER_BEFORE_CHECKPOINT_TOLD = "runner.before-checkpoint-told"
    RUNNER_BEFORE_OUTPUTS_STORED = "runner.before-outputs-stored"
    RUNNER_BEFORE_END_TOLD = "runner.before-end-told"
    RUNNER_BEFORE_ACK = "runner.before-ack"
    PROJECTOR_BEFORE_TRANSACTION = "projector.before-transaction"
    PROJECTOR_BEFORE_COMMIT = "projector.before-commit"
    PROJECTOR_AFTER_COMMIT = "projector.after-commit"


class Action(StrEnum):
    """What happens to a process there."""

    KILL = "kill"
    FREEZE = "freeze"
    RAISE = "raise"
    DELAY = "delay"


class InjectedError(Exception):
    """An error that a test has asked for."""


@dataclass(frozen=True, slots=True)
class Trap:
    """What happens when a place is passed for the `nth` time, and at no other time."""

    point: Failpoint
    action: Action
    seconds: float = 0.0
    nth: int = 1

    def __str__(self) -> str:
        seconds = f":{self.seconds:g}" if self.action is Action.DELAY else ""
        return f"{self.point}={self.action}{seconds}@{self.nth}"

    @staticmethod
    def parse(text: str) -> Trap:
        """The inverse of `str()`; SettingsError if it is none."""
        try:
            point, _, rest = text.strip().partition("=")
            what, _, nth = rest.partition("@")
            action, _, seconds = what.partition(":")
            return Trap(Failpoint(point), Action(action), float(seconds or 0), int(nth or 1))
        except ValueError as error:
            raise SettingsError(f"{PREFIX}{SETTING} has {text!r}: {error}") from error


async def _spring(trap: Trap) -> None:
    log.warning("failpoint.reached", point=trap.point, action=trap.action)
    match trap.action:
        case Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.FREEZE:
            os.kill(os.getpid(), signal.SIGSTOP)
        case Action.RAISE:
            raise InjectedError(trap.point)
        case Action.DELAY:
            await asyncio.sleep(trap.seconds)


async def _pass(_point: Failpoint) -> None:
    """Nothing is armed in this process."""


def armed(setting: str) -> Callable[[Failpoint], Awaitable[None]]:
    """What `reached` is with a setting; SettingsError if that cannot be read."""
    traps = [Trap.parse(text) for text in setting.split(",") if text.strip()]
    passed = dict.fromkeys(Failpoint, 0)

    async def springing(point: Failpoint) -> None:
        passed[point] += 1
        for trap in traps:
            if trap.point is point and trap.nth == passed[point]:
                await _spring(trap)

    return springing if traps else _pass


def _of(values: Mapping[str, str]) -> Callable[[Failpoint], Awaitable[None]]:
    try:
        return armed(values.get(PREFIX + SETTING, ""))
    except SettingsError:
        # `refuse_elsewhere` tells of it, where there is a log to tell it to.
        return _pass


reached = _of(os.environ)
"""Pass a place."""


def refuse_elsewhere(environment: Environment) -> None:
    """SettingsError if failpoints are set where people's jobs may be.

    An installation has its broker on another host. That of one machine, which `myspinbot up`
    starts, does not hand the variable on to its services.
    """
    if not (setting := environment.text(SETTING, "")):
        return
    armed(setting)
    hosts = [urlsplit(url).hostname for url in environment.text("NATS_URL").split(",")]
    if not all(host and _loopback(host) for host in hosts):
        raise SettingsError(
            f"{PREFIX}{SETTING} is for tests with a broker on the loopback interface, and this one "
            "is not; unset it"
        )
    log.warning("failpoints.armed", setting=setting)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
