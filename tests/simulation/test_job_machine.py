"""The pure parts alone, in any order of events: fold, decisions, legality and projections.

A job is asked for, decided on, worked at, cancelled and tried again as Hypothesis likes, with words
of attempts that were given up long ago, and with planners that know less than the log.
"""

from __future__ import annotations

from datetime import timedelta

from contracts.artifacts import Artifact
from contracts.capabilities import Device, RunnerManifest
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.graph import Binding, Edge, EdgeKind, Graph, RetryPolicy, Stage
from contracts.job import JobState, StageStatus
from contracts.legality import TELLERS, objection
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from planner.domain.decide import World, decide
from planner.domain.fleet import Fleet
from planner.domain.memory import Memory
from projector.fold import changes
from projector.projections import jobs, stages, timeline
from projector.track import rows_of

from contracts import events as e
from tests.simulation.children import ENGINES, KINDS
from tests.simulation.server import EPOCH

_JOB = "job"
_PROJECTIONS = (jobs.PROJECTION, stages.PROJECTION, timeline.PROJECTION)
_MADE = Artifact(key="made", size=1, sha256="0" * 64, media_type="a/b")
_SOURCES = {teller: source for source, teller in TELLERS.items()}
_RUNNERS = Fleet(
    (
        RunnerManifest(
            runner="r",
            devices=(Device(name="cpu", title="cpu", memory_bytes=1),),
            engines=tuple(engine.manifest() for engine in ENGINES.values()),
            announced_at=EPOCH,
        ),
    ),
    EPOCH,
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    names = [f"s{number}" for number in range(draw(st.integers(1, 4)))]
    made, edges = [], []
    for index, name in enumerate(names):
        inputs = {}
        if index and draw(st.booleans()):
            inputs["made"] = Binding(stage=draw(st.sampled_from(names[:index])), output="made")
        if index and draw(st.booleans()):
            source, kind = draw(st.sampled_from(names[:index])), draw(st.sampled_from(EdgeKind))
            edges.append(Edge(source=source, target=name, kind=kind))
        retry = RetryPolicy(attempts=draw(st.integers(1, 3)), first_delay_s=1)
        deadline_s = draw(st.sampled_from((None, 30.0)))
        kind = draw(st.sampled_from(KINDS))
        made.append(Stage(id=name, kind=kind, inputs=inputs, retry=retry, deadline_s=deadline_s))
    return Graph(stages=tuple(made), edges=tuple(edges))


class Job(RuleBasedStateMachine):
    """One job and its log."""

    @initialize(graph=graphs())
    def asked_for(self, graph: Graph) -> None:
        self.now = EPOCH
        self.log: list[Recorded] = []
        self.state = initial(_JOB)
        self.memory = Memory()
        self.rows: dict[tuple[str, object], object] = {}
        self.tell(e.JobRequested(type=e.JobType.PIPELINE, owner="me", graph=graph))

    def tell(self, event: e.Event) -> None:
        source = _SOURCES[min(event.told_by, key=str)]
        sequence = len(self.log) + 1
        recorded = Recorded(_JOB, event, f"e{sequence}", source, self.now, sequence)
        before, self.state = self.state, evolve(self.state, recorded)
        self.log.append(recorded)
        self.memory.take(recorded, before)
        for table, rows in rows_of(_PROJECTIONS, changes({_JOB: before}, [recorded])):
            self.write(table, rows)
        assert self.state.progress >= before.progress
        for stage in before.stages.values():
            if stage.status is StageStatus.COMPLETED:
                assert self.state.stages[stage.id] is stage

    def write(self, table: object, rows: list[dict[str, object]]) -> None:
        for row in rows:
            key = tuple(row[column.name] for column in table.primary_key)  # type: ignore[attr-defined]
            self.rows[table.name, key] = row  # type: ignore[attr-defined]

    def known_at(self, sequence: int) -> JobState:
        state = initial(_JOB)
        for recorded in self.log[:sequence]:
            state = evolve(state, recorded)
        return state

    def decide(self, known: JobState) -> bool:
        """A planner that knows so much decides; whether its decision enters the log."""
        world = World(self.now, _RUNNERS, self.memory.reusable.find)
        decided = decide(known, world).events
        if not decided or known.sequence != self.state.sequence:
            return False
        for event in decided:
            recorded = Recorded(_JOB, event, "", _SOURCES[min(event.told_by, key=str)], self.now)
            assert objection(self.state, recorded) is None
            self.tell(event)
        assert not decide(self.state, world).events
        return True

    @rule(behind=st.integers(0, 3))
    def a_planner_decides(self, behind: int) -> None:
        self.decide(self.known_at(max(len(self.log) - behind, 0)))

    @rule(seconds=st.sampled_from((0.5, 3.0, 40.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: any(one.attempt for one in self.state.stages.values()))
    @rule(data=st.data(), word=st.sampled_from(("started", "kept", "done", "failed", "refused")))
    def a_runner_tells(self, data: st.DataObject, word: str) -> None:
        begun = sorted(one.id for one in self.state.stages.values() if one.attempt)
        stage = self.state.stages[data.draw(st.sampled_from(begun))]
        attempt = data.draw(st.integers(1, stage.attempt))
        self.tell(_said(word, stage.id, attempt, data.draw(st.floats(0, 1))))

    @rule(wish=st.sampled_from((e.JobCancelRequested, e.JobRetryRequested, e.JobDeleted)))
    def somebody_wants(self, wish: type[e.JobCancelRequested]) -> None:
        self.tell(wish(by="me"))

    @invariant()
    def views_are_what_the_log_says(self) -> None:
        incremental = dict(self.rows)
        self.rows = {}
        for table, rows in rows_of(_PROJECTIONS, changes({}, self.log)):
            self.write(table, rows)
        assert {key: self.rows[key] for key in incremental} == incremental
        assert self.rows.keys() == incremental.keys()

    @invariant()
    def a_state_survives_being_stored(self) -> None:
        assert JobState.model_validate_json(self.state.to_json()) == self.state

    def teardown(self) -> None:
        """Left alone with runners that do their work, the job ends."""
        if not getattr(self, "log", None) or self.state.deleted:
            return
        for _ in range(200):
            if self.state.status.ended:
                return
            moved = self.decide(self.state)
            for stage in self.state.stages.values():
                if self.state.wants(stage.id, stage.attempt):
                    self.tell(_said("done", stage.id, stage.attempt, 1.0))
                    moved = True
            if not moved:
                self.now += timedelta(seconds=10)
        raise AssertionError(f"it does not end: {self.state}")


def _said(word: str, stage: str, attempt: int, fraction: float) -> e.Event:
    match word:
        case "started":
            return e.StageStarted(stage=stage, attempt=attempt, runner="r", device="cpu")
        case "kept":
            return e.StageCheckpointed(
                stage=stage, attempt=attempt, step=1, fraction=fraction, artifact=_MADE
            )
        case "done":
            return e.StageCompleted(
                stage=stage,
                attempt=attempt,
                runner="r",
                outputs={"made": (_MADE,)},
                metrics={},
                duration_s=1,
            )
    return e.StageFailed(
        stage=stage,
        attempt=attempt,
        code="busy",
        cause="busy",
        remedy="none",
        retryable=word == "failed",
    )


TestJob = Job.TestCase
TestJob.settings = settings(max_examples=150, stateful_step_count=40)
