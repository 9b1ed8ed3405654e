"""The commands about dead letters, usage and the audit, against a real gateway."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_support import Command, Played
from gateway_stack import Stack, another_gateway
from gateway_story import Story
from myspinbot.client import Client
from myspinbot.errors import MISUSED, NOT_ALLOWED, NOT_FOUND, REFUSED

from tests.support.samples import SAID

STAGE = "prepare_dataset"


@pytest.fixture
def lost(api: str, play: Played, photos: Path) -> str:
    """A job that became a dead letter."""
    with Client() as client:
        job = client.jobs.create(photos=photos.iterdir(), consent=SAID, name="Ada").job_id

        async def lose(story: Story) -> int:
            await story.plan()
            await story.start(STAGE)
            await story.say(STAGE, 3, loss=0.25)
            return await story.lose(STAGE)

        last = play(job, lose)
        while client.jobs.get(job).sequence < last:
            pass
    return job


def test_a_letter_is_listed_shown_and_tried_again(lost: str, command: Command) -> None:
    letter = f"{lost}/{STAGE}/1"
    listed = command("dlq", "list")
    assert listed.status == 0
    assert [line for line in listed.out.splitlines() if line.startswith(letter)]
    shown = command("dlq", "show", lost)
    assert "every runner that worked on it vanished" in shown.out
    assert "loss 0.25" in shown.out
    assert f"dlq retry {letter}" in shown.err
    assert json.loads(command("dlq", "show", letter, "--json").out)["jobId"] == lost
    assert command("dlq", "retry", lost).status == 0
    assert letter not in command("dlq").out
    assert letter in command("dlq", "list", "--status", "retried").out
    again = command("dlq", "retry", letter)
    assert (again.status, "queued" in again.err) == (REFUSED, True)
    assert command("dlq", "drop", letter, "--yes").status == REFUSED
    assert command("dlq", "show", lost).status == NOT_FOUND


def test_a_letter_is_dropped_only_after_a_word(lost: str, command: Command) -> None:
    letter = f"{lost}/{STAGE}/1"
    assert command("dlq", "drop", letter).status == MISUSED
    for _ in range(2):
        dropped = command("dlq", "drop", letter, "--yes", "--json")
        assert json.loads(dropped.out)["status"] == "dropped"
    assert "dropped by local" in command("dlq", "show", letter).out


@pytest.mark.parametrize("wrong", ["a/b", "a/b/c", "a/b/1/2"])
def test_what_names_no_letter_is_refused(api: str, command: Command, wrong: str) -> None:
    assert command("dlq", "show", wrong).status == MISUSED


def test_what_is_not_there_is_not_found(api: str, command: Command) -> None:
    job = "01m000000000000000000000zz"
    assert command("dlq", "show", f"{job}/{STAGE}/1").status == NOT_FOUND
    assert command("dlq", "retry", job).status == NOT_FOUND


def test_the_client_walks_through_all_letters(lost: str) -> None:
    with Client() as client:
        [mine] = [one for one in client.dead_letters.every() if one.job_id == lost]
        assert (mine.stage, mine.attempt, mine.status) == (STAGE, 1, "open")
        full = client.dead_letters.get(lost, STAGE, 1)
        assert [one.runner for one in full.deliveries] == ["r1"]
        assert client.dead_letters.drop(lost, STAGE, 1).status == "dropped"
        acts = [one.action for one in client.oversight.every_act(job=lost)]
    assert acts == ["letter_dropped", "consented", "requested"]


def test_usage_and_audit_are_shown(lost: str, command: Command) -> None:
    today = datetime.now(UTC).date().isoformat()
    used = command("usage")
    assert used.out.splitlines()[-1].startswith(today)
    told = json.loads(command("usage", "--since", today, "--until", today, "--json").out)
    assert [day["day"] for day in told["days"]] == [today]
    assert command("usage", "--since", "2026-02-02", "--until", "2026-02-01").status == REFUSED
    assert command("usage", "--since", "yesterday").status == MISUSED
    assert command("usage", "--since", "2020-01-01", "--until", "2020-01-01").out == ""
    done = command("audit", "--job", lost)
    told_of = [line.split("\t")[2:4] for line in done.out.splitlines()]
    assert told_of == [["local", "consented"], ["local", "requested"]]
    assert command("audit", "--job", lost, "--action", "deleted").out == ""


def test_what_is_everybodys_is_for_administrators(
    system: Stack, api: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = "an-admin-token-of-32-characters-or-more"
    with another_gateway(system, "everyone", ACCESS="token", ADMIN_TOKEN=admin) as address:
        monkeypatch.setenv("MYSPINBOT_API", address)
        monkeypatch.setenv("MYSPINBOT_TOKEN", admin)
        made = json.loads(command("tokens", "create", "reader", "--owner", "eve", "--json").out)
        for words in (("dlq", "list"), ("usage",), ("audit",)):
            assert command(*words, "--everyone").status == 0
        monkeypatch.setenv("MYSPINBOT_TOKEN", made["token"])
        for words in (("dlq", "list"), ("usage",), ("audit",)):
            assert command(*words, "--everyone").status == NOT_ALLOWED
            assert command(*words).status == 0
