"""docs/events.md says what is so: its programs run, its subjects and streams exist."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.envelope import store, to_headers
from contracts.events import EVENTS
from eventlog.broker import connect
from eventlog.log import EventLog
from eventlog.permissions import ROLES
from eventlog.topology import derived_streams, ensure, lasting_streams

from tests.support.broker import NatsServer, nats_server
from tests.support.histories import HISTORIES, load

DOC = (Path(__file__).parents[1] / "docs" / "events.md").read_text(encoding="utf-8")
STREAMS = {
    stream["name"]: stream["subjects"] for stream in (*lasting_streams(), *derived_streams())
}
CHAIN_PROGRAM, READER_PROGRAM = re.findall(
    r"<!-- a test runs this -->\n```python\n(.*?)```", DOC, re.DOTALL
)
HISTORY = load(HISTORIES / "generate-stage-killed.jsonl")


def chained() -> list[dict]:
    """A recorded history with the chain that the log would give it."""
    events, previous = [], ""
    for recorded in HISTORY:
        previous = store(recorded).linked(previous)
        events.append(store(recorded._replace(chain=previous)).structured())
    return events


def run(program: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lines(events: list[dict]) -> str:
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)


def test_the_program_that_recomputes_the_chain_finds_a_whole_one_whole() -> None:
    done = run(CHAIN_PROGRAM, given=lines(chained()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")


def test_the_program_that_recomputes_the_chain_finds_an_edit_and_a_loss() -> None:
    edited = chained()
    edited[4]["data"]["durationS"] += 1
    assert "is not what it was" in run(CHAIN_PROGRAM, given=lines(edited)).stderr
    lost = chained()
    del lost[7]
    assert f"event {lost[7]['sequence']} is not" in run(CHAIN_PROGRAM, given=lines(lost)).stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("nats")) as running:

        async def fill() -> None:
            admin = await connect(running.address("admin"))
            await ensure(admin)
            await EventLog(admin, "test").copy([store(recorded) for recorded in HISTORY], 0)
            await admin.close()

        asyncio.run(fill())
        yield running


def test_the_reader_for_other_programs_reads_on_from_where_it_stopped(server: NatsServer) -> None:
    address = server.address("observer")
    done = run(READER_PROGRAM, address.url, str(address.seed_file), "2", "3")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        [str(number), f"myspinbot.{recorded.type}"]
        for number, recorded in enumerate(HISTORY[2:5], 3)
    ]


def commands() -> list[list[str]]:
    found = re.findall(r"^nats (?!context)(.*)$", DOC, re.MULTILINE)
    return [shlex.split(line) for line in found]


def matches(subject: str, pattern: str) -> bool:
    """Whether all subjects of the first are subjects of the second, by the rules of NATS."""
    own, wider = subject.split("."), pattern.split(".")
    for place, part in enumerate(wider):
        if part == ">":
            return len(own) > place
        if place >= len(own) or (part not in ("*", own[place])):
            return False
    return len(own) == len(wider)


def test_every_subject_that_the_page_listens_to_exists_and_may_be_heard() -> None:
    listened = [words[1] for words in commands() if words[0] == "sub"]
    assert len(listened) >= 8
    for subject in listened:
        assert any(matches(subject, p) for kept in STREAMS.values() for p in kept), subject
        assert any(matches(subject, p) for p in ROLES["observer"].subscribe), subject


def test_every_stream_that_the_page_looks_at_exists_and_may_be_looked_at() -> None:
    asked = {
        ("stream", "info"): ("STREAM.INFO.{}",),
        ("stream", "subjects"): ("STREAM.INFO.{}",),
        ("stream", "get"): ("STREAM.MSG.GET.{}", "DIRECT.GET.{}"),
        ("consumer", "report"): ("CONSUMER.LIST.{}", "CONSUMER.INFO.{}.x", "STREAM.INFO.{}"),
    }
    looked = [words for words in commands() if words[0] != "sub"]
    assert len(looked) >= 8
    for words in looked:
        stream = words[2]
        assert stream in STREAMS, words
        for call in asked[words[0], words[1]]:
            subject = "$JS.API." + call.format(stream)
            assert any(matches(subject, p) for p in ROLES["observer"].publish), subject
        if "--last-for" in words:
            subject = words[words.index("--last-for") + 1]
            assert any(matches(subject, pattern) for pattern in STREAMS[stream]), subject


def test_the_subjects_and_streams_of_the_table_are_those_of_the_system() -> None:
    section = DOC.partition("## Subjects")[2].partition("\n## ")[0]
    for cell in re.findall(r"^\| (.*?) \|", section, re.MULTILINE)[2:]:
        for subject in re.findall(r"`([^`]+)`", cell):
            plain = re.sub(r"<\w+>", "x", subject)
            assert any(matches(plain, p) for kept in STREAMS.values() for p in kept), subject
    named = set(re.findall(r"stream `(\w+)`", section))
    assert {"JOBS", "CMD", "DLQ", "PROGRESS", "RUNNERS", "CHECKPOINTS"} <= named <= set(STREAMS)


def test_every_header_of_an_event_is_in_the_table_and_no_other() -> None:
    section = DOC.partition("## Headers")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE))
    recorded = HISTORY[0]._replace(chain="0" * 64, traceparent="00-1-2-01")
    assert told == {*to_headers(recorded), "Nats-Msg-Id"}


def test_every_event_type_is_in_the_table_with_a_schema_that_exists() -> None:
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(\.\./(.*?)\)", DOC, re.MULTILINE))
    assert rows.keys() == EVENTS.keys()
    for path in rows.values():
        assert (Path(__file__).parents[1] / path).exists()
