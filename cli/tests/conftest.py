"""A real gateway for the client and the commands, and jobs whose course the tests decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_support import Command, Done, Played
from gateway_media import photo, recording
from gateway_stack import Stack, running_stack
from myspinbot.main import main


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("system")) as running:
        yield running


@pytest.fixture
def api(system: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The gateway's address, which commands and clients find by themselves."""
    monkeypatch.setenv("MYSPINBOT_API", system.url)
    monkeypatch.setenv("MYSPINBOT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MYSPINBOT_TOKEN", raising=False)
    return system.url


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two photos that nobody has seen before."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(photo(seed=hash(tmp_path) % 2**30 + number))
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "me.wav"
    path.write_bytes(recording(2.0))
    return path


@pytest.fixture
def play(system: Stack) -> Played:
    return Played(system)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process, as the program does."""

    def run(*words: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run
