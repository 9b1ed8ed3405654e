"""Jobs as they happen, for tests and measurements: event after event, as the services tell them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from contracts.artifacts import Artifact
from contracts.base import make_id
from contracts.commands import Lane
from contracts.envelope import Recorded
from contracts.graph import Binding, Graph, Stage

from contracts import events as e

BEGAN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

_OUTPUTS = {
    "prepare_dataset": ("faces", "clip", "report"),
    "train_lora": ("lora", "report"),
    "train_voice": ("voice", "preview"),
    "synthesize_speech": ("speech", "timings"),
    "generate_portrait": ("portrait",),
    "render_video": ("video", "poster"),
}
_INPUTS = {
    "prepare_dataset": {"photos": None, "clip": None},
    "train_lora": {"faces": "prepare_dataset"},
    "train_voice": {"clip": "prepare_dataset"},
    "synthesize_speech": {"voice": "train_voice"},
    "generate_portrait": {"lora": "train_lora", "faces": "prepare_dataset"},
    "render_video": {"portrait": "generate_portrait", "speech": "synthesize_speech"},
}
TRAINING = ("prepare_dataset", "train_lora", "train_voice")
EVERYTHING = tuple(_OUTPUTS)


def artifact(key: str) -> Artifact:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return Artifact(key=key, size=len(key), sha256=digest, media_type="application/octet-stream")


def graph(kinds: Sequence[str] = EVERYTHING) -> Graph:
    return Graph(
        stages=tuple(
            Stage(
                id=kind,
                kind=kind,
                inputs={
                    name: Binding(stage=source if source in kinds else None, output=name)
                    for name, source in _INPUTS[kind].items()
                },
            )
            for kind in kinds
        )
    )


def request(
    owner: str = "me", job_type: e.JobType = e.JobType.TRAIN, profile: str | None = None
) -> e.JobRequested:
    inputs = {
        "photos": (artifact("uploads/one"), artifact("uploads/two")),
        "clip": (artifact("uploads/three"),),
        "name": (artifact("uploads/four"),),
    }
    return e.JobRequested(type=job_type, owner=owner, profile=profile, inputs=inputs)


def scheduled(job: str, kind: str, attempt: int = 1) -> e.StageScheduled:
    inputs = {
        name: (artifact(f"jobs/{job}/{source}/{name}") if source else artifact(f"uploads/{name}"),)
        for name, source in _INPUTS[kind].items()
    }
    return e.StageScheduled(
        stage=kind,
        attempt=attempt,
        kind=kind,
        engine="mini",
        engine_version="1",
        lane=Lane.CPU,
        params={"steps": 120, "rank": 8, "rates": [0.001, 0.0002], "note": None},
        inputs=inputs,
        input_hash=hashlib.sha256(f"{job}{kind}".encode()).hexdigest(),
        seed=7,
    )


def completed(job: str, kind: str, attempt: int = 1) -> e.StageCompleted:
    return e.StageCompleted(
        stage=kind,
        attempt=attempt,
        runner="runner-1",
        outputs={name: (artifact(f"jobs/{job}/{kind}/{name}"),) for name in _OUTPUTS[kind]},
        metrics={"seconds": 1.25, "identity": {"before": 0.1, "after": 0.8}, "none": None},
        duration_s=1.25,
    )


def stage_events(job: str, kind: str, attempt: int = 1, checkpoints: int = 2) -> Iterator[e.Event]:
    yield scheduled(job, kind, attempt)
    yield e.StageStarted(stage=kind, attempt=attempt, runner="runner-1", device="cpu")
    for step in range(1, checkpoints + 1):
        yield e.StageCheckpointed(
            stage=kind,
            attempt=attempt,
            step=step * 10,
            fraction=step / (checkpoints + 1),
            artifact=artifact(f"jobs/{job}/{kind}/checkpoint-{step}"),
        )
    yield completed(job, kind, attempt)


def story(
    job: str,
    asked: e.JobRequested | None = None,
    kinds: Sequence[str] = EVERYTHING,
    checkpoints: int = 2,
) -> list[e.Event]:
    """A job that goes well."""
    return [
        asked or request(),
        e.JobPlanned(graph=graph(kinds)),
        *(one for kind in kinds for one in stage_events(job, kind, checkpoints=checkpoints)),
        e.JobCompleted(),
    ]


def job_id(number: int) -> str:
    """Ids that sort as the jobs were asked for."""
    return make_id(BEGAN + timedelta(seconds=number), number.to_bytes(10, "big"))


def recorded(job: str, events: Sequence[e.Event], first: int = 1) -> list[Recorded]:
    """Events as they stand in the log from a sequence on, one second apart."""
    return [
        Recorded(
            job=job,
            event=event,
            id=make_id(BEGAN + timedelta(seconds=sequence), sequence.to_bytes(10, "big")),
            source="/myspinbot/test",
            time=BEGAN + timedelta(seconds=sequence),
            sequence=sequence,
        )
        for sequence, event in enumerate(events, first)
    ]


def consented(key: str, given_for: str | None = None) -> e.ConsentGiven:
    """Consent to the use of a face, whose statement lies under a key."""
    return e.ConsentGiven(
        covers=("face",), statement=artifact(key), given_at=BEGAN, by="me", given_for=given_for
    )


def eventful_story(job: str, asked: e.JobRequested | None = None) -> list[e.Event]:
    """A job with samples, a failure that passes, words of a replaced attempt, and a retry."""
    lora = "train_lora"
    sample = artifact(f"jobs/{job}/{lora}/sample")
    checkpoint = artifact(f"jobs/{job}/{lora}/late")
    failed = e.StageFailed(
        stage=lora,
        attempt=1,
        code="out_of_memory",
        cause="the device is full",
        remedy="choose a smaller rank",
        retryable=True,
    )
    return [
        asked or request(),
        e.JobPlanned(graph=graph()),
        *stage_events(job, "prepare_dataset"),
        scheduled(job, lora),
        e.StageStarted(stage=lora, attempt=1, runner="runner-1", device="cpu"),
        e.StageSampled(stage=lora, attempt=1, step=20, caption="at 20", artifact=sample),
        failed,
        e.StageRetryScheduled(stage=lora, failed_attempt=1, at=BEGAN + timedelta(minutes=1)),
        scheduled(job, lora, 2),
        e.StageStarted(stage=lora, attempt=2, runner="runner-2", device="cpu"),
        e.StageCheckpointed(stage=lora, attempt=1, step=30, fraction=0.9, artifact=checkpoint),
        completed(job, lora, attempt=1),
        completed(job, lora, attempt=2),
        completed(job, lora, attempt=2),
        e.JobCancelRequested(by="me"),
        e.JobCancelled(),
        e.JobRetryRequested(by="me"),
        e.StageReused(
            stage="train_voice",
            from_job="earlier",
            from_stage="train_voice",
            input_hash="0" * 64,
            outputs={"voice": (artifact("jobs/earlier/train_voice/voice"),)},
            metrics={},
        ),
        scheduled(job, "synthesize_speech"),
        failed.model_copy(update={"stage": "synthesize_speech", "retryable": False}),
        e.StageSkipped(stage="generate_portrait", because_of="synthesize_speech"),
        e.StageSkipped(stage="render_video", because_of="synthesize_speech"),
        e.JobFailed(
            stage="synthesize_speech",
            code="out_of_memory",
            cause="the device is full",
            remedy="choose a smaller rank",
        ),
    ]
