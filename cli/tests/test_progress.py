"""How progress reads where no bar can be drawn, and where one can."""

import io

import pytest
from contracts.job import JobStatus, StageStatus
from myspinbot.client.replies import JobUpdate, StageUpdate
from myspinbot.progress import Bars, duration, lines
from rich.console import Console
from rich.text import Text


def stage(status: StageStatus, done: float = 0.0, **more: object) -> StageUpdate:
    return StageUpdate.model_validate(
        {"id": "train_lora", "kind": "train_lora", "status": status, "progress": done, **more}
    )


def job(*stages: StageUpdate, status: JobStatus = JobStatus.RUNNING) -> JobUpdate:
    return JobUpdate(job_id="j", status=status, progress=0.5, stages=stages)


def test_the_first_update_tells_how_the_job_stands() -> None:
    assert lines(None, job(stage(StageStatus.PENDING))) == ["Job running"]


def test_a_stage_is_told_when_it_turns() -> None:
    before = job(stage(StageStatus.SCHEDULED))
    after = job(stage(StageStatus.RUNNING, eta_s=75, message="step 1"))
    assert lines(before, after) == ["Learn the face: 0%, about 1 min 15 s left, step 1"]
    assert lines(after, job(stage(StageStatus.COMPLETED, 1.0))) == ["Learn the face: completed"]


def test_a_running_stage_is_told_once_in_each_quarter() -> None:
    told: list[str] = []
    last = job(stage(StageStatus.RUNNING))
    for percent in range(1, 100):
        update = job(stage(StageStatus.RUNNING, percent / 100))
        told += lines(last, update)
        last = update
    assert told == [f"Learn the face: {quarter}%" for quarter in (25, 50, 75)]


def test_another_attempt_says_which_one_it_is() -> None:
    before = job(stage(StageStatus.WAITING, attempt=1))
    after = job(stage(StageStatus.SCHEDULED, attempt=2))
    assert lines(before, after) == ["Learn the face: scheduled (attempt 2)"]


def test_the_end_of_the_job_is_told_last() -> None:
    before = job(stage(StageStatus.RUNNING))
    after = job(stage(StageStatus.COMPLETED, 1.0), status=JobStatus.COMPLETED)
    assert lines(before, after)[-1] == "Job completed"


def test_a_kind_of_stage_that_is_not_known_is_named_by_itself() -> None:
    own = StageUpdate(id="x", kind="add_music", status=StageStatus.COMPLETED)
    assert lines(job(), job(own)) == ["Add music: completed"]


def test_durations_read_like_speech() -> None:
    assert [duration(s) for s in (-1, 0.4, 59.6, 185, 7800)] == [
        "0 s",
        "0 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 10 min",
    ]


def shown(update: JobUpdate) -> str:
    screen = io.StringIO()
    with Bars(Console(file=screen, force_terminal=True, width=100, color_system=None)) as bars:
        bars.show(update)
    return screen.getvalue()


def test_bars_show_what_each_stage_and_the_whole_job_does() -> None:
    running = shown(job(stage(StageStatus.RUNNING, 0.4, eta_s=3600, message="[step] 4")))
    for part in ("Learn the face", "40 %", "1 h 00 min left", "[step] 4", "All together", "50 %"):
        assert part in running


def test_bars_show_that_a_stage_has_ended() -> None:
    ended = shown(job(stage(StageStatus.COMPLETED, 1.0), status=JobStatus.FAILED))
    for part in ("✓", "100 %", "completed", "failed"):
        assert part in ended


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_stage_has_one_line_with_a_margin_however_narrow_the_screen(width: int) -> None:
    screen = io.StringIO()
    message = "loading the models of the base and of the adapter"
    with Bars(Console(file=screen, force_terminal=True, width=width, color_system=None)) as bars:
        bars.show(job(stage(StageStatus.RUNNING, 0.4, eta_s=80, message=message)))
    drawn = Text.from_ansi(screen.getvalue()).plain.splitlines()
    assert len([line for line in drawn if "1 min 20 s left" in line]) >= 1
    assert max(map(len, map(str.rstrip, drawn))) <= width - 3
    assert not [line for line in drawn if line.strip() == "left"]
