"""Consent: that people have agreed to the use of their face or voice, and to what.

What was said is a `Statement`, which names people and is therefore an object in the store; the
log holds only that there is one (`contracts.events.ConsentGiven`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from contracts.base import Contract, Timestamp

_INPUTS = {"photos": "face", "faces": "face", "lora": "face", "clip": "voice", "voice": "voice"}


class Likeness(StrEnum):
    """What of a person a job uses."""

    FACE = "face"
    VOICE = "voice"


class Basis(StrEnum):
    """Why somebody may say that a likeness can be used."""

    SELF = "self"
    """It is their own."""
    PERMISSION = "permission"
    """They have the person's permission."""
    NOBODY = "nobody"
    """It is no real person's: drawn, or made by a program."""


def _in_order(covers: tuple[Likeness, ...]) -> tuple[Likeness, ...]:
    return tuple(likeness for likeness in Likeness if likeness in covers)


Covers = Annotated[tuple[Likeness, ...], Field(min_length=1), AfterValidator(_in_order)]
"""What a consent is for: each once, and in one order, however it was written."""


def _words(most: int) -> StringConstraints:
    return StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=most,
        pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$",
    )


class Statement(Contract):
    """Who agrees to what. It tells of people, so it lies in the store and goes with their job."""

    who: Annotated[str, _words(200)] = Field(
        description="whose face or voice it is: their name, or `myself`"
    )
    basis: Basis = Field(
        description="self: whoever sends this is that person; permission: they have that person's "
        "permission; nobody: it is no real person, but drawn or synthetic"
    )
    purpose: Annotated[str, _words(1000)] = Field(description="what it may be used for")
    covers: Covers = Field(description="what may be used")
    given_at: Timestamp | None = Field(
        default=None, description="when it was given; now, if it is left out"
    )


def likenesses(inputs: Iterable[str]) -> frozenset[Likeness]:
    """What of people the inputs of a request hold, by their names."""
    return frozenset(Likeness(_INPUTS[name]) for name in inputs if name in _INPUTS)
