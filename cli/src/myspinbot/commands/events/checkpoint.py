"""`myspinbot events checkpoint`: sign what the log is now."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myspinbot.commands.events.session import NatsOption
from myspinbot.commands.options import CONNECTION, HomeOption, JsonOption, examples, home_of, run
from myspinbot.errors import MISUSED, CommandError
from myspinbot.screen import document, hint, json_line, plain, table, when

if TYPE_CHECKING:
    from contracts.checkpoints import LogCheckpoint
    from eventlog.broker import BrokerAddress
    from eventlog.signatures import Signer

    from myspinbot.embedded.home import Home

_EVERY = re.compile(r"([1-9]\d{0,5})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

NotarySeedOption = Annotated[
    Path | None,
    typer.Option(
        envvar="MYSPINBOT_NATS_SEED",
        help="File with the nkey seed of the broker's user `notary`: it signs.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]


@examples(
    "myspinbot events checkpoint",
    "myspinbot events checkpoint --every 1h --nats nats://broker:4222 --seed notary.nk",
    "myspinbot events checkpoint --list --json > kept-elsewhere.json",
    "myspinbot events checkpoint --public-key",
)
def checkpoint(
    *,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Go on and sign again after 10m, 1h, 1d …", show_default=False
        ),
    ] = None,
    listed: Annotated[
        bool,
        typer.Option("--list", help="Sign nothing, and list what was signed.", show_default=False),
    ] = False,
    public_key: Annotated[
        bool,
        typer.Option(
            "--public-key",
            help="Sign nothing, and print the key by which signatures are known.",
            show_default=False,
        ),
    ] = False,
    nats: NatsOption = None,
    seed: NotarySeedOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign the hash of the whole log, so that whoever keeps it finds any later change.

    A local system signs by itself: every hour, and when it starts and stops. Keep the public key
    and, from time to time, the list of checkpoints where nobody of this system can write.
    """
    if sum((every is not None, listed, public_key)) > 1:
        raise CommandError(
            "--every, --list and --public-key exclude each other.", "Give one of them.", MISUSED
        )
    seconds = _seconds(every) if every is not None else None
    local = home_of(home)
    if public_key:
        _print_key(_signer(seed, local), as_json=as_json)
    elif listed:
        run(_list(nats, seed, local, as_json=as_json))
    else:
        run(_sign(nats, seed, local, seconds, as_json=as_json))


def _seconds(given: str) -> int:
    found = _EVERY.fullmatch(given.strip())
    if found is None:
        raise CommandError(f"{given!r} is no time.", "Give one as 10m, 1h or 1d.", MISUSED)
    return int(found[1]) * _UNIT_S[found[2]]


def _signer(seed: Path | None, home: Home) -> Signer:
    # Imported where it is used: other commands need no broker, and should start fast.
    from myspinbot.exchange.notary import seed_of, signer_of

    return signer_of(seed or seed_of(home))


def _print_key(signer: Signer, *, as_json: bool) -> None:
    if as_json:
        document({"publicKey": signer.public_key})
    else:
        plain(signer.public_key)


def _address(nats: str | None, seed: Path | None, home: Home) -> BrokerAddress:
    from myspinbot.exchange.notary import NOTARY, seed_of
    from myspinbot.joblog import broker_of

    address = broker_of(nats, seed, home)
    return replace(address, role=NOTARY, seed_file=seed or seed_of(home))


async def _sign(
    nats: str | None, seed: Path | None, home: Home, seconds: int | None, *, as_json: bool
) -> None:
    from eventlog.checkpoints import Notary

    from myspinbot.counting import counting
    from myspinbot.joblog import opened

    address = _address(nats, seed, home)
    signer = _signer(seed, home)
    async with opened(address) as broker:
        notary = Notary(broker, signer)
        while True:
            with counting("Reading the log") as told:
                made = await notary.sign(told)
            _show(made, once=seconds is None, as_json=as_json)
            if seconds is None:
                return
            await asyncio.sleep(seconds)


def _show(made: LogCheckpoint | None, *, once: bool, as_json: bool) -> None:
    if made is None:
        if as_json and once:
            json_line(None)
        elif once:
            hint("Nothing is new since the last checkpoint.")
    elif as_json:
        json_line(made.model_dump(mode="json", by_alias=True))
    else:
        plain(made.id)
        hint(f"Signed the log up to event {made.last_sequence} by {made.key_id}.")


async def _list(nats: str | None, seed: Path | None, home: Home, *, as_json: bool) -> None:
    from eventlog.checkpoints import is_genuine, read_checkpoints

    from myspinbot.joblog import opened

    async with opened(_address(nats, seed, home)) as broker:
        found = [each async for each in read_checkpoints(broker)]
    if as_json:
        document({"checkpoints": [e.model_dump(mode="json", by_alias=True) for e in found]})
        return
    if not found:
        hint("Nothing is signed yet; `myspinbot events checkpoint` signs the log as it is now.")
        return
    table(
        ("CHECKPOINT", "TIME", "UP TO EVENT", "HASH", "KEY"),
        [
            (
                each.id,
                when(each.time),
                str(each.last_sequence),
                f"{each.log_hash[:16]}…",
                each.key_id if is_genuine(each) else "not signed by its key!",
            )
            for each in found
        ],
    )
