"""The events of the log as sentences, so that a tail of the log reads as the job's story."""

from __future__ import annotations

from contracts.artifacts import Artifacts

from contracts import events as e
from myspinbot.progress import duration


def sentence(event: e.Event) -> str:
    """What happened, in one line and without personal data."""
    match event:
        case e.JobRequested():
            return f"JobRequested: {event.type} with {_names(event.inputs) or 'no input'}"
        case e.JobPlanned():
            return f"JobPlanned: {' → '.join(event.graph.order())}"
        case e.JobFailed():
            where = f" in {event.stage}" if event.stage else ""
            return f"JobFailed{where}: {event.cause} {event.remedy}"
        case e.StageScheduled():
            return f"StageScheduled: {_try(event.stage, event.attempt)} on {event.engine}"
        case e.StageReused():
            return f"StageReused: {event.stage}, as job {event.from_job} made it"
        case e.StageRetryScheduled():
            when = event.at.astimezone().strftime("%H:%M:%S")
            return f"StageRetryScheduled: {event.stage} again at {when}"
        case e.StageSkipped():
            return f"StageSkipped: {event.stage}, because of {event.because_of}"
        case e.StageStarted():
            resumed = event.resumed_from_step
            going_on = f", from step {resumed}" if resumed is not None else ""
            again = f", delivery {event.delivery}" if event.delivery > 1 else ""
            what = _try(event.stage, event.attempt)
            return f"StageStarted: {what} by {event.runner} on {event.device}{again}{going_on}"
        case e.StageCheckpointed():
            return f"StageCheckpointed: {event.stage} at step {event.step} ({event.fraction:.0%})"
        case e.StageSampled():
            return f"StageSampled: {event.stage} at step {event.step}: {event.caption}"
        case e.StageCompleted():
            made = _names(event.outputs)
            return f"StageCompleted: {event.stage} in {duration(event.duration_s)} made {made}"
        case e.StageFailed():
            again = "; may be tried again" if event.retryable else ""
            return f"StageFailed: {_try(event.stage, event.attempt)}: {event.cause}{again}"
        case _:
            return event.type_name()


def _names(artifacts: Artifacts) -> str:
    return ", ".join(
        f"{len(items)} {name}" if len(items) > 1 else name
        for name, items in sorted(artifacts.items())
    )


def _try(stage: str, attempt: int) -> str:
    return stage if attempt == 1 else f"{stage} (attempt {attempt})"
