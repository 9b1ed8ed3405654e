"""A real gateway for the client and the commands, and jobs whose course the tests decide."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from eventlog.broker import connect
from gateway_media import photo, recording
from gateway_stack import Stack, running_stack
from gateway_story import Story
from myspinbot.main import main
from servicekit.objects import open_store

Result = TypeVar("Result")


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


@dataclass(slots=True)
class Played:
    """What planner and runner would say, told from the outside."""

    stack: Stack

    def __call__(self, job: str, tell: Callable[[Story], Awaitable[Result]]) -> Result:
        async def playing() -> Result:
            broker = await connect(self.stack.server.address("admin"))
            try:
                return await tell(Story(broker, job))
            finally:
                await broker.close()

        return asyncio.run(playing())

    def finished(self, job: str, **results: tuple[bytes, str]) -> None:
        """The job with these results: content and media type by output."""

        async def finish(story: Story) -> None:
            made = {}
            async with open_store(self.stack.store) as store:
                for name, (content, media_type) in results.items():
                    made[name] = (await store.put(f"jobs/{job}/{name}", content, media_type),)
            await story.finish(**made)

        self(job, finish)


@pytest.fixture
def play(system: Stack) -> Played:
    return Played(system)


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]


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
