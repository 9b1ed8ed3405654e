"""What a hostile input is, and the register of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar


class Place(StrEnum):
    """Where an input is put in, and so what its function makes."""

    PHOTO = "photo"
    """The bytes of a file."""
    CLIP = "clip"
    MUSIC = "music"
    NAME = "name"
    """What a photo is said to be called, as `str`."""
    REQUEST = "request"
    """A `Sent`."""
    SOCKET = "socket"
    """The messages for a WebSocket, as a list of `str` and `bytes`."""
    WIRE = "wire"
    """The bytes for a TCP connection."""
    TARGET = "target"
    """The URL of a webhook."""
    SCRIPT = "script"
    """A topic for a script, as `str`."""
    WEIGHTS = "weights"
    """A path within the folder that the function is given."""
    KEYS = "keys"
    """The bytes of a backup's archive of keys."""
    CHECKPOINT = "checkpoint"
    """The bytes of the archive from which a training would go on."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request."""

    method: str
    path: str
    content: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway's answer: a problem document of this status and kind."""

    status: int
    problem: str
    about: str = ""
    """What its detail begins with, where another mistake could have the same kind."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The gateway cannot know better; what works on it refuses with one of these codes."""

    codes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Harmless:
    """It is taken for what it is, and does nothing that it tries."""


Expected = Refused | Failed | Harmless
Make = TypeVar("Make", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Hostile:
    """One input."""

    name: str
    tries: str
    place: Place
    expected: Expected
    make: Callable[..., Any]


_KNOWN: dict[str, Hostile] = {}


def refused(status: int, problem: str, about: str = "") -> Refused:
    """Expect a problem document."""
    return Refused(status, problem, about)


def failed(*codes: str) -> Failed:
    """Expect a stage, or whoever reads it, to refuse with one of these codes."""
    return Failed(frozenset(codes))


def hostile(place: Place, expected: Expected) -> Callable[[Make], Make]:
    """Enter a function into the corpus."""

    def enter(make: Make) -> Make:
        name = f"{place}-{make.__name__}"
        if name in _KNOWN or not make.__doc__:
            raise ValueError(f"{name} is there already, or does not say what it tries")
        _KNOWN[name] = Hostile(name, make.__doc__, place, expected, cache(make))
        return make

    return enter


def known() -> tuple[Hostile, ...]:
    """What was entered so far."""
    return tuple(_KNOWN.values())
