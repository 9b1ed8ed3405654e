"""The events of the log as sentences, so that a tail of the log reads as the job's story."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.artifacts import Artifacts

from contracts import events as e
from myspinbot.progress import duration

_WISHES = {
    e.JobCancelRequested: "stop this job",
    e.JobRetryRequested: "try this job again",
    e.JobDeleted: "this job shall be gone",
    e.ProfileErased: "this person shall be gone, with all that was made of them",
}


def sentence(event: e.Event) -> str:
    """What happened, in one line and without personal data."""
    match event:
        case e.JobRequested():
            return f"JobRequested: {event.type} with {_names(event.inputs) or 'no input'}"
        case e.ConsentGiven():
            taken = f", as for job {event.given_for}" if event.given_for else ""
            return f"ConsentGiven: {listed(event.covers)} may be used, says {event.by}{taken}"
        case e.JobPlanned():
            return f"JobPlanned: {' → '.join(event.graph.order())}"
        case e.JobFailed():
            where = f" in {event.stage}" if event.stage else ""
            stop = "" if event.cause.endswith((".", "!", "?")) else "."
            return f"JobFailed{where}: {event.cause}{stop} {event.remedy}"
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
        case e.DeadLetterDropped():
            what = _try(event.stage, event.attempt)
            return f"DeadLetterDropped: {what}, which its runners died of, is let be"
        case e.JobCancelRequested() | e.JobRetryRequested() | e.JobDeleted() | e.ProfileErased():
            return f"{event.type_name()}: {_WISHES[type(event)]}, says {event.by}"
        case _:
            return event.type_name()


def colour(event_type: str) -> str:
    """The colour of an event's name on a screen: by how good the news are, and who told them."""
    if event_type in ("StageFailed", "JobFailed", "JobCancelled"):
        return "red"
    if event_type in ("StageCompleted", "JobCompleted", "StageReused"):
        return "green"
    if event_type in ("StageRetryScheduled", "StageSkipped"):
        return "yellow"
    model = e.EVENTS.get(event_type)
    if model is None:
        return "bold yellow"
    return "magenta" if e.Teller.USER in model.told_by else "cyan"


def listed(names: Sequence[str]) -> str:
    """Names as `a`, `a and b`, or `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _names(artifacts: Artifacts) -> str:
    return ", ".join(
        f"{len(items)} {name}" if len(items) > 1 else name
        for name, items in sorted(artifacts.items())
    )


def _try(stage: str, attempt: int) -> str:
    return stage if attempt == 1 else f"{stage} (attempt {attempt})"
