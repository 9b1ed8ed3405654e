"""`myspinbot tokens`: who else is let in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from myspinbot.client.replies import Token
from myspinbot.commands.options import Session, add, connected, examples, group
from myspinbot.screen import hint, plain, table, when

app = group("API tokens: secrets by which programs and people are let in.")


class Scope(StrEnum):
    """What a token is good for."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@examples(
    "myspinbot tokens create laptop",
    "myspinbot tokens create dashboard --scope read --expires 30",
    "myspinbot tokens create ada --owner ada > ada.token",
)
@connected
async def create(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What it is for.", show_default=False)
    ],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it is good for (default: read and write).", show_default=False),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(help="Whose jobs and profiles it opens (admins only).", show_default=False),
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option(min=1, help="Days that it lasts.", show_default=False),
    ] = None,
) -> None:
    """Make a token; prints its secret, which is shown only now."""
    made = await session.client.tokens.create(
        name,
        [each.value for each in scope or (Scope.READ, Scope.WRITE)],
        owner=owner,
        expires_in_days=expires,
    )

    def text() -> None:
        plain(made.token or "")
        hint(f"Keep it: it is not shown again. `myspinbot tokens revoke {made.token_id}` ends it.")

    session.show(made, text)


@examples("myspinbot tokens list")
@connected
async def list_tokens(session: Session) -> None:
    """List the tokens, without their secrets."""
    found = await session.client.tokens.list()
    headings = ("token", "name", "owner", "scopes", "created", "expires")

    def text() -> None:
        table(headings, map(_cells, found))
        if not found:
            hint("No tokens. `myspinbot tokens create NAME` makes one.")

    session.show({"tokens": found}, text)


@examples("myspinbot tokens revoke 7f3a…")
@connected
async def revoke(
    session: Session,
    token_id: Annotated[
        str, typer.Argument(metavar="TOKEN", help="The token's id.", show_default=False)
    ],
) -> None:
    """End a token: at once, nobody is let in with it any more."""
    await session.client.tokens.revoke(token_id)
    session.show({"revoked": token_id}, lambda: hint(f"Revoked: {token_id}."))


def _cells(token: Token) -> tuple[str, ...]:
    scopes = " ".join(token.scopes)
    expires = when(token.expires_at) or "never"
    return token.token_id, token.name, token.owner, scopes, when(token.created_at), expires


add(app, "create", create)
add(app, "list", list_tokens)
add(app, "revoke", revoke)
