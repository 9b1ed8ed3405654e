"""A running stack on the screen of who started it: drawn from a status, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from myspinbot.client.replies import JobItem
from myspinbot.embedded.status import Figures, Status
from myspinbot.embedded.supervision import Phase, State

_COLOURS = {Phase.READY: "green", Phase.PAUSED: "red", Phase.STOPPED: "dim"}
_BAR_WIDTH = 24


class Dashboard:
    """What is shown; `show` replaces it."""

    def __init__(self, api: str, ports: Mapping[str, int]) -> None:
        self._api = api
        self._ports = ports
        self._status: Status | None = None

    def show(self, status: Status) -> None:
        """Show another status."""
        self._status = status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """For rich."""
        if self._status is not None:
            yield Group(*_parts(self._status, self._api, self._ports))


def _parts(status: Status, api: str, ports: Mapping[str, int]) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text.assemble(("MySpinBot ", "bold"), (api, "cyan"), ("   Ctrl-C stops it", "dim")),
        _programs(status, ports),
        _line(status.figures),
    ]
    if status.jobs is None:
        parts.append(Text("The API does not answer.", style="yellow"))
    elif status.jobs:
        parts.append(_jobs(status.jobs))
    else:
        parts.append(Text("No job is waiting or running.", style="dim"))
    parts.append(Text(f"Metrics: http://127.0.0.1:{ports['metrics']}/metrics", style="dim"))
    return parts


_PORTS = {
    "nats": "nats",
    "weed": "s3",
    "gateway": "http",
    "planner": "planner_admin",
    "projector": "projector_admin",
    "gpu-runner": "runner_admin",
}


def _programs(status: Status, ports: Mapping[str, int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("service", "", "for", "port", "deaths"):
        table.add_column(heading, justify="right" if heading in ("for", "port") else "left")
    for name, state in status.programs.items():
        port = ports.get(_PORTS.get(name, ""), "")
        table.add_row(
            name, _phase(state), lasting(status.now - state.since), str(port), _deaths(state)
        )
    return table


def _phase(state: State) -> Text:
    return Text(state.phase.value, style=_COLOURS.get(state.phase, "yellow"))


def _deaths(state: State) -> Text:
    return Text(str(state.deaths), style="red") if state.deaths else Text("")


def _line(figures: Figures) -> Text:
    waiting = ", ".join(f"{count} {kind}" for kind, count in sorted(figures.waiting.items()))
    queue = (
        f"Queue: {waiting}, for up to {lasting(figures.oldest_s)}" if waiting else "Queue: empty"
    )
    lag = f"{figures.lag_events} events, {lasting(figures.lag_s)}" if figures.lag_events else "none"
    return Text(f"{queue} · stages running: {figures.running} · lag of the views: {lag}")


def _jobs(jobs: tuple[JobItem, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("job", "type", "", "", ""):
        table.add_column(heading)
    for job in jobs:
        bar = ProgressBar(total=1.0, completed=job.progress, width=_BAR_WIDTH, pulse=False)
        name = escape(job.name or job.job_id)
        table.add_row(name, job.type, job.status, bar, f"{job.progress:4.0%}")
    return table


def lasting(seconds: float) -> str:
    """A time as a person reads it: `42 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
