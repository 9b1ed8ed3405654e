"""What a deletion leaves behind, and what else is asked of objects, times and the queue."""

import pytest
from contracts.artifacts import Artifact
from contracts.commands import Lane
from contracts.events import JobCancelled, JobCancelRequested, JobDeleted, JobType, StageReused
from contracts.job import JobStatus
from contracts.queries import (
    FindObject,
    GetArtifact,
    GetJob,
    GetProfile,
    GetStats,
    GetTimeline,
    GetUsage,
    JobPage,
    ListErasable,
    ListJobs,
    ListProfiles,
    ListQueue,
    ObjectKeys,
    ProfilePage,
    Query,
    Queue,
    Stats,
    Usage,
)
from eventlog.log import EventLog
from eventlog.rpc import NotFoundError
from projector_histories import (
    BEGAN,
    TRAINING,
    artifact,
    consented,
    eventful_story,
    graph,
    job_id,
    request,
    story,
)
from projector_running import Running, running, tell

from contracts import events as e
from tests.support.broker import NatsServer

A, B, C = job_id(1), job_id(2), job_id(3)
DELETED = JobDeleted(by="me")


async def refused(projector: Running, query: Query) -> None:
    with pytest.raises(NotFoundError):
        await projector.ask(query)


async def left_by(projector: Running, job: str, position: int) -> ObjectKeys:
    answer = await projector.ask(ListErasable(owner="me", job=job, min_position=position))
    assert isinstance(answer, ObjectKeys)
    both = (*answer.keys, *answer.kept)
    assert len(set(both)) == len(both)
    return answer


async def erasable(projector: Running, job: str, position: int) -> set[str]:
    return set((await left_by(projector, job, position)).keys)


async def test_a_deleted_job_is_found_nowhere(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    asked = request(profile="p-1")
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, story(A, asked, TRAINING))
        last = await tell(log, B, story(B))
        made = {"stage": "train_lora", "output": "lora"}
        lora = artifact(f"jobs/{A}/train_lora/lora")
        questions: list[Query] = [
            GetJob(owner="me", job=A, min_position=last),
            GetTimeline(owner="me", job=A),
            GetArtifact(owner="me", job=A, **made),
            GetProfile(owner="me", profile="p-1"),
            FindObject(owner="me", sha256=lora.sha256),
            ListJobs(owner="me", before=A),
            ListProfiles(owner="me", before="p-1"),
        ]
        for query in questions:
            await projector.ask(query)
        await refused(projector, ListErasable(owner="me", job=A))
        last = await log.tell(A, DELETED)
        for query in questions:
            await refused(projector, query.model_copy(update={"min_position": last}))
        page = await projector.ask(ListJobs(owner="me"))
        assert isinstance(page, JobPage)
        assert [job.job for job in page.jobs] == [B]
        assert await projector.ask(ListProfiles(owner="me")) == ProfilePage(profiles=())
        await projector.ask(ListErasable(owner="me", job=A))
        await refused(projector, ListErasable(owner="you", job=A))


async def test_what_a_job_made_and_was_given_is_erased_with_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    events = [*eventful_story(A), DELETED]
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, A, events)
        keys = await erasable(projector, A, last)
        assert {f"uploads/{name}" for name in ("one", "two", "three", "four")} <= keys
        # Samples, checkpoints, and what a replaced attempt had made.
        assert {f"jobs/{A}/train_lora/{name}" for name in ("lora", "sample", "late")} <= keys
        assert {f"jobs/{A}/prepare_dataset/checkpoint-{step}" for step in (1, 2)} <= keys
        # Taken over from a job that the log does not know: nobody else holds it.
        assert "jobs/earlier/train_voice/voice" in keys


async def test_an_object_is_kept_while_another_job_needs_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    lora = f"jobs/{A}/train_lora/lora"
    taken = StageReused(
        stage="train_lora",
        from_job=A,
        from_stage="train_lora",
        input_hash="0" * 64,
        outputs={"lora": (artifact(lora),)},
        metrics={},
    )
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, story(A, kinds=TRAINING))
        # The second takes the LoRA over and was given one of the same photos.
        asked = request().model_copy(update={"inputs": {"photos": (artifact("uploads/one"),)}})
        planned = e.JobPlanned(graph=graph(TRAINING))
        await tell(log, B, [asked, planned, taken, JobCancelRequested(by="me"), JobCancelled()])
        last = await log.tell(A, DELETED)
        left = await left_by(projector, A, last)
        assert f"jobs/{A}/train_voice/voice" in left.keys
        assert set(left.kept) == {lora, "uploads/one"}
        last = await log.tell(B, DELETED)
        assert await erasable(projector, B, last) == {lora, "uploads/one"}
        assert lora in await erasable(projector, A, last)


async def test_what_was_agreed_to_is_kept_while_another_job_rests_on_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    said = "uploads/said"
    ended = [JobCancelRequested(by="me"), JobCancelled()]
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, [request(), consented(said), *ended])
        await tell(log, B, [request(), consented(said, given_for=A), *ended])
        last = await log.tell(A, DELETED)
        assert (await left_by(projector, A, last)).kept.count(said) == 1
        last = await log.tell(B, DELETED)
        assert said in await erasable(projector, B, last)


async def test_what_a_job_borrowed_from_a_profile_does_not_keep_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    lora = artifact(f"jobs/{A}/train_lora/lora")
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, story(A, request(profile="p-1"), TRAINING))
        using = request(job_type=JobType.GENERATE, profile="p-1")
        using = using.model_copy(update={"inputs": {"lora": (lora,)}})
        kinds = ("synthesize_speech", "generate_portrait", "render_video")
        last = await tell(log, B, [*story(B, using, kinds), DELETED])
        assert lora.key not in await erasable(projector, B, last)
        last = await tell(log, C, story(C, using, kinds))
        last = await log.tell(A, DELETED)
        assert lora.key in await erasable(projector, A, last)


async def test_a_deletion_before_the_end_changes_nothing(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, A, [*story(A)[:6], DELETED])
        await refused(projector, ListErasable(owner="me", job=A, min_position=last))
        await projector.ask(GetJob(owner="me", job=A))


async def test_usage_counts_each_object_of_the_owner_once(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        nothing = Usage(jobs=0, objects=0, stored_bytes=0)
        assert await projector.ask(GetUsage(owner="me")) == nothing
        await tell(log, A, [request(), JobCancelRequested(by="me"), JobCancelled()])
        await tell(log, B, [request(), JobCancelRequested(by="me"), JobCancelled()])
        last = await tell(log, C, [request("you")])
        sizes = sum(len(f"uploads/{name}") for name in ("one", "two", "three", "four"))
        used = await projector.ask(GetUsage(owner="me", min_position=last))
        assert used == Usage(jobs=2, objects=4, stored_bytes=sizes)
        await log.tell(A, DELETED)
        last = await log.tell(B, DELETED)
        assert await projector.ask(GetUsage(owner="me", min_position=last)) == nothing


async def test_an_object_is_found_by_its_content_and_only_by_its_owner(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, A, story(A))
        wanted = artifact("uploads/one")
        found = await projector.ask(FindObject(owner="me", sha256=wanted.sha256, min_position=last))
        assert found == wanted
        assert isinstance(found, Artifact)
        await refused(projector, FindObject(owner="you", sha256=wanted.sha256))
        await refused(projector, FindObject(owner="me", sha256="0" * 64))


async def test_the_queue_holds_every_attempt_that_waits_or_runs_in_order(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, [*story(A)[:3], e.StageStarted(**_first_attempt())])
        await tell(log, B, story(B, request("you"))[:3])
        await tell(log, C, [*story(C)[:3], JobCancelRequested(by="me"), JobCancelled()])
        last = await tell(log, job_id(4), story(job_id(4)))
        queue = await projector.ask(ListQueue(owner="me", min_position=last))
        assert isinstance(queue, Queue)
        shown = [(item.job, item.stage, item.running, item.lane) for item in queue.attempts]
        assert shown == [
            (A, "prepare_dataset", True, Lane.CPU),
            (B, "prepare_dataset", False, Lane.CPU),
        ]


def _first_attempt() -> dict[str, object]:
    return {"stage": "prepare_dataset", "attempt": 1, "runner": "runner-1", "device": "cpu"}


async def test_stats_count_the_owners_jobs_and_time_everybodys_stages(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, story(A, kinds=TRAINING))
        await tell(log, B, story(B, request("you"), kinds=TRAINING))
        last = await tell(log, C, [request(), JobCancelRequested(by="me"), JobCancelled()])
        stats = await projector.ask(GetStats(owner="me", min_position=last))
        assert isinstance(stats, Stats)
        assert stats.jobs == {JobStatus.COMPLETED: 1, JobStatus.CANCELLED: 1}
        assert [(times.kind, times.engine, times.count) for times in stats.stages] == [
            (kind, "mini", 2) for kind in sorted(TRAINING)
        ]
        assert all(0 < times.median_s <= times.longest_s for times in stats.stages)
        await log.tell(A, DELETED)
        last = await log.tell(B, DELETED)
        stats = await projector.ask(GetStats(owner="me", min_position=last))
        assert stats == Stats(jobs={JobStatus.CANCELLED: 1}, stages=())


async def test_jobs_are_listed_by_states_and_by_when_they_were_asked_for(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, story(A))
        await tell(log, B, [request(), JobCancelRequested(by="me"), JobCancelled()])
        last = await tell(log, C, [request()])
        state = await log.fold(B)
        assert state.created_at is not None
        cases: list[tuple[dict[str, object], list[str]]] = [
            ({"statuses": (JobStatus.COMPLETED, JobStatus.CANCELLED)}, [B, A]),
            ({"statuses": (JobStatus.QUEUED,)}, [C]),
            ({"created_after": state.created_at}, [C, B]),
            ({"created_before": state.created_at}, [A]),
            ({"created_after": state.created_at, "statuses": (JobStatus.CANCELLED,)}, [B]),
            ({"created_before": BEGAN}, []),
        ]
        for wanted, expected in cases:
            query = ListJobs(owner="me", min_position=last).model_copy(update=wanted)
            page = await projector.ask(query)
            assert isinstance(page, JobPage)
            assert [job.job for job in page.jobs] == expected, wanted
