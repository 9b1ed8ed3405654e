"""Tells the log what the planner and a runner would, step by step as a test wants it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from contracts.artifacts import Artifact, Artifacts
from contracts.commands import Lane
from contracts.graph import Binding, Graph, Stage
from contracts.progress import StageProgress
from contracts.stagelog import StageLine
from eventlog.board import Board
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.stagelogs import StageLogs
from gateway_media import PHOTO

from contracts import events as e
from contracts import subjects
from tests.support.samples import CONSENT_FORM

GRAPH = Graph(
    stages=(
        Stage(id="prepare_dataset", kind="prepare_dataset", weight=1),
        Stage(
            id="train_lora",
            kind="train_lora",
            inputs={"faces": Binding(stage="prepare_dataset", output="faces")},
            weight=3,
        ),
    )
)


class Story:
    """One job that a client asked for, and what becomes of it."""

    def __init__(self, broker: Broker, job: str) -> None:
        self.job = job
        self._broker = broker
        self._late = timedelta()
        self._log = EventLog(broker, "story", lambda: datetime.now(UTC) + self._late)
        self._lines = StageLogs(broker)
        self._board = Board(broker, subjects.PROGRESS, subjects.ALL_PROGRESS)

    @staticmethod
    async def begin(broker: Broker, api: httpx.AsyncClient, **data: str) -> Story:
        answer = await api.post(
            "/api/train", files={"image": ("me.png", PHOTO)}, data=CONSENT_FORM | data
        )
        assert answer.status_code == 202, answer.text
        return Story(broker, answer.json()["jobId"])

    async def tell(self, event: e.Event) -> int:
        return await self._log.tell(self.job, event)

    def wait(self, late: timedelta) -> None:
        """Let what follows be recorded as if this had gone by."""
        self._late += late

    async def plan(self) -> int:
        return await self.tell(e.JobPlanned(graph=GRAPH))

    async def start(self, stage: str, attempt: int = 1) -> int:
        await self.tell(
            e.StageScheduled(
                stage=stage,
                attempt=attempt,
                kind=stage,
                engine="mini",
                engine_version="1",
                lane=Lane.CPU,
                params={},
                inputs={},
                input_hash="0" * 64,
                seed=0,
            )
        )
        return await self.tell(
            e.StageStarted(stage=stage, attempt=attempt, runner="r1", device="cpu")
        )

    async def progress(self, stage: str, fraction: float, attempt: int = 1, **more: Any) -> None:
        note = StageProgress(
            job=self.job,
            stage=stage,
            attempt=attempt,
            fraction=fraction,
            high=more.pop("high", fraction),
            done=fraction * 10,
            total=10,
            unit="step",
            at=datetime.now(UTC),
            **more,
        )
        await self._board.post(subjects.progress(self.job, stage), note.to_json())

    async def say(self, stage: str, step: int, attempt: int = 1, **values: float) -> None:
        """A line with values, as an engine says it while it runs."""
        line = StageLine(
            job=self.job,
            stage=stage,
            attempt=attempt,
            at=datetime.now(UTC),
            step=step,
            values=values,
        )
        await self._lines.write(line)
        await self._broker.client.flush()

    async def complete(
        self, stage: str, outputs: Artifacts | None = None, attempt: int = 1, **metrics: float
    ) -> int:
        return await self.tell(
            e.StageCompleted(
                stage=stage,
                attempt=attempt,
                runner="r1",
                outputs=outputs or {},
                metrics=metrics,
                duration_s=1,
            )
        )

    async def fail(self, stage: str, *, retryable: bool = False, attempt: int = 1) -> int:
        await self.tell(
            e.StageFailed(
                stage=stage,
                attempt=attempt,
                code="no-face",
                cause="photo 1 shows no face",
                remedy="Use a photo that shows one",
                retryable=retryable,
            )
        )
        return await self.tell(
            e.JobFailed(
                stage=stage,
                code="no-face",
                cause="photo 1 shows no face",
                remedy="Use a photo that shows one",
            )
        )

    async def lose(self, stage: str, attempt: int = 1) -> int:
        """Every runner that took the attempt is gone: it becomes a dead letter."""
        why = {"cause": "every runner that worked on it vanished", "remedy": "See their logs"}
        await self.tell(
            e.StageFailed(stage=stage, attempt=attempt, code=e.RUNNER_LOST, retryable=False, **why)
        )
        return await self.tell(e.JobFailed(stage=stage, code=e.RUNNER_LOST, **why))

    async def finish(self, **outputs: tuple[Artifact, ...]) -> int:
        """Everything that is left, at once."""
        await self.plan()
        await self.start("prepare_dataset")
        await self.complete("prepare_dataset", {"faces": outputs.pop("faces", ())})
        await self.start("train_lora")
        await self.complete("train_lora", dict(outputs))
        return await self.tell(e.JobCompleted())


def sampled(step: int, caption: str = "ä sample") -> e.StageSampled:
    """A sample of the first stage, stored nowhere."""
    artifact = Artifact(key="samples/1", size=1, sha256="0" * 64, media_type="image/webp")
    return e.StageSampled(
        stage="prepare_dataset", attempt=1, step=step, caption=caption, artifact=artifact
    )
