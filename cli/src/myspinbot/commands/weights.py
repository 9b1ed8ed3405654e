"""`myspinbot models list`, `pull`, `verify` and `path`: weights of models on this machine.

The runner's own program does the work, with the settings that the local system's runner has.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Annotated, Any

import typer

from myspinbot.backup.meter import Work, work
from myspinbot.commands.options import HomeOption, JsonOption, examples, home_of, run
from myspinbot.errors import FAILED, MISUSED, CommandError
from myspinbot.replaying.programs import Message, Settings, last_of, of_runner
from myspinbot.screen import document, hint, plain, size, table

_PROGRAM = "gpu_runner.models"

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="As `myspinbot models list` names it.", show_default=False
    ),
]


@examples("myspinbot models list", "myspinbot models list --json | jq '.models[].state'")
def list_(*, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the weights that engines need: whether they are here, their sizes and licences.

    No hub is asked. Sizes of what was not pulled yet are approximate; `pull --dry-run` asks for the
    exact ones.
    """

    async def listing() -> None:
        told = await last_of(_told(home, "list"))
        if as_json:
            document(told)
            return
        table(("model", "state", "size", "licence", "what it is"), map(_cells, told["models"]))
        hint(f"They are kept in {told['folder']}.")

    run(listing())


def _cells(model: Message) -> tuple[str, ...]:
    about = "about " * bool(model["sizeIsApproximate"])
    amount = about + size(model["sizeBytes"]) if model["sizeBytes"] else "in the package"
    licence = model["licence"]["title"]
    if model["acceptance"]:
        licence += f", accepted by {model['acceptance']['by']}"
    elif model["licence"]["mustBeAccepted"]:
        licence += ", to be accepted"
    used = f"{model['title']}; for {model['neededBy']}"
    return model["name"], model["state"], amount, licence, used


@examples(
    "myspinbot models pull sd15",
    "myspinbot models pull sdxl --dry-run",
    "HF_ENDPOINT=https://hub.example myspinbot models pull sd15 --accept-licence",
)
def pull(
    model: ModelArgument,
    *,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence",
            help="Accept the licence, instead of being asked; your user name is kept with it.",
            show_default=False,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only tell what would be pulled.", show_default=False),
    ] = False,
    revision: Annotated[
        str | None,
        typer.Option(
            metavar="COMMIT",
            help="Another revision of the repository than the known one.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Pull the weights of a model from a hub; what is there already is checked and kept.

    Tells sizes and licence before any byte comes. A pull that was ended goes on where it was. Every
    file is compared with the checksum that the hub told, and mended if it is damaged.

    The hub is that of HF_ENDPOINT; HF_TOKEN, or `hf auth login`, says who asks.
    """

    async def pulling() -> None:
        at = ("--revision", revision) if revision else ()
        planned = (await last_of(_told(home, "plan", model, *at)))["plan"]
        if dry_run and as_json:
            document(planned)
            return
        _tell_plan(planned, files=dry_run)
        if dry_run:
            return
        consent = ("--accepted-by", getpass.getuser()) if _consent(planned, accept_licence) else ()
        # The commit that was shown, also if a branch has moved on meanwhile.
        words = ("pull", model, "--revision", planned["revision"], *consent)
        made = await last_of(_metered(f"Pulling {model}", _told(home, *words)))
        if as_json:
            document(made)
        else:
            plain(made["path"])

    run(pulling())


@examples("myspinbot models verify sd15", "myspinbot models verify /mnt/share/sd15")
def verify(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A model's name, or a folder.", show_default=False),
    ],
    *,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Read all files of a model and compare them with what was pulled; asks no hub.

    Ends with status 1 if a file is missing or damaged.
    """
    # The program takes what has a slash for a folder, from where this command was called.
    named = str(Path(model).expanduser().absolute()) if "/" in model else model

    async def verifying() -> None:
        found = await last_of(_metered(f"Verifying {model}", _told(home, "verify", named)))
        damages = found["damages"]
        if as_json:
            document(found)
        else:
            for damage in damages:
                plain(f"{damage['path']}: {_DAMAGES[damage['what']]}")
            amount = f"{found['files']} files, {size(found['sizeBytes'])}"
            plain(f"{found['verified']}: {amount}: {'damaged' if damages else 'as pulled'}")
        if damages:
            if not as_json:
                hint(f"Mend it with `myspinbot models pull {found['verified']}`.")
            raise typer.Exit(FAILED)

    run(verifying())


_DAMAGES = {
    "missing": "is missing",
    "size": "has another size",
    "content": "has another content",
}


@examples("myspinbot models path sd15", 'ls "$(myspinbot models path sd15)"')
def path(model: ModelArgument, *, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Print the folder of a model's weights: a directory as diffusers saves it."""

    async def telling() -> None:
        told = await last_of(_told(home, "path", model))
        if as_json:
            document(told)
        else:
            plain(told["path"])

    run(telling())


def _told(home: Path | None, *words: str) -> AsyncGenerator[Message, None]:
    settings = Settings(models=home_of(home).weights(os.environ))
    return of_runner(_PROGRAM, "weights", list(words), settings)


async def _metered(
    title: str, messages: AsyncGenerator[Message, None]
) -> AsyncGenerator[Message, None]:
    """All but how far a program is, which a bar shows."""
    with ExitStack() as shown:
        meter: Work | None = None
        async with aclosing(messages):
            async for message in messages:
                if "end" not in message:
                    yield message
                    continue
                position = message["position"]
                if meter is None:
                    meter = shown.enter_context(work(title, message["end"], done=position))
                meter.advance(position - meter.done)


def _tell_plan(planned: dict[str, Any], *, files: bool) -> None:
    tell = plain if files else hint
    licence, acceptance = planned["licence"], planned["acceptance"]
    tell(f"{planned['model']}: {planned['title']}")
    tell(f"from:    {planned['endpoint']}/{planned['repository']}, commit {planned['revision']}")
    tell(f"licence: {licence['title']}, {licence['url']}")
    if acceptance:
        tell(f"         accepted by {acceptance['by']}, {acceptance['at']}")
    if not planned["licenceIsAsDeclared"]:
        tell(f"         its page there says {licence['declared']}: read that one too")
    came = planned["sizeBytes"] - planned["remainingBytes"]
    here = f", of which {size(came)} are here" if came else ""
    tell(f"size:    {size(planned['sizeBytes'])} in {len(planned['files'])} files{here}")
    tell(f"to:      {planned['path']}, {size(planned['freeBytes'])} free")
    if files:
        table(
            ("file", "size", "checksum"),
            ((each["path"], size(each["sizeBytes"]), each["digest"]) for each in planned["files"]),
        )


def _consent(planned: dict[str, Any], accepted: bool) -> bool:
    """Whether somebody accepts the licence now; CommandError if it must be and is not."""
    if not planned["consentMissing"]:
        return False
    if accepted:
        return True
    licence = planned["licence"]
    if not sys.stdin.isatty():
        raise CommandError(
            f"The licence {licence['title']} must be accepted before {planned['model']} is pulled.",
            f"Read {licence['url']} and give --accept-licence.",
            MISUSED,
        )
    if not typer.confirm(f"Do you accept {licence['title']} ({licence['url']})?", err=True):
        raise CommandError(
            "The licence was not accepted, and nothing was pulled.",
            "The engine mini needs nothing to be pulled.",
            MISUSED,
        )
    return True
