"""`python -m planner.replay`: what it tells of files and of a log, and how it ends."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contracts.envelope import to_structured
from eventlog.broker import connect
from eventlog.log import EventLog
from eventlog.topology import ensure
from given import train

from tests.support.broker import NatsServer, nats_server
from tests.support.histories import HISTORIES, all_histories, history_files

Lines = list[dict[str, Any]]


def told(*arguments: str, **settings: str) -> tuple[int, Lines]:
    command = [sys.executable, "-m", "planner.replay", "--progress", "json", *arguments]
    environment = {**os.environ, **settings}
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, timeout=120
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return ran.returncode, [line for line in lines if "end" not in line]


def of_files(*paths: Path) -> tuple[int, Lines]:
    return told(*(word for path in paths for word in ("--file", str(path))))


def test_every_recorded_history_is_decided_the_same_today() -> None:
    status, lines = of_files(*history_files())
    assert status == 0, lines
    [done] = lines
    assert done["jobs"] == len(history_files())
    assert done["decisions"] > 50
    assert (done["differences"], done["unread"]) == (0, 0)


def edited(name: str, folder: Path, edit: Callable[[Lines], None]) -> Path:
    lines = [json.loads(line) for line in (HISTORIES / f"{name}.jsonl").read_text().splitlines()]
    edit(lines)
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def other_stage(lines: Lines) -> None:
    [failed] = [line for line in lines if line["type"] == "myspinbot.StageSkipped"]
    failed["data"]["becauseOf"] = "rescue"


def test_what_would_be_decided_otherwise_is_told_with_its_place(tmp_path: Path) -> None:
    status, lines = of_files(edited("pipeline-on-failure", tmp_path, other_stage))
    assert status == 1
    *differences, done = lines
    assert done["differences"] == len(differences) == 1
    found = differences[0]["difference"]
    history = next(h for h in all_histories().values() if h[0].job == found["job"])
    assert found["sequence"] in [recorded.sequence for recorded in history]
    skipped = {event["type"]: event.get("becauseOf") for event in found["recorded"]}
    assert skipped["StageSkipped"] == "rescue"
    today = {event["type"]: event.get("becauseOf") for event in found["today"]}
    assert today["StageSkipped"] == "first"


def newer(lines: Lines) -> None:
    lines[-1]["data"]["version"] = 9


def unknown(lines: Lines) -> None:
    lines[1]["type"] = "myspinbot.JobTeleported"


@pytest.mark.parametrize(("edit", "cause"), [(newer, "of version 9"), (unknown, "'JobTeleported'")])
def test_a_job_with_an_event_of_a_newer_version_is_told_to_be_unread(
    edit: Callable[[Lines], None], cause: str, tmp_path: Path
) -> None:
    status, lines = of_files(edited("pipeline", tmp_path, edit))
    assert status == 1
    unread, done = lines
    assert cause in unread["unread"]["cause"]
    assert "a newer" in unread["unread"]["cause"]
    assert (done["jobs"], done["unread"], done["differences"]) == (1, 1, 0)


def test_a_job_needs_the_histories_of_those_that_it_took_something_from() -> None:
    status, lines = of_files(HISTORIES / "pipeline-forked.jsonl")
    assert status == 1
    assert "whose history is needed as well" in lines[0]["unread"]["cause"]
    status, _ = of_files(HISTORIES / "pipeline-forked.jsonl", HISTORIES / "pipeline.jsonl")
    assert status == 0


@pytest.mark.parametrize("content", [b'{"subject": "job", "ty', b"\xff\n", b"[]\n", b"{}\n", b"\n"])
def test_a_file_that_holds_no_events_is_refused_with_the_place(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(content)
    status, [line] = of_files(path)
    assert status == 1
    assert "cut.jsonl" in line["error"]
    assert line["remedy"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    status, [line] = of_files(tmp_path / "none.jsonl")
    assert (status, "cannot be read" in line["error"]) == (1, True)


def test_words_of_an_export_are_no_events(tmp_path: Path) -> None:
    path = tmp_path / "exported.jsonl"
    closing = {"specversion": "1.0", "type": "myspinbot.LogExported", "data": {}}
    path.write_text((HISTORIES / "pipeline.jsonl").read_text() + json.dumps(closing) + "\n")
    assert of_files(path)[0] == 0


def settings_of(server: NatsServer, role: str) -> dict[str, str]:
    address = server.address(role)
    return {"MYSPINBOT_NATS_URL": address.url, "MYSPINBOT_NATS_SEED": str(address.seed_file)}


async def recorded(server: NatsServer) -> None:
    """A log with recorded histories, and one job that nobody has decided about yet."""
    broker = await connect(server.address("admin"))
    await ensure(broker)
    log = EventLog(broker, "gateway")
    for name in ("pipeline", "pipeline-forked"):
        [history] = [h for h in all_histories().values() if to_structured(h[0]) == first_of(name)]
        expected = 0
        for item in history:
            expected = await log.append([item], expected)
    await log.tell("waiting", train())
    await broker.close()


def first_of(name: str) -> dict[str, Any]:
    return dict(json.loads((HISTORIES / f"{name}.jsonl").read_text().splitlines()[0]))


def test_jobs_of_a_log_are_decided_anew_by_whom_may_only_read_it(tmp_path: Path) -> None:
    with nats_server(tmp_path / "nats") as server:
        asyncio.run(recorded(server))
        settings = settings_of(server, "observer")
        status, [done] = told(**settings)
        assert (status, done["jobs"], done["decisions"]) == (0, 3, 5)
        forked = first_of("pipeline-forked")["subject"]
        status, [done] = told(forked, **settings)
        assert (status, done["jobs"]) == (0, 1)
        status, [line] = told("nosuch", **settings)
        assert (status, line["error"]) == (1, "there is no job nosuch")
        status, [line] = told("--role", "planner", **settings)
        assert status == 1
        assert "planner" in line["remedy"]


def test_without_a_broker_it_says_where_it_looked(tmp_path: Path) -> None:
    status, [line] = told(MYSPINBOT_NATS_URL="nats://127.0.0.1:1")
    assert status == 1
    assert "127.0.0.1:1" in line["error"]
