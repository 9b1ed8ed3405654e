"""The projector as a whole: from the log into the database and out through queries."""

import asyncio
import json
import os
import secrets
import sys
from datetime import date
from pathlib import Path

import pytest
from contracts.envelope import to_headers
from contracts.events import RUNNER_LOST, JobCompleted, JobDeleted, JobType, StageFailed
from contracts.job import JobState, JobStatus
from contracts.queries import (
    QUERIES,
    ArtifactEntry,
    AuditPage,
    DailyUsage,
    DeadLetterPage,
    FindObject,
    GetArtifact,
    GetJob,
    GetProfile,
    GetStats,
    GetTimeline,
    GetUsage,
    JobPage,
    ListAudit,
    ListDailyUsage,
    ListDeadLetters,
    ListErasable,
    ListJobs,
    ListProfiles,
    ListQueue,
    Profile,
    ProfilePage,
    Query,
    Timeline,
    TimelineEntry,
)
from eventlog.broker import Broker
from eventlog.errors import UnavailableError
from eventlog.log import EventLog
from eventlog.rpc import NotFoundError
from eventlog.topology import ensure
from projector_histories import TRAINING, artifact, eventful_story, job_id, request, story
from projector_running import environment, position_in, rows_in, running, tell

from contracts import subjects
from tests.support.broker import NatsServer
from tests.support.postgres import Postgres


async def test_a_job_is_answered_as_the_log_tells_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    job = job_id(1)
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, job, story(job))
        state = await projector.ask(GetJob(owner="me", job=job, min_position=last))
        assert state == await log.fold(job)
        assert isinstance(state, JobState)
        assert state.status is JobStatus.COMPLETED


async def test_whatever_belongs_to_another_owner_is_not_found(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    job, asked = job_id(1), request(owner="me", profile="p-1")
    died = StageFailed(
        stage="render_video",
        attempt=1,
        code=RUNNER_LOST,
        cause="every runner was lost",
        remedy="retry",
        retryable=False,
    )
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, job, [*story(job, asked)[:-2], died])
        made = {"stage": "train_lora", "output": "lora"}

        def questions(owner: str, one: str, profile: str) -> list[Query]:
            return [
                GetJob(owner=owner, job=one, min_position=last),
                GetTimeline(owner=owner, job=one, min_position=last),
                GetArtifact(owner=owner, job=one, min_position=last, **made),
                GetProfile(owner=owner, profile=profile, min_position=last),
                ListJobs(owner=owner, before=one, min_position=last),
                ListProfiles(owner=owner, before=profile, min_position=last),
            ]

        def lists(owner: str) -> list[Query]:
            return [
                ListJobs(owner=owner, min_position=last),
                ListProfiles(owner=owner, min_position=last),
                ListAudit(owner=owner, min_position=last),
                ListDeadLetters(owner=owner, min_position=last),
                ListDailyUsage(owner=owner, since=date.min, until=date.max, min_position=last),
            ]

        # The rest is asked for sums, or of what was deleted.
        asked_for = {type(query) for query in [*questions("me", job, "p-1"), *lists("me")]}
        others = {FindObject, GetStats, GetUsage, ListErasable, ListQueue}
        assert asked_for | others == set(QUERIES.values())
        for query in questions("me", job, "p-1"):
            await projector.ask(query)
        words = set()
        for query in [*questions("you", job, "p-1"), *questions("me", "none", "none")]:
            with pytest.raises(NotFoundError) as refused:
                await projector.ask(query)
            words.add(str(refused.value))
        assert len(words) == 1
        nothing = [
            JobPage(jobs=()),
            ProfilePage(profiles=()),
            AuditPage(entries=()),
            DeadLetterPage(letters=()),
            DailyUsage(days=()),
        ]
        for mine, yours, empty in zip(lists("me"), lists("you"), nothing, strict=True):
            assert await projector.ask(mine) != empty
            assert await projector.ask(yours) == empty


async def test_a_profile_is_what_the_newest_trainings_made(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    asked, mine = request(profile="p-1"), [job_id(1), job_id(2)]
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, mine[0], story(mine[0], asked, TRAINING))
        await tell(log, job_id(3), story(job_id(3), request("you", profile="p-1"), TRAINING))
        # The second training fails before its voice is made.
        last = await tell(log, mine[1], story(mine[1], asked, TRAINING)[:-5])
        profile = await projector.ask(GetProfile(owner="me", profile="p-1", min_position=last))
        assert isinstance(profile, Profile)
        assert profile.created_by == mine[0]
        made = {name: artifacts[0].key for name, artifacts in profile.artifacts.items()}
        assert made == {
            "lora": f"jobs/{mine[1]}/train_lora/lora",
            "faces": f"jobs/{mine[1]}/prepare_dataset/faces",
            "voice": f"jobs/{mine[0]}/train_voice/voice",
            "name": "uploads/four",
        }


async def test_a_profile_counts_the_videos_that_were_made_with_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    """Trainings, unfinished and deleted jobs, and those of others are none."""
    using = request(job_type=JobType.GENERATE, profile="p-1")
    kinds = ("synthesize_speech", "generate_portrait", "render_video")
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, job_id(1), story(job_id(1), request(profile="p-1"), TRAINING))
        for number in (2, 3, 4):
            await tell(log, job_id(number), story(job_id(number), using, kinds))
        await log.tell(job_id(4), JobDeleted(by="me"))
        await tell(log, job_id(5), story(job_id(5), using, kinds)[:-2])
        foreign = request("you", job_type=JobType.GENERATE, profile="p-1")
        last = await tell(log, job_id(6), story(job_id(6), foreign, kinds))
        profile = await projector.ask(GetProfile(owner="me", profile="p-1", min_position=last))
        assert isinstance(profile, Profile)
        assert profile.videos == 2
        page = await projector.ask(ListProfiles(owner="me", min_position=last))
        assert isinstance(page, ProfilePage)
        assert [one.videos for one in page.profiles] == [2]


async def test_profiles_are_listed_newest_first_and_page_by_page(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        for number in range(3):
            asked = request(profile=f"p-{number}")
            last = await tell(log, job_id(number), story(job_id(number), asked, TRAINING))
        first = await projector.ask(ListProfiles(owner="me", limit=2, min_position=last))
        assert isinstance(first, ProfilePage)
        rest = await projector.ask(ListProfiles(owner="me", limit=2, before=first.next_before))
        assert isinstance(rest, ProfilePage)
        seen = [profile.profile for profile in (*first.profiles, *rest.profiles)]
        assert seen == ["p-2", "p-1", "p-0"]
        assert rest.next_before is None


async def test_an_artifact_is_found_by_who_made_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    job = job_id(1)
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, job, story(job))
        query = GetArtifact(
            owner="me", job=job, stage="render_video", output="video", min_position=last
        )
        entry = await projector.ask(query)
        assert isinstance(entry, ArtifactEntry)
        assert entry.artifact == artifact(f"jobs/{job}/render_video/video")


async def test_the_timeline_is_the_log_word_for_word_in_answers_that_a_message_can_hold(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    job, failure = (
        job_id(1),
        StageFailed(
            stage="train_lora",
            attempt=9,
            code="long",
            cause="x" * 60_000,
            remedy="none",
            retryable=False,
        ),
    )
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, job, [*eventful_story(job), *[failure] * 20])
        seen: list[TimelineEntry] = []
        answers = 0
        while True:
            after = seen[-1].sequence if seen else 0
            query = GetTimeline(owner="me", job=job, after=after, min_position=last)
            timeline = await projector.ask(query)
            assert isinstance(timeline, Timeline)
            if not timeline.events:
                break
            answers += 1
            seen += timeline.events
        assert answers > 1
        told = [recorded async for recorded in log.read_job(job)]
        assert [(entry.id, entry.type, entry.time) for entry in seen] == [
            (recorded.id, recorded.type, recorded.time) for recorded in told
        ]
        assert [entry.data for entry in seen] == [
            json.loads(recorded.event.to_json()) for recorded in told
        ]


async def test_jobs_are_listed_newest_first_and_page_by_page(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    jobs = [job_id(number) for number in range(5)]
    async with running(server, database_url) as projector:
        await projector.ready()
        for job in jobs:
            last = await tell(log, job, story(job)[:3])
        seen, before = [], None
        while True:
            query = ListJobs(owner="me", limit=2, before=before, min_position=last)
            page = await projector.ask(query)
            assert isinstance(page, JobPage)
            seen += [summary.job for summary in page.jobs]
            if (before := page.next_before) is None:
                break
        assert seen == jobs[::-1]


async def test_thousands_of_events_that_were_told_before_the_start_are_all_seen(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    jobs = [job_id(number) for number in range(100)]
    for job in jobs:
        last = await tell(log, job, eventful_story(job) if job < jobs[30] else story(job))
    assert last > 3000
    async with running(server, database_url) as projector:
        await projector.ready()
        page = await projector.ask(ListJobs(owner="me", limit=200, min_position=last))
        assert isinstance(page, JobPage)
        assert [summary.job for summary in page.jobs] == jobs[::-1]
        for job in (jobs[0], jobs[50], jobs[-1]):
            assert await projector.ask(GetJob(owner="me", job=job)) == await log.fold(job)


async def test_a_projector_that_is_killed_again_and_again_writes_every_event_once(
    server: NatsServer, log: EventLog, database_url: str, tmp_path: Path
) -> None:
    values = {**os.environ, **environment(server, database_url)}
    for number in range(3):
        before = await position_in(database_url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "projector.main", env=values, stderr=asyncio.subprocess.DEVNULL
        )
        for more in range(5):
            job = job_id(number * 10 + more)
            last = await tell(log, job, story(job))
        while await position_in(database_url) <= before:
            pass
        process.kill()
        await process.wait()
    async with running(server, database_url) as projector:
        await projector.ready()
        await projector.ask(ListJobs(owner="me", min_position=last))
    fresh = f"sqlite+aiosqlite:///{tmp_path}/fresh.db"
    async with running(server, fresh) as projector:
        await projector.ready()
    assert await rows_in(database_url) == await rows_in(fresh)


async def test_an_event_of_a_newer_version_stops_the_views_right_before_it(
    server: NatsServer, admin: Broker, log: EventLog, database_url: str
) -> None:
    job = job_id(1)
    last = await tell(log, job, story(job))
    known = await log.fold(job)
    async with running(server, database_url) as projector:
        await projector.ready()
        headers = to_headers(log.record(job, JobCompleted())) | {"ce-type": "myspinbot.JobFramed"}
        await admin.publish(subjects.event(job, "JobFramed"), b"{}", headers)
        await tell(log, job_id(2), story(job_id(2)))
        said = await projector.operator_is_told()
        assert f"the views stop at event {last}" in said
        assert "JobFramed" in said
        assert "install the version" in said
        assert await projector.ask(GetJob(owner="me", job=job)) == known
        with pytest.raises(UnavailableError, match="JobFramed"):
            await projector.ask(GetJob(owner="me", job=job, min_position=last + 1))
        assert await position_in(database_url) == last


async def test_a_log_that_is_replaced_while_it_is_followed_is_noticed_and_nothing_is_shown(
    server: NatsServer, admin: Broker, log: EventLog, database_url: str
) -> None:
    job = job_id(1)
    await tell(log, job, story(job))
    async with running(server, database_url) as projector:
        await projector.ready()
        await admin.api(f"STREAM.DELETE.{subjects.JOBS}")
        await ensure(admin)
        assert "empty database" in await projector.operator_is_told()
        with pytest.raises(UnavailableError, match="created"):
            await projector.ask(GetJob(owner="me", job=job))
    async with running(server, database_url) as restarted:
        assert "empty database" in await restarted.operator_is_told()


async def test_postgresql_may_go_away_and_come_back(
    server: NatsServer, log: EventLog, postgres_server: Postgres
) -> None:
    url = await postgres_server.new_database(f"lost-{secrets.token_hex(4)}")
    async with running(server, url) as projector:
        await projector.ready()
        await tell(log, job_id(1), story(job_id(1)))
        await postgres_server.end_connections(url)
        last = await tell(log, job_id(2), story(job_id(2)))
        found = await projector.ask(GetJob(owner="me", job=job_id(2), min_position=last))
        assert found == await log.fold(job_id(2))
