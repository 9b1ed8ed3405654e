"""The commands that read the job log, on a real broker with recorded histories."""

import asyncio
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_support import Command, Done
from contracts.base import make_id
from contracts.envelope import Stored, store
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.server_config import make_seed
from eventlog.topology import ensure
from myspinbot.errors import MISUSED, NOT_ALLOWED, NOT_FOUND, UNREACHABLE

from contracts import events as e
from contracts import subjects
from tests.support.broker import NatsServer, nats_server
from tests.support.histories import HISTORIES, history_files, load

KILLED = load(HISTORIES / "generate-stage-killed.jsonl")
JOB = KILLED[0].job


async def fill(server: NatsServer) -> int:
    """Copy every recorded history, with a chain, into the log; returns where JOB's begins."""
    admin = await connect(server.address("admin"))
    await ensure(admin)
    log, begin = EventLog(admin, "test"), 0
    for path in history_files():
        chain, stored = "", []
        for each in load(path):
            chain = store(each).linked(chain)
            stored.append(store(each._replace(chain=chain)))
        last = await log.copy(stored, 0)
        if stored[0].job == JOB:
            begin = last - len(stored) + 1
    await admin.close()
    return begin


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture(scope="module")
def begin(server: NatsServer) -> int:
    return asyncio.run(fill(server))


@pytest.fixture
def events(server: NatsServer, begin: int, command: Command) -> Command:
    """`myspinbot events …` on the broker with the histories."""
    del begin
    address = server.address("observer")

    def run(*words: str) -> Done:
        return command("events", *words, "--nats", address.url, "--seed", str(address.seed_file))

    return run


def read(done: Done) -> Any:
    assert done.status == 0, done.err
    return json.loads(done.out)


def tailed(done: Done) -> list[dict[str, Any]]:
    assert done.status == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_a_story_tells_who_what_why_and_how_long(events: Command) -> None:
    told = events("show", JOB[:12])
    assert told.status == 0, told.err
    lines = told.out.splitlines()
    assert lines[0] == f"Job {JOB}"
    assert any("+174 ms" in line and "vm" in line and "StageStarted" in line for line in lines)
    assert "    ┆ 2.0 s: train_lora pausing before another attempt" in lines
    assert any(line.strip().startswith("↳ stage-killed may pass; a pause of") for line in lines)
    assert any(line.startswith("train_lora") and "▒" in line and "█" in line for line in lines)
    assert any(line.startswith("Completed after 1 min 29 s: ") for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_story_as_json_has_the_same(events: Command) -> None:
    told = read(events("show", JOB, "--json"))
    assert told["jobId"] == JOB
    assert told["summary"]["failedAttempts"] == 1
    started = told["events"][3]
    assert started["who"] == {"role": "runner", "name": "vm"}
    assert started["meanwhile"]["doing"] == "waiting-for-a-runner"
    assert started["sinceS"] == pytest.approx(0.174, abs=0.001)
    assert [stage["id"] for stage in told["stages"]][:2] == ["prepare_dataset", "train_lora"]
    assert len(told["stages"][1]["attempts"]) == 2


def test_last_is_the_job_that_was_asked_for_last(events: Command) -> None:
    newest = load(history_files()[-1])[0].job
    assert read(events("show", "--json"))["jobId"] == newest
    assert read(events("graph", "last", "--json"))["jobId"] == newest


def test_a_job_is_seen_as_it_was(events: Command, begin: int) -> None:
    assert "train_lora\twaiting\t33%" in events("at", JOB, "#18").out
    assert "train_lora\twaiting\t33%" in events("at", JOB, str(begin + 17)).out
    time = KILLED[17].time.isoformat()
    state = read(events("at", JOB, time, "--json"))
    assert state == read(events("at", JOB, "#18", "--json"))
    assert state["stages"]["train_lora"]["status"] == "waiting"
    assert state["sequence"] == begin + 17


def test_a_job_as_it_was_looks_as_it_does_now(events: Command) -> None:
    shown = events("at", JOB, "#31")
    assert shown.out.startswith("After #31 of 31, position ")
    for line in ("status:    completed, 100% done", "inputs:    6 photos, clip, script"):
        assert line in shown.out


def test_what_changed_is_a_tree_and_a_patch(events: Command) -> None:
    tree = events("diff", JOB, "#17", "#20").out.splitlines()
    assert "→     status: failing → running" in tree
    assert "+       [1]" in tree
    patch = read(events("diff", JOB, "#17", "#18", "--json"))
    assert {"op": "replace", "path": "/stages/train_lora/status", "value": "waiting"} in patch
    assert events("diff", JOB, "#31", "#17").out.count("→ status: completed → running") == 1
    assert events("diff", JOB, "#5").out.count("→ status: running → completed") == 1
    same = events("diff", JOB, "#5", "#5")
    assert "The job was the same at both." in same.err
    assert read(events("diff", JOB, "#5", "#5", "--json")) == []


def test_a_graph_is_drawn_as_it_stood(events: Command) -> None:
    drawn = events("graph", JOB, "--at", "#20").out
    assert drawn.startswith("flowchart LR\n")
    assert 'st_train_lora["train_lora<br/>running, attempt 2, 33%"]:::running' in drawn
    unplanned = events("graph", JOB, "--at", "#1")
    assert unplanned.status == NOT_FOUND
    assert "had no graph then" in unplanned.err


def test_the_log_is_counted(events: Command) -> None:
    whole = sum(len(load(path)) for path in history_files())
    told = read(events("stats", "--json"))
    assert told["stream"]["lastSequence"] >= told["events"] >= whole
    assert told["jobs"] >= len(history_files())
    assert "StageCompleted\t" in events("stats").out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("show", "nobody"), NOT_FOUND, "The log has no job nobody."),
        (("show", "*"), NOT_FOUND, "The log has no job *."),
        (("show", "a.>"), NOT_FOUND, "The log has no job a.>."),
        (("show", "0" * 26), NOT_FOUND, "The log has no job 000"),
        (("show", "01m8"), MISUSED, "jobs begin with 01m8"),
        (("at", JOB, "#99"), NOT_FOUND, "It has #1 to #31."),
        (("at", JOB, "2020-01-01"), NOT_FOUND, "was not yet asked for"),
        (("at", JOB, "never"), MISUSED, "'#3' (in quotes)"),
        (("diff", JOB, "#1", "#99"), NOT_FOUND, "It has #1 to #31."),
        (("tail", "--type", "Stag"), MISUSED, "It is one of "),
        (("tail", "--since", "soon"), MISUSED, "'soon' is no time."),
        (("tail", "a", "--job", "b"), MISUSED, "Two jobs are named."),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(
    events: Command, words: tuple[str, ...], status: int, said: str
) -> None:
    refused = events(*words)
    assert (refused.status, refused.out) == (status, "")
    assert said in refused.err


def test_a_tail_is_of_a_job_of_types_and_of_positions(events: Command, begin: int) -> None:
    whole = tailed(events("tail", JOB, "--no-follow", "--json"))
    assert [each["type"] for each in whole] == [f"myspinbot.{each.type}" for each in KILLED]
    assert all("chain" in each for each in whole)
    words = ("--type", "StageFailed", "--type", "stageretryscheduled", "--job", JOB)
    some = tailed(events("tail", *words, "--no-follow", "--json"))
    assert [int(each["sequence"]) - begin + 1 for each in some] == [17, 18]
    bounds = ("--since", str(begin + 3), "--until", str(begin + 6))
    # An end in the past ends it even when it would follow.
    part = tailed(events("tail", *bounds, "--json"))
    assert [int(each["sequence"]) for each in part] == [begin + 4, begin + 5, begin + 6]
    assert tailed(events("tail", JOB, "--since", "100000", "--no-follow", "--json")) == []
    assert tailed(events("tail", JOB, "--until", "1", "--json")) == []


def test_a_tail_between_times_is_by_when_events_were_told(events: Command) -> None:
    first, last = KILLED[9], KILLED[16]
    words = ("--since", first.time.isoformat(), "--until", last.time.isoformat())
    found = tailed(events("tail", *words, "--json"))
    assert [each["id"] for each in found] == [each.id for each in KILLED[9:17]]
    assert tailed(events("tail", "--since", "2100-01-01", "--no-follow", "--json")) == []


def test_lines_of_a_tail_are_for_scripts_unless_somebody_watches(events: Command) -> None:
    [line] = events("tail", JOB, "--type", "JobCompleted", "--no-follow").out.splitlines()
    assert line.split()[3:] == [JOB, "JobCompleted"]
    assert line.split()[1:3] == str(KILLED[-1].time.astimezone().replace(tzinfo=None))[:-3].split()


@pytest.fixture(scope="module")
def owners(server: NatsServer, begin: int) -> dict[str, str]:
    """A job each of two owners."""
    del begin
    now = datetime.now(UTC)
    jobs = {name: make_id(now, os.urandom(10)) for name in ("ada", "bo")}

    async def tell(log: EventLog) -> None:
        for owner, job in jobs.items():
            await log.tell(job, e.JobRequested(type=e.JobType.TRAIN, owner=owner))
        for owner, job in jobs.items():
            await log.tell(job, e.JobCancelRequested(by=owner))

    said(server, tell)
    return jobs


def said(server: NatsServer, tell: Any) -> None:
    async def telling() -> None:
        admin = await connect(server.address("admin"))
        await tell(EventLog(admin, "gateway"))
        await admin.close()

    asyncio.run(telling())


def test_a_tail_is_of_an_owner_also_where_the_request_is_not_read(
    events: Command, owners: dict[str, str]
) -> None:
    found = tailed(events("tail", "--owner", "ada", "--no-follow", "--json"))
    assert [each["subject"] for each in found] == [owners["ada"]] * 2
    words = ("--owner", "bo", "--type", "JobCancelRequested", "--no-follow", "--json")
    [cancelled] = tailed(events("tail", *words))
    assert cancelled["subject"] == owners["bo"]


def test_a_tail_goes_on_as_the_log_grows(server: NatsServer, owners: dict[str, str]) -> None:
    address = server.address("observer")
    words = ["events", "tail", owners["ada"], "--json", "--type", "JobCancelRequested"]
    here = ["--nats", address.url, "--seed", str(address.seed_file)]
    process = subprocess.Popen(
        [sys.executable, "-m", "myspinbot.main", *words, *here],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["data"] == {"version": 1, "by": "ada"}
        said(server, lambda log: log.tell(owners["bo"], e.JobCancelRequested(by="bo")))
        said(server, lambda log: log.tell(owners["ada"], e.JobCancelRequested(by="again")))
        ready, _, _ = select.select([process.stdout], [], [], 20)
        assert ready
        assert json.loads(process.stdout.readline())["data"]["by"] == "again"
    finally:
        process.terminate()
        assert process.wait(20) == 128 + 15
        process.stdout.close()


def test_a_tail_that_ends_in_the_future_ends_then(events: Command, owners: dict[str, str]) -> None:
    until = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    found = tailed(events("tail", owners["bo"], "--until", until, "--json"))
    assert len(found) >= 2


def test_events_of_a_newer_version_are_shown_with_a_question_mark(
    server: NatsServer, events: Command
) -> None:
    job = make_id(datetime.now(UTC), os.urandom(10))

    async def tell(broker: Broker) -> None:
        log = EventLog(broker, "gateway")
        first = await log.tell(job, e.JobRequested(type=e.JobType.TRAIN, owner="ada"))
        # A program of today refuses to write what it cannot read: a newer one would.
        headers = {
            **store(log.record(job, e.JobCompleted())).headers,
            "ce-type": "myspinbot.JobPraised",
            "ce-dataschema": "schemas/events/JobPraised.v3.json",
            "Nats-Expected-Last-Subject-Sequence": str(first),
            "Nats-Expected-Last-Subject-Sequence-Subject": subjects.job_events(job),
        }
        newer = Stored(headers, b'{"version": 3}')
        await broker.publish(subjects.event(job, "JobPraised"), newer.body, dict(newer.headers))

    async def telling() -> None:
        admin = await connect(server.address("admin"))
        await tell(admin)
        await admin.close()

    asyncio.run(telling())
    told = "JobPraised version 3: this MySpinBot knows no such event; a newer one is needed"
    shown = events("show", job)
    assert shown.status == 0
    assert "JobPraised ?" in shown.out
    assert "1 of them this MySpinBot does not understand" in shown.out
    assert f"Without #2: {told}" in events("at", job, "#2").err
    assert told in events("tail", job, "--no-follow").out
    assert read(events("stats", "--json"))["unknown"] == {"JobPraised version 3": 1}


def test_who_cannot_read_the_log_is_told_why(
    server: NatsServer, command: Command, tmp_path: Path
) -> None:
    address = server.address("observer")
    stranger, rubbish = tmp_path / "stranger.nk", tmp_path / "rubbish.nk"
    stranger.write_bytes(make_seed())
    rubbish.write_text("not a seed")
    tail = ("events", "show", "--nats", address.url)
    unknown = command(*tail, "--seed", str(stranger))
    assert unknown.status == NOT_ALLOWED
    assert "myspinbot nats creds --read-only" in unknown.err
    assert "holds no nkey seed" in command(*tail, "--seed", str(rubbish)).err
    assert "cannot be read" in command(*tail, "--seed", str(tmp_path / "none")).err
    away = command("events", "show", "--nats", "nats://127.0.0.1:9")
    assert away.status == UNREACHABLE
    assert "No broker answers at nats://127.0.0.1:9." in away.err


def test_a_log_without_jobs_has_no_last_one(command: Command, tmp_path: Path) -> None:
    with nats_server(tmp_path / "empty") as empty:

        async def make() -> None:
            admin = await connect(empty.address("admin"))
            await ensure(admin)
            await admin.close()

        asyncio.run(make())
        address = empty.address("observer")
        here = ("--nats", address.url, "--seed", str(address.seed_file))
        none = command("events", "show", *here)
        assert none.status == NOT_FOUND
        assert "There are no jobs in the log." in none.err
        assert read(command("events", "stats", "--json", *here))["events"] == 0
        assert command("events", "stats", *here).status == 0
        assert command("events", "tail", "--no-follow", *here).out == ""


def test_a_shell_completes_the_types_of_events() -> None:
    from myspinbot.commands.completion import complete_event_types

    assert [word for word, _ in complete_event_types("stages")] == [
        "StageSampled",
        "StageScheduled",
        "StageSkipped",
        "StageStarted",
    ]
