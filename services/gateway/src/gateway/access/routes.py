"""Sessions and API tokens over HTTP."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated

from contracts.base import Contract, Id, JsonNumber, Timestamp
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from gateway.access import sessions
from gateway.access.authenticator import address_of, local_session
from gateway.access.door import require
from gateway.access.principal import Mode, Principal, Scope
from gateway.access.sessions import Session
from gateway.access.tokens import SECRET_BYTES, Presented, TokenName, TokenRecord, digest
from gateway.context import Gateway, MaybePrincipal, TheGateway, ThePrincipal
from gateway.idempotency import IdempotencyKey, claim, keyed_id
from gateway.problems import Problem, ProblemKind

router = APIRouter(prefix="/api", tags=["access"])

_MOST_TOKENS = 200


class SessionView(Contract):
    """Who is signed in, and how one signs in here."""

    mode: Mode
    signed_in: bool
    owner: Id | None = None
    scopes: tuple[Scope, ...] = ()
    expires_at: Timestamp | None = None


class SignIn(Contract):
    """What a session is begun with."""

    token: Annotated[str, Field(min_length=1, max_length=8192)] = Field(
        description="an API token, or a JWT of the identity provider"
    )


class TokenDraft(Contract):
    """A token to be made."""

    name: TokenName = Field(description="what it is for")
    scopes: tuple[Scope, ...] = Field(default=(Scope.READ, Scope.WRITE), min_length=1, max_length=3)
    owner: Id | None = Field(
        default=None, description="whose it will be; for others than oneself this takes `admin`"
    )
    expires_in_days: Annotated[int, Field(ge=1, le=3650), JsonNumber] | None = None


class TokenView(Contract):
    """A token, without what makes it work."""

    token_id: Id
    name: str
    owner: Id
    scopes: tuple[Scope, ...]
    created_at: Timestamp
    expires_at: Timestamp | None


class NewToken(TokenView):
    """A token that was just made."""

    token: str = Field(description="to be kept secret; it is shown only now")


class TokenList(Contract):
    """One page of tokens, newest first."""

    tokens: tuple[TokenView, ...]
    next: Id | None


@router.get("/session")
async def get_session(gateway: TheGateway, principal: MaybePrincipal) -> SessionView:
    """Who is signed in. Needs no credentials."""
    return _session_view(gateway, principal)


@router.post("/session")
async def begin_session(
    draft: SignIn,
    request: Request,
    response: Response,
    gateway: TheGateway,
    key: IdempotencyKey = None,
) -> SessionView:
    """Exchange a token for a session of the page: a cookie that no script can read.

    The session lasts a week, and no longer than its token. Nothing is kept of it here, so
    that signing in again changes nothing, with an idempotency key or without.
    """
    del key
    access = gateway.access
    if access.mode is Mode.LOCAL:
        session = local_session(access)
    else:
        try:
            principal = await access.verify(draft.token)
        except Problem as problem:
            if problem.kind is ProblemKind.UNAUTHENTICATED:
                access.failed(address_of(request.scope))
            raise
        session = Session.of(principal, access.now())
    response.headers["Set-Cookie"] = sessions.set_cookie(
        access.sessions.seal(session),
        session.expires_at - access.now(),
        secure=request.url.scheme == "https",
    )
    return _session_view(gateway, session.principal())


@router.delete("/session", status_code=204)
async def end_session(request: Request) -> Response:
    """Sign the page out."""
    gone = sessions.set_cookie("", timedelta(0), secure=request.url.scheme == "https")
    # Results are kept by the browser for long, and whoever signs in next may be somebody else.
    return Response(status_code=204, headers={"Set-Cookie": gone, "Clear-Site-Data": '"cache"'})


@router.post("/tokens", status_code=201)
async def create_token(
    draft: TokenDraft, gateway: TheGateway, principal: ThePrincipal, key: IdempotencyKey = None
) -> NewToken:
    """Make a token for a program, or for somebody else.

    Repeated with the same idempotency key it is the same token with a new secret, and the
    secret that was told before, if it arrived, is void.
    """
    record, secret = _minted(draft, gateway, principal, key)
    await claim(gateway.config, principal.owner, key, "/api/tokens", draft.model_dump_json())
    await _keep(gateway, record, replaces=key is not None)
    return NewToken(**_view(record).model_dump(), token=str(Presented(record.token_id, secret)))


@router.get("/tokens")
async def list_tokens(
    gateway: TheGateway,
    principal: ThePrincipal,
    before: Annotated[Id | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> TokenList:
    """One's own tokens, and everybody's for an administrator; newest first."""
    found = gateway.access.book.of(_visible_owner(principal))
    start = 0
    if before is not None:
        ids = [record.token_id for record in found]
        if before not in ids:
            raise Problem(
                ProblemKind.INVALID_REQUEST,
                "`before` names no token.",
                "Take it from `next` of an earlier page, or leave it out.",
            )
        start = ids.index(before) + 1
    page = found[start : start + limit]
    more = len(found) > start + limit
    return TokenList(
        tokens=tuple(_view(record) for record in page),
        next=page[-1].token_id if more else None,
    )


@router.delete("/tokens/{token}", status_code=204)
async def revoke_token(token: str, gateway: TheGateway, principal: ThePrincipal) -> Response:
    """Revoke a token: it stops working at once, and its sessions and streams end."""
    record = gateway.access.book.find(token)
    if record is None or _visible_owner(principal) not in (None, record.owner):
        raise Problem(
            ProblemKind.NO_SUCH_TOKEN,
            "No token of yours has this id.",
            "GET /api/tokens lists your tokens.",
        )
    await gateway.config.delete(record.key)
    gateway.access.book.forget(record.token_id)
    return Response(status_code=204)


def _visible_owner(principal: Principal) -> str | None:
    """Whose tokens somebody may see and revoke; None for everybody's."""
    return None if principal.allows(Scope.ADMIN) else principal.owner


def _minted(
    draft: TokenDraft, gateway: Gateway, principal: Principal, key: str | None
) -> tuple[TokenRecord, str]:
    """A token as the draft wants it, within what its maker may give; Problem if not."""
    owner = draft.owner or principal.owner
    if owner != principal.owner:
        require(principal, Scope.ADMIN)
    for scope in draft.scopes:
        require(principal, scope)
    now = gateway.access.now()
    ends = now + timedelta(days=draft.expires_in_days) if draft.expires_in_days else None
    if principal.credential.startswith("token:") and principal.expires_at is not None:
        # A token that ends must not outlive itself by making others.
        ends = min(ends or principal.expires_at, principal.expires_at)
    secret = secrets.token_hex(SECRET_BYTES)
    record = TokenRecord(
        token_id=keyed_id(principal.owner, key) if key else gateway.new_id(),
        name=draft.name,
        owner=owner,
        scopes=tuple(sorted(set(draft.scopes), key=tuple(Scope).index)),
        created_at=now,
        expires_at=ends,
        secret_sha256=digest(secret),
    )
    return record, secret


async def _keep(gateway: Gateway, record: TokenRecord, *, replaces: bool) -> None:
    """Write the token down. `replaces` if the same request may have been sent before."""
    book, values = gateway.access.book, gateway.config
    if len(book.of(record.owner)) >= _MOST_TOKENS:
        raise Problem(
            ProblemKind.TOO_MANY_TOKENS,
            f"{record.owner} has {_MOST_TOKENS} tokens already.",
            "Revoke those that are not used any more.",
            limit=_MOST_TOKENS,
        )
    if replaces:
        await values.put(record.key, record.to_json())
    else:
        await values.create(record.key, record.to_json())
    book.note(record)


def _view(record: TokenRecord) -> TokenView:
    return TokenView(**record.model_dump(exclude={"secret_sha256"}))


def _session_view(gateway: Gateway, principal: Principal | None) -> SessionView:
    if principal is None:
        return SessionView(mode=gateway.access.mode, signed_in=False)
    return SessionView(
        mode=gateway.access.mode,
        signed_in=True,
        owner=principal.owner,
        scopes=tuple(scope for scope in Scope if scope in principal.scopes),
        expires_at=principal.expires_at,
    )
