"""The names of subjects and streams: the map of everything that travels over NATS."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.commands import Lane

JOBS = "JOBS"
"""The append-only log of job events. The truth."""
COMMANDS = "CMD"
"""The work queue of stage commands; derived from the log."""
DEAD_LETTERS = "DLQ"
"""The broker's advisories about commands that nobody could finish."""
PROGRESS = "PROGRESS"
"""The last progress message of each stage; not history."""
RUNNERS = "RUNNERS"
"""The last manifest of each live runner and planner."""
CONTROL = "CONTROL"
"""Stop commands for attempts that are not wanted any more."""
STAGE_LOGS = "STAGELOGS"
"""What attempts say while they run, line by line; kept for a while, and not history."""
SPANS = "SPANS"
"""The finished spans of jobs, kept for a day for their waterfall; in memory, and not history."""
CONFIG = "CONFIG"
"""What people have set up: API tokens, webhooks, pipelines, uploads. One value a subject."""
DELIVERIES = "DELIVERIES"
"""The work queue of webhook deliveries; derived from the log."""
DELIVERED = "DELIVERED"
"""How the deliveries of each webhook went; the latest word on each, kept for a while."""
CHECKPOINTS = "CHECKPOINTS"
"""Signed statements of what the log was when it had a certain length."""

ALL_EVENTS = "jobs.>"
ALL_COMMANDS = "cmd.stage.>"
ALL_PROGRESS = "progress.>"
ALL_RUNNERS = "runners.>"
ALL_PLANNERS = "planners.>"
ALL_STOPS = "control.stop.>"
ALL_STAGE_LOGS = "logs.>"
ALL_SPANS = "spans.>"
ALL_CONFIG = "config.>"
ALL_DELIVERIES = "deliveries.>"
ALL_DELIVERED = "delivered.>"
ALL_CHECKPOINTS = "checkpoints.>"
LOG_CHECKPOINTS = "checkpoints.log"
"""The subject of the checkpoints of the whole log."""
ADVISORIES = (
    f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{COMMANDS}.>",
    f"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{COMMANDS}.>",
)


def event(job: str, event_type: str) -> str:
    """The subject of a job's events of one type."""
    return f"jobs.{job}.events.{event_type}"


def job_events(job: str) -> str:
    """The filter for all events of a job."""
    return f"jobs.{job}.>"


def progress(job: str, stage: str) -> str:
    """The subject of a stage's progress."""
    return f"progress.{job}.{stage}"


def job_progress(job: str) -> str:
    """The filter for the progress of all stages of a job."""
    return f"progress.{job}.*"


def runner(runner_id: str) -> str:
    """The subject of a runner's manifest."""
    return f"runners.{runner_id}"


def planner(planner_id: str) -> str:
    """The subject of a planner's manifest."""
    return f"planners.{planner_id}"


def stop(job: str, stage: str, attempt: int) -> str:
    """The subject of the stop command for an attempt."""
    return f"control.stop.{job}.{stage}.{attempt}"


def stage_log(job: str, stage: str, attempt: int) -> str:
    """The subject of the lines of an attempt."""
    return f"logs.{job}.{stage}.{attempt}"


def job_logs(job: str) -> str:
    """The filter for the lines of all attempts of a job."""
    return f"logs.{job}.>"


def job_spans(job: str) -> str:
    """The subject of the spans of a job."""
    return f"spans.{job}"


def config(kind: str, owner: str, name: str) -> str:
    """The subject of one thing that an owner has set up."""
    return f"config.{kind}.{owner}.{name}"


def delivery(owner: str, hook: str, delivery_id: str) -> str:
    """The subject of a delivery that is due."""
    return f"deliveries.{owner}.{hook}.{delivery_id}"


def delivered(owner: str, hook: str, delivery_id: str) -> str:
    """The subject of what is known of a delivery."""
    return f"delivered.{owner}.{hook}.{delivery_id}"


def query(name: str) -> str:
    """The subject of a query, such as `jobs.get`."""
    return f"query.{name}"


@dataclass(frozen=True, slots=True)
class CommandSubject:
    """The subject of a stage command: it alone tells which attempt a message is about."""

    kind: str
    lane: Lane
    job: str
    stage: str
    attempt: int

    def __str__(self) -> str:
        return f"cmd.stage.{self.kind}.{self.lane}.{self.job}.{self.stage}.{self.attempt}"

    @staticmethod
    def parse(subject: str) -> CommandSubject:
        """The inverse of `str()`; ValueError if it is no command's subject."""
        tokens = subject.split(".")
        if len(tokens) != 7 or tokens[:2] != ["cmd", "stage"]:
            raise ValueError(f"{subject!r} is not the subject of a stage command")
        kind, lane, job, stage, attempt = tokens[2:]
        return CommandSubject(kind, Lane(lane), job, stage, int(attempt))


def commands(kind: str, lane: Lane) -> str:
    """The filter for the commands of one kind and lane."""
    return f"cmd.stage.{kind}.{lane}.>"
