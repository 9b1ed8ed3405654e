"""Consent as a command is told it: whose face or voice it is, and what it may be used for."""

from __future__ import annotations

from collections.abc import Collection

import typer
from contracts.consent import Basis, Likeness, Statement
from pydantic import ValidationError

from myspinbot.errors import MISUSED, CommandError
from myspinbot.screen import somebody_there

MYSELF = "myself"
NOBODY = "nobody"
_BASES = {MYSELF: Basis.SELF, NOBODY: Basis.NOBODY}
_WHOSE = (
    f"Whose {{}} is it? `{MYSELF}`, the name of a person whose permission you have, "
    f"or `{NOBODY}` if it is drawn or synthetic"
)
_PURPOSE = "What may it be used for?"


def stated(who: str | None, purpose: str | None, covers: Collection[Likeness]) -> Statement | None:
    """What is said about a face or a voice; None if none is used and nothing is said.

    Asks for what is missing where somebody can be asked, and is a CommandError where not.
    """
    if who is None and not covers:
        return None
    used = " and ".join(one.value for one in Likeness if one in covers) or "likeness"
    who = who or _asked(_WHOSE.format(used))
    purpose = purpose or _asked(_PURPOSE)
    # Of a profile it is not known here what it has: what is said is said of all of it.
    return statement(who, basis_of(who), purpose, covers or tuple(Likeness))


def basis_of(who: str) -> Basis:
    """On what ground somebody may be shown and heard, by how they are named."""
    return _BASES.get(who.strip().lower(), Basis.PERMISSION)


def statement(who: str, basis: Basis, purpose: str, covers: Collection[Likeness]) -> Statement:
    """The statement; CommandError if its words cannot be taken."""
    try:
        return Statement(who=who, basis=basis, purpose=purpose, covers=tuple(covers))
    except ValidationError as error:
        first = error.errors()[0]
        option = "--purpose" if "purpose" in first["loc"] else "--consent"
        raise CommandError(
            f"{option}: {first['msg']}.", "Say it in a few words.", MISUSED
        ) from None


def _asked(question: str) -> str:
    if not somebody_there():
        raise CommandError(
            "A face or a voice is used, and it is not said that it may.",
            f"Add --consent {MYSELF}, or --consent NAME if you have that person's permission, or "
            f"--consent {NOBODY} if it is drawn or synthetic; and --purpose, what it is for.",
            MISUSED,
        )
    return str(typer.prompt(question, err=True))
