"""`myspinbot replay` on a real broker with recorded histories and a real projector's views."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_support import Command, Done
from contracts.envelope import Recorded, Stored, store
from eventlog.broker import connect
from eventlog.log import EventLog
from eventlog.topology import ensure
from myspinbot.errors import FAILED, MISUSED, NOT_FOUND, UNREACHABLE, CommandError
from myspinbot.replaying.decisions import difference_lines
from myspinbot.replaying.folding import Folding
from myspinbot.replaying.playing import pace, paused, seconds

from contracts import events as e
from contracts import subjects
from tests.support.broker import NatsServer, nats_server
from tests.support.histories import HISTORIES, all_histories, load
from tests.support.ports import free_ports
from tests.support.service import Program

MANY = 40
RETRIED = load(HISTORIES / "retried-from-checkpoint.jsonl")
FORKED = load(HISTORIES / "pipeline-forked.jsonl")


def as_stored(history: list[Recorded]) -> list[Stored]:
    return [store(recorded) for recorded in history]


# Folding.


def numbered(*histories: list[Recorded]) -> list[Stored]:
    """Several jobs as one log."""
    events = [item for history in histories for item in as_stored(history)]
    return [replace(item, sequence=number) for number, item in enumerate(events, 1)]


def folded(log: list[Stored], since: int = 0) -> Folding:
    folding = Folding(since)
    for place, stored in enumerate(log):
        lacks = folding.lacks(stored)
        earlier = [item for item in log[:place] if item.job == stored.job]
        folding.take(stored, earlier if lacks else None)
    return folding


def test_every_recorded_history_comes_out_as_it_ended() -> None:
    log = numbered(*all_histories().values())
    folding = folded(log)
    told = folding.document(2.0)
    assert told["events"] == len(log)
    assert told["eventsPerS"] == round(len(log) / 2)
    assert sum(told["byStatus"].values()) == len(all_histories())
    assert told["byStatus"]["deleted"] == 3
    assert told["byStatus"]["cancelled"] == 1
    assert folding.jobs()[RETRIED[0].job] == "completed"
    beside = "a dropped dead letter and the wish that a person be gone move no job"
    assert (told["withoutEffect"], told["unread"]) == (2, 0), beside


def test_only_the_range_is_counted_and_all_before_it_folded() -> None:
    log = numbered(RETRIED, FORKED)
    folding = folded(log, since=len(RETRIED) + 2)
    assert folding.events == len(FORKED) - 2
    assert folding.jobs() == {FORKED[0].job: "completed"}


def test_an_event_that_comes_twice_or_too_late_changes_nothing() -> None:
    log = as_stored(FORKED)
    log.insert(6, log[5])
    log.append(log[5])
    folding = folded(log)
    assert folding.document(1)["withoutEffect"] == 2
    assert folding.jobs() == {FORKED[0].job: "completed"}


def test_what_cannot_be_understood_is_named_and_the_rest_goes_on() -> None:
    log = numbered(RETRIED, FORKED)
    bad = replace(log[3], body=log[3].body.replace(b'"version":1', b'"version":7'))
    folding = folded([*log[:3], bad, *log[4:]])
    told = folding.document(1)
    assert told["unread"] == 1
    [unread] = told["unreadable"]
    assert (unread["sequence"], unread["jobId"]) == (4, RETRIED[0].job)
    assert "up to version 1" in unread["problem"]
    assert folding.jobs()[FORKED[0].job] == "completed"


def test_a_job_that_nobody_asked_for_is_unknown() -> None:
    assert folded(as_stored(FORKED[1:])).jobs() == {FORKED[0].job: "unknown"}


# Playing back.


@pytest.mark.parametrize(
    ("given", "meant"), [("10x", 10.0), (" 0.5X", 0.5), ("3", 3.0), ("1000x", 1000.0)]
)
def test_a_speed_is_read(given: str, meant: float) -> None:
    assert pace(given) == meant


@pytest.mark.parametrize("given", ["", "x", "fast", "0", "-1x", "1001x", "nan", "inf"])
def test_what_is_no_speed_is_refused(given: str) -> None:
    with pytest.raises(CommandError, match="no speed"):
        pace(given)


@pytest.mark.parametrize("given", ["", "-1s", "61s", "nan", "long"])
def test_what_is_no_pause_is_refused(given: str) -> None:
    with pytest.raises(CommandError, match="no pause"):
        seconds(given)


def test_pauses_are_shortened_by_the_speed_and_never_longer_than_wanted() -> None:
    began = datetime(2026, 5, 3, tzinfo=UTC)
    times = [0, 20, 10, 30, 3600]
    events = [
        store(recorded._replace(time=began + timedelta(seconds=at)))
        for recorded, at in zip(FORKED, times, strict=False)
    ]
    assert [pause for pause, _ in paused(events, 10.0, 5.0)] == [0.0, 2.0, 0.0, 1.0, 5.0]


# Differences of decisions.


def test_a_difference_shows_what_changed_and_leaves_out_what_did_not() -> None:
    planned = {"type": "JobPlanned", "version": 1}
    then = {"type": "StageScheduled", "version": 1, "stage": "a", "attempt": 1, "seed": 3}
    now = {**then, "seed": 4, "deadline": "2026-05-03T12:00:00Z"}
    gone = {"type": "StageSkipped", "stage": "b", "becauseOf": "a"}
    lines = [
        str(line)
        for line in difference_lines(
            {
                "job": "job",
                "sequence": 7,
                "time": "2026-05-03T11:00:00Z",
                "recorded": [planned, then, gone],
                "today": [planned, now],
            }
        )
    ]
    assert lines == [
        "Job job, after event 7, at 2026-05-03T11:00:00Z",
        "    JobPlanned",
        "  ~ StageScheduled a",
        "      seed: 3 → 4",
        '      deadline: absent → "2026-05-03T12:00:00Z"',
        "  - StageSkipped b, becauseOf a",
    ]


# The commands.


@dataclass
class World:
    """A broker with recorded histories, and a projector that has read them."""

    server: NatsServer
    projector: Program
    views: Path

    def options(self, role: str) -> list[str]:
        address = self.server.address(role)
        return ["--nats", address.url, "--seed", str(address.seed_file)]

    @property
    def database(self) -> list[str]:
        return ["--database-url", f"sqlite+aiosqlite:///{self.views}"]


async def fill(server: NatsServer) -> None:
    admin = await connect(server.address("admin"))
    await ensure(admin)
    log = EventLog(admin, "gateway")
    for history in all_histories().values():
        await log.copy([replace(item, sequence=0) for item in as_stored(history)], 0)
    for number in range(MANY):
        await log.tell(f"idle-{number}", e.JobRequested(type=e.JobType.TRAIN, owner="me"))
    await admin.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("replay")
    (port,) = free_ports(1)
    with nats_server(folder / "nats") as server:
        asyncio.run(fill(server))
        views = folder / "views.db"
        settings = {
            "MYSPINBOT_NATS_URL": server.address("projector").url,
            "MYSPINBOT_NATS_SEED": str(server.seeds["projector"]),
            "MYSPINBOT_DATABASE_URL": f"sqlite+aiosqlite:///{views}",
            "MYSPINBOT_ADMIN_PORT": str(port),
        }
        ready = f"http://127.0.0.1:{port}/ready"
        projector = Program("projector.main", settings, ready, folder / "projector.log")
        projector.start()
        try:
            yield World(server, projector, views)
        finally:
            projector.kill()


@pytest.fixture
def replay(world: World, command: Command) -> Command:
    """`myspinbot replay …` as somebody who may read the log."""

    def run(*words: str) -> Done:
        return command("replay", *words, *world.options("observer"))

    return run


@pytest.fixture
def views(world: World, command: Command) -> Command:
    """`myspinbot replay …` as who sees to the views."""

    def run(*words: str) -> Done:
        return command("replay", *words, *world.options("projector"), *world.database)

    return run


def changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, timeout=30)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def table_of(path: Path, name: str) -> str:
    with closing(sqlite3.connect(path, timeout=30)) as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return next(row[0] for row in rows if row[0].startswith(f"{name}_v"))


def test_the_log_is_folded_and_counted(replay: Command) -> None:
    done = replay("--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    count = sum(map(len, all_histories().values())) + MANY
    assert (told["events"], told["jobs"]) == (count, len(all_histories()) + MANY)
    assert told["byStatus"]["queued"] == MANY
    assert told["byType"]["JobRequested"] == told["jobs"]
    words = replay()
    assert f"{count} events of {told['jobs']} jobs folded in" in words.out
    assert f"{MANY} queued" in words.out


def test_a_range_of_the_log_is_counted(replay: Command) -> None:
    told = json.loads(replay("--since", "10", "--until", "15", "--json").out)
    assert told["events"] == 5
    assert json.loads(replay("--until", "1h", "--json").out)["events"] == 0
    everything = json.loads(replay("--since", "1h", "--json").out)
    assert everything["jobs"] == len(all_histories()) + MANY
    assert json.loads(replay("--since", "1000000", "--json").out)["events"] == 0


def test_some_jobs_are_folded_alone(replay: Command) -> None:
    job = RETRIED[0].job
    told = json.loads(replay(job, "idle-3", "--json").out)
    assert told["jobsById"] == {job: "completed", "idle-3": "queued"}
    assert f"{job}\tcompleted" in replay(job).out


def test_the_views_are_found_to_be_what_the_log_says(views: Command) -> None:
    done = views("--check")
    assert done.status == 0, done.err
    assert "no difference" in done.out
    told = json.loads(views("--check", "--projection", "jobs", "--json").out)
    assert [view["projection"] for view in told["projections"]] == ["jobs"]
    assert told["rows"] >= MANY
    assert told["differences"] == []


def test_what_is_wrong_in_a_view_is_shown_and_put_right(views: Command, world: World) -> None:
    stages = table_of(world.views, "stages")
    where = f"job = '{RETRIED[0].job}'"
    changed(world.views, f"UPDATE {stages} SET status = 'queued' WHERE {where}")  # noqa: S608
    done = views("--check")
    assert done.status == FAILED
    [line, total] = done.out.splitlines()
    assert line.split("\t") == [stages, f"{RETRIED[0].job} count", "status", "queued", "completed"]
    assert "1 difference" in total
    assert "myspinbot replay --projection stages" in done.err
    told = json.loads(views("--check", "--json").out)
    assert [each["column"] for each in told["differences"]] == ["status"]
    mended = views("--projection", "stages")
    assert mended.status == 0, mended.err
    assert "1 row written and 0 removed" in mended.out
    assert views("--check").status == 0


def test_the_rows_of_one_job_are_put_right(views: Command, world: World) -> None:
    jobs = table_of(world.views, "jobs")
    changed(world.views, f"DELETE FROM {jobs} WHERE job = 'idle-5'")  # noqa: S608
    assert views("--check").status == FAILED
    done = views("--projection", "jobs", "--job", "idle-5", "--json")
    assert done.status == 0, done.err
    [told] = json.loads(done.out)["projections"]
    assert (told["projection"], told["written"], told["removed"]) == ("jobs", 1, 0)
    assert views("--check").status == 0


def test_a_second_rebuild_at_once_is_refused(views: Command, world: World) -> None:
    held = (
        "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    path = world.views.with_name(f"{world.views.name}.jobs.rebuilding")
    with subprocess.Popen(
        [sys.executable, "-c", held, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        done = views("--projection", "jobs")
        other.terminate()
    assert done.status == FAILED
    assert "jobs" in done.err
    assert len(done.err.strip().splitlines()) == 2


def test_a_view_that_does_not_exist_is_refused_with_those_that_do(views: Command) -> None:
    for words in (["--projection", "nope"], ["--check", "--projection", "nope"]):
        done = views(*words)
        assert done.status == MISUSED
        assert "'nope'" in done.err
        assert "jobs, objects, profiles" in done.err


def test_every_recorded_decision_of_the_log_is_made_again(replay: Command) -> None:
    done = replay("--planner", "--json")
    told = json.loads(done.out)
    # Nobody has ever decided about the idle ones.
    idle = {each["job"] for each in told["differences"]}
    assert all(job.startswith("idle-") for job in idle)
    assert told["decisions"] - len(idle) >= 54
    job = FORKED[0].job
    words = replay("--planner", job)
    assert words.status == 0, words.err
    assert words.out.strip().endswith("of 1 job: all the same today.")


def test_a_decision_that_would_be_another_today_is_shown(command: Command, tmp_path: Path) -> None:
    lines = (HISTORIES / "pipeline.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    last["type"] = "myspinbot.JobCancelled"
    path = tmp_path / "edited.jsonl"
    path.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    done = command("replay", "--planner", "--file", str(path))
    assert done.status == FAILED
    assert "  - JobCancelled" in done.out.splitlines()
    assert "  + JobCompleted" in done.out.splitlines()
    assert "1 would be made otherwise today" in done.out


def test_a_history_of_a_newer_version_is_told_to_be_unread(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "newer.jsonl"
    text = (HISTORIES / "pipeline.jsonl").read_text()
    path.write_text(text.replace("JobPlanned", "JobDreamed"))
    done = command("replay", "--planner", "--file", str(path))
    assert done.status == FAILED
    assert "'JobDreamed'" in done.out
    assert "1 job could not be read" in done.out


def test_a_job_is_played_back_with_all_its_events(replay: Command) -> None:
    done = replay("--speed", "1000x", FORKED[0].job, "--longest", "0s")
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == len(FORKED)
    lines = replay("--speed", "1000x", FORKED[0].job, "--longest", "0s", "--json").out.splitlines()
    first, *events = map(json.loads, lines)
    assert first == {"jobId": FORKED[0].job, "speed": 1000, "longestS": 0, "page": None}
    assert [event["id"] for event in events] == [recorded.id for recorded in FORKED]


@pytest.mark.parametrize(
    "words",
    [
        ["--check", "--planner"],
        ["--check", "job"],
        ["--fresh"],
        ["--open"],
        ["--planner", "--longest", "5s"],
        ["--file", "some.jsonl"],
        ["--check", "--since", "1h"],
        ["--since", "yesterday-ish"],
        ["--speed", "fast"],
        ["--speed", "10x", "one", "two"],
        ["job", "--since", "5"],
        ["--check"],
    ],
)
def test_options_that_do_not_go_together_are_refused(replay: Command, words: list[str]) -> None:
    done = replay(*words)
    assert done.status == MISUSED, done.out
    assert len(done.err.strip().splitlines()) == 2


@pytest.mark.parametrize(
    "words", [["nosuch"], ["--planner", "nosuch"], ["--speed", "10x", "nosuch"], ["no.such"]]
)
def test_a_job_that_is_not_in_the_log_is_named(replay: Command, words: list[str]) -> None:
    done = replay(*words)
    assert done.status == NOT_FOUND
    assert words[-1] in done.err


@pytest.mark.parametrize("words", [[], ["--check"], ["--planner"], ["--speed", "10x", "last"]])
def test_without_a_running_system_it_says_how_to_start_one(
    command: Command, words: list[str], tmp_path: Path
) -> None:
    done = command("replay", *words, "--home", str(tmp_path))
    assert done.status == UNREACHABLE
    assert "myspinbot up" in done.err


async def write_unknown(server: NatsServer) -> None:
    admin = await connect(server.address("admin"))
    await ensure(admin)
    log = EventLog(admin, "gateway")
    await log.tell("job", e.JobRequested(type=e.JobType.TRAIN, owner="me"))
    headers = {"ce-id": "x", "ce-source": "/y", "ce-type": "myspinbot.JobDreamed"}
    headers |= {"ce-subject": "job", "ce-time": "2026-11-22T12:00:00+00:00"}
    await admin.publish(subjects.event("job", "JobDreamed"), b'{"version":1}', headers)
    await admin.close()


def test_a_log_with_an_unknown_event_is_folded_and_the_event_named(
    command: Command, tmp_path: Path
) -> None:
    with nats_server(tmp_path / "nats") as server:
        asyncio.run(write_unknown(server))
        address = server.address("observer")
        done = command("replay", "--nats", address.url, "--seed", str(address.seed_file))
    assert done.status == FAILED
    assert "event 2, job job: JobDreamed" in done.out
    assert "install the version that wrote them" in done.out


def test_ctrl_c_ends_a_rebuild_and_it_can_be_done_again(views: Command, world: World) -> None:
    words = ["--projection", "timeline", *world.options("projector"), *world.database]
    with subprocess.Popen(
        [sys.executable, "-m", "myspinbot.main", "replay", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as rebuilding:
        child = child_of(rebuilding.pid)
        rebuilding.send_signal(signal.SIGINT)
        status = rebuilding.wait(60)
        out, _ = rebuilding.communicate()
    # It may have been done before it heard.
    assert status == 130 or "timeline" in out
    assert not Path(f"/proc/{child}").exists()
    assert views("--projection", "timeline").status == 0
    assert views("--check").status == 0


def child_of(pid: int) -> int:
    """The program that a command runs, once it does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
    raise AssertionError("the command has started no program")
