"""The reference of the command, and the program in it."""

import re
import threading
from pathlib import Path

import pytest
from command_support import Played
from contracts.job import JobStatus
from gateway_media import photo
from myspinbot.client import Client
from myspinbot.reference import render

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_of_the_commands_as_they_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


def test_the_program_of_the_page_does_what_it_says(
    api: str,
    play: Played,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.png", "b.png")):
        Path(name).write_bytes(photo(seed=77 + number))

    with Client() as client:
        earlier = {job.job_id for job in client.jobs.every()}

    def meanwhile() -> None:
        with Client() as client:
            while not (new := {job.job_id for job in client.jobs.every()} - earlier):
                pass
        play.finished(new.pop(), lora=(b"weights", "application/x-safetensors"))

    other = threading.Thread(target=meanwhile, daemon=True)
    other.start()
    exec(compile(program, str(PAGE), "exec"), {})  # noqa: S102 - our own page
    other.join()
    assert f"{JobStatus.COMPLETED} 100%" in capsys.readouterr().out
    assert Path("out/lora.safetensors").read_bytes() == b"weights"
