"""Which system a client talks to, and with which token.

The secret of the system on this machine is read from its home folder, and is sent to that
system only: an address that was named gets a token that was given, or none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from myspinbot.client.errors import NotRunningError
from myspinbot.embedded.home import Home, StackNote
from myspinbot.errors import MISUSED, CommandError

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Target:
    """An address such as `http://127.0.0.1:8787`, and the token to show there, if any."""

    api: str
    token: str | None = field(default=None, repr=False)

    @property
    def on_this_machine(self) -> bool:
        """Whether the address is of the loopback, which no proxy has to do with."""
        return urlsplit(self.api).hostname in _LOOPBACK


def find_target(
    api: str | None = None,
    token: str | None = None,
    home: Home | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Target:
    """What is meant: arguments before `MYSPINBOT_API` and `MYSPINBOT_TOKEN` before the local home.

    Raises NotRunningError if it is the local system and none runs, and CommandError for what
    is no address.
    """
    api = api or environment.get("MYSPINBOT_API")
    token = token or environment.get("MYSPINBOT_TOKEN")
    home = home or Home.default(environment)
    if api:
        address = _address(api)
        own = _is_of(address, home.running())
        return Target(address, token or (home.admin_token() if own else None))
    return Target(running(home).api, token or home.admin_token())


def _is_of(address: str, note: StackNote | None) -> bool:
    """Whether an address is that of the stack that runs, by any name of the loopback."""
    if note is None or not note.ports:
        return False
    own, given = urlsplit(note.api), urlsplit(address)
    same = own.hostname == given.hostname or {own.hostname, given.hostname} <= _LOOPBACK
    return same and (own.scheme, own.port) == (given.scheme, given.port)


def running(home: Home) -> StackNote:
    """The stack that runs on a home folder; NotRunningError if there is none yet."""
    note = home.running()
    if note is None:
        elsewhere = home.root != Home.default(os.environ).root
        start = f"myspinbot up --home {home.root}" if elsewhere else "myspinbot up"
        raise NotRunningError(
            f"No system runs on {home.root}.",
            f"Start it with `{start}`, or name the address of another one with --api.",
        )
    if not note.ready:
        raise NotRunningError(
            f"The system on {home.root} is not ready yet.", "Try again in a few seconds."
        )
    return note


def read_token(path: Path) -> str:
    """The token in a file; CommandError if there is none."""
    try:
        token = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CommandError(
            f"The token file {path} cannot be read: {reason}.",
            "Put the token, and nothing else, into a file that only you can read.",
            MISUSED,
        ) from error
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandError(
            f"The file {path} holds no token.",
            "Put the token, and nothing else, into it: one line that begins with msb_.",
            MISUSED,
        )
    return token


def _address(api: str) -> str:
    address = urlsplit(api if "://" in api else f"http://{api}")
    try:
        sound = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        sound = False
    if not sound or address.username is not None:
        raise CommandError(
            f"{api!r} is not the address of a system.",
            "Give it as http://host:port or https://host.",
            MISUSED,
        )
    return f"{address.scheme}://{address.netloc}{address.path.rstrip('/')}"
