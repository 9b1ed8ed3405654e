"""`myspinbot engines list`, `install` and `remove`: engines with environments of their own.

The runner's own program does the work, on the data folder that the local system's runner has.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer

from myspinbot.commands.options import HomeOption, JsonOption, add, examples, group, home_of, run
from myspinbot.replaying.programs import Message, Settings, last_of, of_runner
from myspinbot.screen import document, hint, plain, size, table

_PROGRAM = "gpu_runner.plugins.install"

app = group("Engines with environments of their own, which are installed apart.", otherwise="list")


@app.callback()
def _engines() -> None:
    """Engines with environments of their own, which are installed apart.

    What is installed already needs none of them. `myspinbot models` lists all that can be used.
    """


EngineArgument = Annotated[
    str,
    typer.Argument(
        metavar="ENGINE",
        help="As `myspinbot engines list` names it, or a folder, with a slash.",
        show_default=False,
    ),
]


@examples("myspinbot engines list", "myspinbot engines list --json | jq '.engines[].state'")
def list_(*, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the engines that can be installed, whether they are, and what they take."""

    async def listing() -> None:
        told = await last_of(_told(home, "list"))
        if as_json:
            document(told)
            return
        table(("engine", "state", "takes", "licence", "what it is"), map(_cells, told["engines"]))
        hint(f"They are kept in {told['folder']}.")

    run(listing())


@examples(
    "myspinbot engines install xtts",
    "myspinbot engines install ./my-engine",
    "TORCH_INDEX=https://index.example/cpu myspinbot engines install xtts",
)
def install(
    engine: EngineArgument,
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only tell what it would take.", show_default=False),
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make the environment of an engine and let it check itself; a runner finds it when it starts.

    Tells sizes before any byte comes. PyTorch comes first, from pip's index or from that of
    TORCH_INDEX, then what the engine's lock names, each with its hash. An installation that was
    ended is not found as an engine; call it again. Again for what is installed brings it up to
    date. A model's weights are pulled apart, by `myspinbot models pull`.
    """
    named = _named(engine)

    async def installing() -> None:
        planned = (await last_of(_told(home, "plan", named)))["plan"]
        if dry_run and as_json:
            document(planned)
            return
        _tell_plan(planned, plain if dry_run else hint)
        if dry_run:
            return
        made = await last_of(_hinted(_told(home, "install", named)))
        if as_json:
            document(made)
        else:
            plain(made["path"])
            hint("Restart the runner: `myspinbot models` then lists it.")

    run(installing())


@examples("myspinbot engines remove xtts")
def remove(engine: EngineArgument, *, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Take an engine and its environment away; weights stay."""

    async def removing() -> None:
        told = await last_of(_told(home, "remove", engine))
        if as_json:
            document(told)
        else:
            plain(f"{told['removed']}: {size(told['freedBytes'])} are free again")

    run(removing())


add(app, "list", list_)
add(app, "install", install)
add(app, "remove", remove)


def _told(home: Path | None, *words: str) -> AsyncGenerator[Message, None]:
    return of_runner(_PROGRAM, "engines", list(words), Settings(home=home_of(home).root))


def _named(engine: str) -> str:
    """The program takes what has a slash for a folder, from where this command was called."""
    return str(Path(engine).expanduser().absolute()) if "/" in engine else engine


async def _hinted(messages: AsyncGenerator[Message, None]) -> AsyncGenerator[Message, None]:
    """All but the steps, which are told."""
    async with aclosing(messages):
        async for message in messages:
            if "step" in message:
                hint(f"{message['step']} …")
            else:
                yield message


def _cells(engine: Message) -> tuple[str, ...]:
    disk = " or ".join(_size(each, "diskBytes") for each in engine["sizes"])
    what = f"{engine['title']}; for {', '.join(engine['stages'])}"
    return engine["name"], engine["state"], f"about {disk}", engine["licence"], what


def _tell_plan(planned: Message, tell: Any) -> None:
    tell(f"{planned['name']}: {planned['title']}")
    tell(f"licence: {planned['licence']}")
    for each in planned["sizes"]:
        tell(
            f"size:    about {_size(each, 'downloadBytes')} to download, "
            f"{size(each['diskBytes'])} on disk"
        )
    if planned["torch"] and not planned["torchIndexIsNamed"]:
        tell("         TORCH_INDEX=<address of PyTorch's CPU builds> asks for the smaller")
    tell(f"to:      {planned['path']}")


def _size(each: Message, name: str) -> str:
    build = {"cpu": " as a CPU build", "cuda": " with CUDA"}.get(each["build"], "")
    return size(each[name]) + build
