"""Usage by day, the audit and the dead letters, as queries answer them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from contracts.base import make_id
from contracts.envelope import Recorded, store
from contracts.queries import (
    AuditEntry,
    AuditPage,
    DailyUsage,
    DeadLetter,
    DeadLetterPage,
    LetterStatus,
    ListAudit,
    ListDailyUsage,
    ListDeadLetters,
    UsageDay,
)
from eventlog.log import EventLog
from projector_commands import ran
from projector_histories import (
    EVERYTHING,
    artifact,
    completed,
    consented,
    eventful_story,
    graph,
    job_id,
    request,
    scheduled,
    story,
)
from projector_running import Running, rows_in, running, tell

from contracts import events as e
from tests.support.broker import NatsServer
from tests.support.views import assert_views_match_log

A, B, C = job_id(1), job_id(2), job_id(3)
LORA = "train_lora"
DAY = date(2026, 1, 31)
LATE = datetime(2026, 1, 31, 23, 59, 50, tzinfo=UTC)


def started(stage: str = LORA, attempt: int = 1, device: str = "cuda:0") -> e.StageStarted:
    return e.StageStarted(stage=stage, attempt=attempt, runner="runner-1", device=device)


def lost(stage: str = LORA, attempt: int = 1) -> e.StageFailed:
    return e.StageFailed(
        stage=stage,
        attempt=attempt,
        code=e.RUNNER_LOST,
        cause="every runner that took it was lost",
        remedy="look at the runners, then retry",
        retryable=False,
    )


def ended(stage: str = LORA) -> e.JobFailed:
    return e.JobFailed(stage=stage, code=e.RUNNER_LOST, cause="lost", remedy="retry")


def killing(owner: str = "me") -> list[e.Event]:
    """A job whose training killed its runners."""
    planned = e.JobPlanned(graph=graph())
    return [request(owner), planned, scheduled(A, LORA), started(), lost(), ended()]


async def at_times(
    log: EventLog, job: str, told: Sequence[tuple[float, e.Event]], expected: int = 0
) -> int:
    """Events of a job as a machine told them whose clock stood so many seconds after `LATE`."""
    recorded = [
        Recorded(
            job=job,
            event=event,
            id=make_id(LATE, bytes([number + expected % 200]) * 2 + job.encode()[-8:]),
            source="/myspinbot/test",
            time=LATE + timedelta(seconds=seconds),
        )
        for number, (seconds, event) in enumerate(told)
    ]
    return await log.copy([store(one) for one in recorded], expected)


async def usage(projector: Running, last: int, owner: str = "me", **more: Any) -> list[UsageDay]:
    query = ListDailyUsage.model_validate(
        {"owner": owner, "since": DAY, "until": "9999-12-31", "min_position": last, **more}
    )
    answer = await projector.ask(query)
    assert isinstance(answer, DailyUsage)
    return list(answer.days)


async def audit(projector: Running, last: int, owner: str = "me", **more: Any) -> list[AuditEntry]:
    query = ListAudit.model_validate({"owner": owner, "min_position": last, **more})
    answer = await projector.ask(query)
    assert isinstance(answer, AuditPage)
    return list(answer.entries)


async def letters(
    projector: Running, last: int, owner: str = "me", **more: Any
) -> list[DeadLetter]:
    query = ListDeadLetters.model_validate({"owner": owner, "min_position": last, **more})
    answer = await projector.ask(query)
    assert isinstance(answer, DeadLetterPage)
    return list(answer.letters)


async def test_usage_is_counted_on_the_day_in_utc_on_which_it_ended(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    failed = lost().model_copy(update={"code": "out_of_memory", "retryable": True})
    told: list[tuple[float, e.Event]] = [
        (-20, request()),
        (-19, e.JobPlanned(graph=graph())),
        (-18, scheduled(A, LORA)),
        (-10, started()),
        (0, failed),
        (1, e.StageRetryScheduled(stage=LORA, failed_attempt=1, at=LATE)),
        (2, scheduled(A, LORA, 2)),
        (3, started(attempt=2, device="cpu")),
        # On the next day; it says itself how long it took.
        (60, completed(A, LORA, 2)),
        (61, completed(A, LORA, 2)),
        (62, scheduled(A, "train_voice")),
        (70, started("train_voice")),
        (74, e.JobCancelRequested(by="me")),
        (75, e.JobCancelled()),
        (90, e.JobRetryRequested(by="me")),
    ]
    sizes = sum(len(f"jobs/{A}/{LORA}/{name}") for name in ("lora", "report"))
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await at_times(log, A, told)
        first = UsageDay(
            day=DAY, owner="me", jobs=1, attempts=1, device_s={"cuda:0": 10.0}, made_bytes=0
        )
        second = UsageDay(
            day=DAY + timedelta(days=1),
            owner="me",
            jobs=0,
            attempts=2,
            device_s={"cpu": 1.25, "cuda:0": 5.0},
            made_bytes=sizes,
        )
        assert await usage(projector, last) == [first, second]
        assert await usage(projector, last, until=DAY) == [first]
        assert await usage(projector, last, since=second.day) == [second]
        assert await usage(projector, last, since="2026-02-02") == []
        # A job that is deleted has still used what it used.
        deleted = e.JobCancelRequested(by="me"), e.JobCancelled(), e.JobDeleted(by="me")
        last = await at_times(log, A, [(91, one) for one in deleted], last)
        assert await usage(projector, last) == [first, second]


async def test_a_run_that_was_cut_off_counts_until_its_last_word(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    checkpoint = e.StageCheckpointed(
        stage=LORA, attempt=1, step=5, fraction=0.5, artifact=artifact("jobs/a/checkpoint")
    )
    told: list[tuple[float, e.Event]] = [
        (0, request()),
        (0, e.JobPlanned(graph=graph())),
        (0, scheduled(A, LORA)),
        (0, started()),
        (4, checkpoint),
        # The runner dies here, and nobody takes the work over for a long time.
        (9000, started().model_copy(update={"delivery": 2, "device": "cuda:1"})),
        (9003, lost()),
    ]
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await at_times(log, A, told)
        days = await usage(projector, last)
        assert [day.device_s for day in days] == [{"cuda:0": 4.0}, {"cuda:1": 3.0}]
        assert [day.attempts for day in days] == [0, 1]


async def test_clocks_that_run_backwards_break_neither_usage_nor_order(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    told: list[tuple[float, e.Event]] = [
        (0, request()),
        (-500, e.JobPlanned(graph=graph())),
        (-3, scheduled(A, LORA)),
        (-10, started()),
        (-4000, completed(A, LORA)),
        (5, scheduled(A, "train_voice")),
        (6, started("train_voice")),
        (-90_000, e.JobCancelRequested(by="me")),
        (-90_001, e.JobCancelled()),
        (-200_000, e.JobRetryRequested(by="me")),
    ]
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await at_times(log, A, told)
        days = await usage(projector, last, since="2026-01-01")
        assert sum(sum(day.device_s.values()) for day in days) == 1.25
        assert sum(day.attempts for day in days) == 2
        done = [entry.action for entry in await audit(projector, last)]
        assert done == ["retried", "cancelled", "requested"]
        await assert_views_match_log(server.address("projector"), database_url)


async def test_what_was_reused_is_no_usage_and_nobodys_is_anothers(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, eventful_story(A))
        last = await tell(log, B, story(B, request("you")))
        [mine] = await usage(projector, last)
        # Of its stages one was done, one failed and then was done, and one was never begun.
        assert (mine.owner, mine.jobs, mine.attempts) == ("me", 1, 3)
        both = await usage(projector, last, everyone=True)
        assert [day.owner for day in both] == ["me", "you"]
        assert both[1].attempts == len(EVERYTHING)
        assert await usage(projector, last, owner="they") == []


async def test_the_audit_tells_who_did_what_newest_first_and_keeps_what_was_deleted(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    asked = request(profile="p-1").model_copy(
        update={"forked_from": e.Fork(job="earlier", stage=LORA)}
    )
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, [asked, consented("uploads/said", given_for=B), *killing()[1:]])
        await log.tell(A, e.DeadLetterDropped(stage=LORA, attempt=1, by="admin"))
        await log.tell(A, e.JobRetryRequested(by="me"))
        await log.tell(A, e.JobCancelRequested(by="admin"))
        await log.tell(A, e.JobCancelled())
        await log.tell(A, e.ProfileErased(by="me"))
        await log.tell(A, e.JobDeleted(by="me"))
        last = await tell(log, B, [request("you")])
        entries = await audit(projector, last)
        assert [(entry.action, entry.by) for entry in entries] == [
            ("deleted", "me"),
            ("erased", "me"),
            ("cancelled", "admin"),
            ("retried", "me"),
            ("letter_dropped", "admin"),
            ("consented", "me"),
            ("requested", "me"),
        ]
        assert {(entry.job, entry.owner) for entry in entries} == {(A, "me")}
        assert entries[4].details == {"stage": LORA, "attempt": 1}
        assert entries[5].details == {"covers": ["face"], "givenFor": B}
        assert entries[6].details == {
            "type": "train",
            "quality": "standard",
            "profile": "p-1",
            "forkedFrom": {"job": "earlier", "stage": LORA},
        }
        told = {recorded.id: recorded async for recorded in log.read_job(A)}
        for entry in entries:
            assert (entry.sequence, entry.time) == (
                told[entry.id].sequence,
                told[entry.id].time,
            )
        assert len(await audit(projector, last, everyone=True)) == 8
        assert [entry.job for entry in await audit(projector, last, owner="you")] == [B]
        by_admin = await audit(projector, last, by="admin")
        assert [entry.action for entry in by_admin] == ["cancelled", "letter_dropped"]
        assert len(await audit(projector, last, action="requested", everyone=True)) == 2
        assert await audit(projector, last, job=B) == []
        assert len(await audit(projector, last, job=B, everyone=True)) == 1


async def test_the_audit_is_shown_page_by_page(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        for number in range(5):
            last = await tell(log, job_id(number), [request()])
        seen, before = [], None
        while True:
            query = ListAudit(owner="me", limit=2, before=before, min_position=last)
            page = await projector.ask(query)
            assert isinstance(page, AuditPage)
            seen += [entry.job for entry in page.entries]
            if (before := page.next_before) is None:
                break
        assert seen == [job_id(number) for number in range(5)][::-1]


async def test_a_dead_letter_is_open_until_somebody_retries_or_drops_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        for job, owner in ((A, "me"), (B, "me"), (C, "you")):
            last = await tell(log, job, killing(owner))
        [newest, oldest] = await letters(projector, last)
        assert (newest.job, oldest.job) == (B, A)
        assert oldest == DeadLetter(
            sequence=5,
            job=A,
            owner="me",
            stage=LORA,
            attempt=1,
            kind=LORA,
            engine="mini",
            runner="runner-1",
            cause="every runner that took it was lost",
            remedy="look at the runners, then retry",
            failed_at=oldest.failed_at,
            status=LetterStatus.OPEN,
        )
        assert len(await letters(projector, last, everyone=True)) == 3
        last = await log.tell(A, e.JobRetryRequested(by="me"))
        last = await log.tell(B, e.DeadLetterDropped(stage=LORA, attempt=1, by="me"))
        assert await letters(projector, last, status="open") == []
        became = {one.job: one.status for one in await letters(projector, last)}
        assert became == {A: LetterStatus.RETRIED, B: LetterStatus.DROPPED}
        [retried] = await letters(projector, last, status="retried")
        assert retried.job == A
        # Settled once is settled; another attempt that dies is another letter.
        await log.tell(A, e.DeadLetterDropped(stage=LORA, attempt=1, by="me"))
        await log.tell(B, e.JobRetryRequested(by="me"))
        for event in (scheduled(A, LORA, 2), started(attempt=2), lost(attempt=2), ended()):
            last = await log.tell(A, event)
        became = {(one.job, one.attempt): one.status for one in await letters(projector, last)}
        assert became == {
            (A, 1): LetterStatus.RETRIED,
            (A, 2): LetterStatus.OPEN,
            (B, 1): LetterStatus.DROPPED,
        }
        page = await projector.ask(ListDeadLetters(owner="me", limit=2))
        assert isinstance(page, DeadLetterPage)
        rest = await letters(projector, last, before=page.next_before)
        assert [one.job for one in (*page.letters, *rest)] == [A, B, A]


async def test_what_is_no_dead_letter_is_not_listed(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    """Other failures, letters of attempts that nobody waits for any more, and deleted jobs."""
    async with running(server, database_url) as projector:
        await projector.ready()
        other = lost().model_copy(update={"code": "out_of_memory"})
        await tell(log, A, [*killing()[:4], other, ended()])
        await tell(
            log, B, [*killing()[:4], e.JobCancelRequested(by="me"), e.JobCancelled(), lost()]
        )
        last = await tell(log, C, killing())
        last = await log.tell(C, e.DeadLetterDropped(stage=LORA, attempt=2, by="me"))
        last = await log.tell(C, e.DeadLetterDropped(stage="none", attempt=1, by="me"))
        assert [one.job for one in await letters(projector, last)] == [C]
        last = await log.tell(C, e.JobDeleted(by="me"))
        assert await letters(projector, last, everyone=True) == []


async def test_oversight_is_the_same_after_a_rebuild(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()
        await tell(log, A, killing())
        await log.tell(A, e.JobRetryRequested(by="me"))
        await tell(log, B, eventful_story(B))
        await assert_views_match_log(server.address("projector"), database_url)
        before = await rows_in(database_url)
        for name in ("usage", "audit", "deadletters"):
            status, lines = await ran(
                server, database_url, "projector.rebuild", "--projection", name
            )
            assert (status, lines[-1]["written"], lines[-1]["removed"]) == (0, 0, 0)
        assert await rows_in(database_url) == before
