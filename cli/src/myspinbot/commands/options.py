"""What commands share: options, a session with the system, and how their help is made."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperGroup

from myspinbot.client import AsyncClient
from myspinbot.client.target import Target, find_target, read_token
from myspinbot.commands.completion import complete_jobs
from myspinbot.embedded.home import Home
from myspinbot.errors import MISUSED, NOT_FOUND, CommandError
from myspinbot.screen import document

CONNECTION = "Connection"
"""The panel of the options that say which system is meant."""
LATEST = "last"
"""Stands for the newest job where an id is expected."""
_WHOLE_ID = 26
_AMONG = 200

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Data folder of the local system (default: $MYSPINBOT_HOME, else the user's).",
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]
ApiOption = Annotated[
    str | None,
    typer.Option(
        "--api",
        envvar="MYSPINBOT_API",
        help="Address of the system to use (default: the one on this machine).",
        metavar="URL",
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="MYSPINBOT_TOKEN",
        help="API token. Others can see it in the list of processes: better set the variable.",
        metavar="TOKEN",
        show_default=False,
        show_envvar=True,
        rich_help_panel=CONNECTION,
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="File with the API token.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Answer in JSON, for programs.", show_default=False)
]
JobArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help=f"The job's id or its beginning, or `{LATEST}` for the newest.",
        show_default=False,
        autocompletion=complete_jobs,
    ),
]
NewestJobArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help="The job's id; the newest job, if there is none.",
        show_default=False,
        autocompletion=complete_jobs,
    ),
]

P = ParamSpec("P")
Function = TypeVar("Function", bound=Callable[..., Any])
_EXAMPLES = "__examples__"


@dataclass(frozen=True, slots=True)
class Session:
    """A client, and whether answers are for programs."""

    client: AsyncClient
    as_json: bool

    async def job(self, given: str) -> str:
        """The id of the job that is meant; CommandError if it is none, or could be several."""
        if len(given) >= _WHOLE_ID:
            return given
        newest = (await self.client.jobs.list(limit=1 if given == LATEST else _AMONG)).jobs
        if given == LATEST:
            if not newest:
                raise CommandError(
                    "There are no jobs yet.",
                    "Make one with `myspinbot submit`, or see one with `myspinbot demo`.",
                    NOT_FOUND,
                )
            return newest[0].job_id
        return the_one(given, [job.job_id for job in newest]) or given

    def show(self, reply: Any, text: Callable[[], None]) -> None:
        """Answer with a document for programs, or in words."""
        if self.as_json:
            document(reply)
        else:
            text()


def the_one(given: str, ids: Iterable[str]) -> str | None:
    """The id that begins so, if there is one; CommandError if there are several."""
    meant = [each for each in ids if each.startswith(given)]
    if given in meant:
        return given
    if len(meant) > 1:
        raise CommandError(
            f"{len(meant)} jobs begin with {given}: {', '.join(meant[:3])}"
            + (" …" if len(meant) > 3 else ""),
            "Give more of the id.",
            MISUSED,
        )
    return meant[0] if meant else None


def connected(
    work: Callable[Concatenate[Session, P], Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """The command that does `work` with a system: it has the options that name one, and --json."""

    async def connect(shared: dict[str, Any], values: dict[str, Any]) -> None:
        as_json = shared.pop("as_json")
        async with AsyncClient(target_of(**shared)) as client:
            await work(Session(client, as_json), **values)  # type: ignore[call-arg]

    added = (
        option("as_json", JsonOption, default=False),
        option("api", ApiOption),
        option("token", TokenOption),
        option("token_file", TokenFileOption),
        option("home", HomeOption),
    )
    return with_options(work, added, connect)


def with_options(
    work: Callable[..., Any],
    added: Sequence[inspect.Parameter],
    begin: Callable[[dict[str, Any], dict[str, Any]], Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """A command with the parameters of `work`, but for its first, and `added` ones.

    `begin` gets the values of the added ones, and those of the others, and does the work.
    """
    signature = inspect.signature(work, eval_str=True)
    _, *own = signature.parameters.values()

    @wraps(work)
    def command(**values: Any) -> None:
        shared = {each.name: values.pop(each.name) for each in added}
        run(begin(shared, values))

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *added)]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=None
    )
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """A parameter that `with_options` adds."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def examples(*lines: str) -> Callable[[Function], Function]:
    """Command lines that the help of a command shows."""

    def note(function: Function) -> Function:
        setattr(function, _EXAMPLES, lines)
        return function

    return note


def add(
    app: typer.Typer, name: str, function: Callable[..., None], panel: str | None = None
) -> None:
    """Make a function a command, with its examples below its help."""
    lines: tuple[str, ...] = getattr(function, _EXAMPLES, ())
    told = _unwrapped(inspect.getdoc(function) or "")
    shown = "\n".join(f"  [cyan]{escape(line)}[/cyan]" for line in lines)
    epilog = f"[bold]Examples[/bold]\n{shown}" if lines else None
    app.command(name, help=told, epilog=epilog, rich_help_panel=panel)(function)


def group(help_text: str, *, otherwise: str | None = None) -> typer.Typer:
    """Commands that belong together under one name; the name alone stands for its `list`.

    With `otherwise`, it stands for that one, and so does a first word that is no command of it.
    """
    kind = _Group if otherwise is None else type(otherwise, (_Falling,), {"otherwise": otherwise})
    return typer.Typer(help=help_text, no_args_is_help=True, cls=kind)


class _Group(TyperGroup):
    """A group that lists what there is unless it is told otherwise."""

    otherwise = "list"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word that is meant before what it gets; see click's Command.parse_args."""
        asks_help = any(word in ctx.help_option_names for word in args)
        if self.otherwise in self.commands and not asks_help and self.is_meant(args):
            args = [self.otherwise, *args]
        return super().parse_args(ctx, args)

    def is_meant(self, args: Sequence[str]) -> bool:
        """Whether a line names none of the commands."""
        return not args or args[0].startswith("-")


class _Falling(_Group):
    """A group of which any word that is not, and does not resemble, a command is an argument."""

    def is_meant(self, args: Sequence[str]) -> bool:
        """Whether a line names none of the commands."""
        return super().is_meant(args) or not get_close_matches(args[0], self.commands)


def _unwrapped(text: str) -> str:
    """Paragraphs as one line each: the screen wraps them."""
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n"))


def home_of(option: Path | None) -> Home:
    """The home folder that is meant."""
    return Home(option.expanduser().absolute()) if option else Home.default(os.environ)


def target_of(
    api: str | None = None,
    token: str | None = None,
    token_file: Path | None = None,
    home: Path | None = None,
) -> Target:
    """The system that is meant, and the token for it."""
    given = read_token(token_file) if token_file else token
    return find_target(api, given, home_of(home))


def assignments(given: list[str], what: str) -> dict[str, str]:
    """`name=value` options as a dictionary; CommandError for what is not of this form."""
    pairs = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise CommandError(f"{item!r} is no {what}.", f"Write a {what} as name=value.", MISUSED)
        pairs[name.strip()] = value.strip()
    return pairs


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's work; Ctrl-C and SIGTERM end it in order, with the usual status."""
    try:
        asyncio.run(_terminable(work))
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None


async def _terminable(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work
