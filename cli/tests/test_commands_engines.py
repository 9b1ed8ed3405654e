"""`myspinbot engines list`, `install` and `remove`, with the runner's own program and pip."""

import json
from pathlib import Path

import pytest
from command_support import Command
from myspinbot.errors import FAILED, NOT_FOUND

from tests.support.environments import Workshop


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workshop:
    """A folder with a tiny engine in it, which this machine's pip can install."""
    made = Workshop(tmp_path)
    made.write()
    for name, value in made.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MYSPINBOT_PLUGINS", str(tmp_path))
    return made


def test_an_engine_is_told_installed_listed_and_removed(
    command: Command, workshop: Workshop
) -> None:
    engines = workshop.root / "home" / "engines"
    told = command("engines", "install", "greeter", "--dry-run")
    assert told.status == 0, told.err
    for words in ("licence: MIT", "3.0 GB with CUDA to download", "to:      "):
        assert words in told.out
    assert not engines.exists()

    installed = command("engines", "install", "greeter")
    assert (installed.status, installed.out) == (0, f"{engines / 'greeter'}\n"), installed.err
    assert "size:    about 200.0 MB as a CPU build to download" in installed.err
    assert "checking it" in installed.err
    states = {
        each["name"]: each["state"]
        for each in json.loads(command("engines", "list", "--json").out)["engines"]
    }
    assert states["greeter"] == "installed"
    assert "greeter\tinstalled\tabout 800.0 MB" in command("engines").out
    assert command("engines", "remove", "greeter").out.startswith("greeter: ")
    assert not (engines / "greeter").exists()


def test_an_engine_can_be_named_by_its_folder(
    command: Command, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workshop.root)
    assert command("engines", "install", "./greeter", "--dry-run").status == 0


def test_each_error_of_engines_has_its_exit_status(command: Command, workshop: Workshop) -> None:
    unknown = command("engines", "install", "no_such")
    assert (unknown.status, unknown.out) == (NOT_FOUND, "")
    assert "There are" in unknown.err
    assert "greeter" in unknown.err
    assert command("engines", "remove", "greeter").status == NOT_FOUND
    (workshop.root / "greeter" / "requirements.txt").unlink()
    broken = command("engines", "install", "greeter")
    assert broken.status == FAILED
    assert "no requirements.txt" in broken.err
