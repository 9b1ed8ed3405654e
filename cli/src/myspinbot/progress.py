"""A job's progress on the screen: bars where somebody watches, plain lines where nobody can."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from contracts.job import JobStatus, StageStatus
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from myspinbot.client.replies import JobUpdate, StageUpdate
from myspinbot.screen import interactive, out, plain

TITLES = {
    "prepare_dataset": "Prepare photos and voice",
    "train_lora": "Learn the face",
    "train_voice": "Learn the voice",
    "write_script": "Write the script",
    "synthesize_speech": "Speak the script",
    "generate_portrait": "Paint the portrait",
    "upscale": "Enlarge the portrait",
    "render_video": "Make the portrait talk",
}
"""What the stages of the main job do, in words."""

_STEP = 0.25
_MARGIN = 3
_LEFT_WIDTH = len("12 min 05 s left")
# A stage that has counted to its end may still be measuring what it made.
_ALMOST = 0.99


def title(stage: StageUpdate) -> str:
    """What a stage does, in words."""
    return TITLES.get(stage.kind, stage.kind.replace("_", " ").capitalize())


def duration(seconds: float) -> str:
    """Seconds as `12 s`, `3 min 05 s` or `2 h 10 min`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def lines(before: JobUpdate | None, after: JobUpdate) -> list[str]:
    """What is worth a line of text: a stage that has turned, or done another quarter."""
    known = {stage.id: stage for stage in before.stages} if before else {}
    told = []
    for stage in after.stages:
        was = known.get(stage.id)
        turned = stage.status is not (was.status if was else StageStatus.PENDING)
        quarters = int(stage.progress / _STEP) - int((was.progress if was else 0.0) / _STEP)
        if turned or (quarters > 0 and stage.status is StageStatus.RUNNING):
            told.append(_line(stage))
    if before is None or before.status is not after.status:
        told.append(f"Job {after.status}")
    return told


def _line(stage: StageUpdate) -> str:
    if stage.status is not StageStatus.RUNNING:
        again = f" (attempt {stage.attempt})" if stage.attempt > 1 else ""
        return f"{title(stage)}: {stage.status}{again}"
    parts = [f"{title(stage)}: {stage.progress:.0%}"]
    if stage.eta_s is not None and stage.eta_s >= 1:
        parts.append(f"about {duration(stage.eta_s)} left")
    if stage.message:
        parts.append(stage.message)
    return ", ".join(parts)


class ProgressView(Protocol):
    """Something that shows updates for as long as its context lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, update: JobUpdate) -> None:
        """Show how the job stands now."""


def progress_view() -> ProgressView:
    """The view that suits where the output goes."""
    return Bars() if interactive() else Lines()


class Lines:
    """Tells an update as lines of text."""

    def __init__(self) -> None:
        self._last: JobUpdate | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._last = None

    def show(self, update: JobUpdate) -> None:
        """Print what has changed."""
        for line in lines(self._last, update):
            plain(line)
        self._last = update


class _Left(ProgressColumn):
    """The time left, counting down between updates."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        until: float | None = task.fields.get("until")
        if until is not None and not task.finished:
            return Text(f"{duration(until - time.monotonic())} left", style="cyan")
        elapsed = task.finished_time if task.finished else task.elapsed
        # A stage that had ended when the view began took an unknown time.
        return Text(duration(elapsed) if elapsed and elapsed >= 0.5 else "", style="dim")


class _Note(ProgressColumn):
    """What a stage says, cut where there is no room: the first column to give way."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["note"], style="dim", no_wrap=True, overflow="ellipsis")


@dataclass(frozen=True, slots=True)
class _Narrow:
    """A thing beside a margin: a terminal's `^C` must not begin a line of its own there."""

    inside: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(
            self.inside, options.update(width=max(options.max_width - _MARGIN, 1))
        )


class _Table(Progress):
    """The bars, a little narrower than the screen."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn at each moment."""
        yield _Narrow(self.make_tasks_table(self.tasks))


class _Bar(BarColumn):
    """A bar that lies still while its stage waits."""

    def render(self, task: Task) -> ProgressBar:
        return ProgressBar(total=1.0, completed=task.completed, width=self.bar_width, pulse=False)


class Bars:
    """Shows an update as a bar for each stage and one for the whole job."""

    _STYLES = {  # noqa: RUF012 - a constant table
        StageStatus.COMPLETED: "green",
        StageStatus.RUNNING: "bold",
        StageStatus.FAILED: "red",
        StageStatus.FAILING: "yellow",
        StageStatus.WAITING: "yellow",
    }

    _MARKS = {  # noqa: RUF012 - a constant table
        StageStatus.COMPLETED: "✓",
        StageStatus.RUNNING: "▸",
        StageStatus.FAILED: "✗",
        StageStatus.FAILING: "↻",
        StageStatus.WAITING: "↻",
        StageStatus.SKIPPED: "-",
    }

    def __init__(self, console: Console = out) -> None:
        self._progress = _Table(
            TextColumn("[{task.fields[style]}]{task.fields[mark]}"),
            TextColumn("[{task.fields[style]}]{task.description}"),
            _Bar(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %"),
            _Left(Column(no_wrap=True, min_width=_LEFT_WIDTH)),
            _Note(),
            console=console,
            refresh_per_second=8,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, update: JobUpdate) -> None:
        """Move the bars."""
        for stage in update.stages:
            running = stage.status is StageStatus.RUNNING
            task = self._task(stage.id, title(stage))
            if running or stage.status.ended:
                self._progress.start_task(task)
            self._progress.update(
                task,
                completed=min(stage.progress, _ALMOST) if running else stage.progress,
                until=_moment(stage.eta_s),
                mark=self._MARKS.get(stage.status, "·"),
                style=self._STYLES.get(stage.status, "dim"),
                note=(stage.message or "") if running else str(stage.status),
            )
        total = self._task("", "All together")
        self._progress.start_task(total)
        self._progress.update(
            total,
            completed=update.progress,
            until=_moment(update.eta_s),
            mark="✓" if update.status is JobStatus.COMPLETED else "▸",
            style="bold",
            note=str(update.status),
        )

    def _task(self, key: str, description: str) -> TaskID:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(
                escape(description),
                start=False,
                total=1.0,
                until=None,
                mark="·",
                style="dim",
                note="",
            )
        return self._tasks[key]


def _moment(eta_s: float | None) -> float | None:
    return None if eta_s is None else time.monotonic() + eta_s
