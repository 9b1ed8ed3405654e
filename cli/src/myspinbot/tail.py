"""The job log itself, read from the broker of the local system or of another one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from contracts.envelope import Recorded, to_structured
from eventlog.broker import BrokerAddress, connect
from eventlog.log import EventLog
from eventlog.reader import read_log

from myspinbot.client.target import running
from myspinbot.embedded.broker import seed_files
from myspinbot.embedded.home import Home
from myspinbot.screen import out, plain
from myspinbot.story import sentence


def broker_of(nats: str | None, seed: Path | None, home: Home) -> BrokerAddress:
    """The broker that is meant, and who we are there; NotRunningError if it is ours and away."""
    if nats is not None:
        return BrokerAddress(nats, "observer", seed)
    return BrokerAddress(running(home).nats, "observer", seed or seed_files(home)["observer"])


async def tail_log(
    address: BrokerAddress, job: str | None, since: int, *, follow: bool, as_json: bool
) -> None:
    """Print the events after a position, of one job or of all, and with `follow` go on."""
    broker = await connect(address)
    try:
        end = (await EventLog(broker, "cli").position()).last_sequence
        if not follow and since >= end:
            return
        async for batch in read_log(broker, since):
            for recorded in batch:
                if job in (None, recorded.job):
                    _show(recorded, as_json=as_json)
            if not follow and batch[-1].sequence >= end:
                return
    finally:
        await broker.close()


def _show(recorded: Recorded, *, as_json: bool) -> None:
    if as_json:
        plain(json.dumps(to_structured(recorded), ensure_ascii=False))
    elif sys.stdout.isatty():
        out.print(_line(recorded), markup=False, style=_style(recorded))
    else:
        plain(_line(recorded))


def _line(recorded: Recorded) -> str:
    time = recorded.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    return f"{recorded.sequence:>6}  {time}  {recorded.job}  {sentence(recorded.event)}"


def _style(recorded: Recorded) -> str:
    if recorded.type in ("StageFailed", "JobFailed"):
        return "red"
    if recorded.type in ("StageCompleted", "JobCompleted"):
        return "green"
    return "" if recorded.type.startswith("Stage") else "bold"
