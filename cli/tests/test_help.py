"""The help of every command, and what a shell completes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_support import Command, Played
from myspinbot.main import app
from typer.main import get_command

from tests.support.samples import SAYING

ESCAPE = "\x1b"


def every_command() -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""

    def walk(found, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, inner in getattr(found, "commands", {}).items():
            yield from walk(inner, (*words, name))

    yield from walk(get_command(app), ())


LEAVES = [
    words
    for words in every_command()
    if words not in {(), *((w[0],) for w in every_command() if len(w) > 1)}
]


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_help_is_shown(words: tuple[str, ...], command: Command) -> None:
    told = command(*words, "--help")
    assert (told.status, told.err) == (0, "")
    assert "Usage:" in told.out


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_examples_of_itself(words: tuple[str, ...], command: Command) -> None:
    told = command(*words, "--help").out
    _, _, examples = told.partition("Examples")
    assert f"myspinbot {' '.join(words)}" in examples


def test_no_more_is_asked_of_a_newcomer_than_the_name(command: Command) -> None:
    told = command()
    for word in ("demo", "submit", "doctor", "Exit status"):
        assert word in told.out + told.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_script_for_each_shell_is_printed(shell: str, command: Command) -> None:
    assert "_MYSPINBOT_COMPLETE" in command("completion", shell).out


def completed(*words: str) -> list[str]:
    """What the program offers to a shell for an unfinished line."""
    line = ("myspinbot", *words)
    told = subprocess.run(
        [str(Path(sys.executable).parent / "myspinbot")],
        env={
            **os.environ,
            "_MYSPINBOT_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(line),
            "COMP_CWORD": str(len(line) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return told.stdout.split()


def test_a_shell_completes_commands_and_ids_of_jobs(
    api: str, photos: Path, command: Command
) -> None:
    job = command("submit", str(photos), *SAYING).out.strip()
    assert completed("prof") == ["profiles"]
    assert completed("show", job[:-3]) == [job]
    assert completed("show", "--api", "http://127.0.0.1:9", job[:4]) == []
    assert completed("delete", job[:-3]) == [job]


def test_a_shell_completes_qualities_and_shells() -> None:
    assert completed("submit", "--quality", "b") == ["best"]
    assert completed("completion", "z") == ["zsh"]


def test_a_shell_completes_the_stages_of_the_job_that_is_named(
    api: str, photos: Path, command: Command, play: Played
) -> None:
    job = command("submit", str(photos), *SAYING).out.strip()
    play(job, lambda story: story.plan())
    assert completed("fork", job, "--from", "prep") == ["prepare_dataset"]
    assert completed("fork", "last", "--from", "train_") == ["train_lora"]
    assert completed("logs", job, "--stage", "prep") == ["prepare_dataset"]


def test_colours_are_for_terminals_only() -> None:
    for extra in ({}, {"NO_COLOR": "1"}):
        told = subprocess.run(
            [sys.executable, "-m", "myspinbot.main", "jobs", "--api", "http://127.0.0.1:9"],
            env={**os.environ, **extra},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ESCAPE not in told.stdout + told.stderr
        assert re.match(r"No MySpinBot answers", told.stderr)


def test_the_version_is_told(command: Command) -> None:
    told = command("--version")
    assert (told.status, told.err) == (0, "")
    assert re.fullmatch(r"myspinbot \d+\.\d+\S*\n", told.out)
