"""What jobs were given, showed and made, over HTTP: the bytes, thumbnails and signed links."""

# Annotations are evaluated here, as some are made for each kind of objects.

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from contracts.artifacts import Artifact
from contracts.base import Contract, JsonNumber, Timestamp
from eventlog.log import utc_now
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import Field

from gateway import idempotency
from gateway.artifacts import thumbnails
from gateway.artifacts.downloads import BYTES, CACHING, TheWanted, known, send
from gateway.context import Owner, TheGateway
from gateway.idempotency import IdempotencyKey
from gateway.jobs.routes import find
from gateway.jobs.views import FILES, numbered_samples
from gateway.problems import Problem, ProblemKind

router = APIRouter(prefix="/api", tags=["artifacts"])

_WEEK_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Found:
    """An object that a path leads to, and what to save it as."""

    artifact: Artifact
    name: str


class LinkDraft(Contract):
    """How long a link is to be good for."""

    expires_in_s: Annotated[int, Field(ge=10, le=_WEEK_S, description="seconds"), JsonNumber] = 3600


class LinkView(Contract):
    """An address that needs no credentials."""

    url: str = Field(description="relative to this gateway's address")
    expires_at: Timestamp


async def _artifact(
    gateway: TheGateway, owner: Owner, *, job: str, stage: str, output: str, index: int
) -> Found:
    live = await find(gateway, job, owner)
    made = live.state.stages.get(stage)
    return _at(made.outputs.get(output, ()) if made else (), index, f"{output}-{job[-8:]}", job)


async def _input(
    gateway: TheGateway,
    owner: Owner,
    job: str,
    name: Annotated[str, Path(alias="input")],
    index: int,
) -> Found:
    live = await find(gateway, job, owner)
    given = live.state.request.inputs if live.state.request and name in FILES else {}
    return _at(given.get(name, ()), index, f"{name}-{index + 1}-{job[-8:]}", job)


async def _sample(gateway: TheGateway, owner: Owner, job: str, stage: str, sample: str) -> Found:
    live = await find(gateway, job, owner)
    shown = live.state.stages.get(stage)
    named = dict(numbered_samples(shown)) if shown else {}
    found = (named[sample].artifact,) if sample in named else ()
    return _at(found, 0, f"{stage}-{sample}-{job[-8:]}", job)


def _at(artifacts: tuple[Artifact, ...], index: int, name: str, job: str) -> Found:
    if not 0 <= index < len(artifacts):
        raise Problem(
            ProblemKind.NO_SUCH_ARTIFACT,
            "The job has no such artifact, or not yet.",
            f"GET /api/jobs/{job} lists the artifacts there are.",
        )
    return Found(artifacts[index], name)


def _offer(noun: str, path: str, finder: Callable[..., Awaitable[Found]], what: str) -> None:
    """The routes of one kind of objects."""
    the_found = Annotated[Found, Depends(finder)]
    documented: dict[int | str, dict[str, Any]] = {**BYTES}

    @router.head(path, include_in_schema=False)
    @router.get(
        path,
        name=f"get_{noun}",
        summary=f"The bytes of {what}",
        response_class=Response,
        responses=documented,
    )
    async def get(
        request: Request,
        gateway: TheGateway,
        owner: Owner,
        found: the_found,
        wanted: TheWanted,
    ) -> Response:
        """The bytes, whole or in a range; what lies at an address never changes."""
        place = gateway.downloads.one(owner)
        return await send(request, gateway.store, found.artifact, found.name, wanted, place=place)

    @router.get(
        f"{path}/thumbnail",
        name=f"get_{noun}_thumbnail",
        summary=f"A small picture of {what}",
        response_class=Response,
        responses={
            200: {
                "description": "The picture",
                "content": {
                    thumbnails.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}
                },
            },
            304: {"description": "The client has it already"},
        },
    )
    async def get_thumbnail(
        gateway: TheGateway,
        found: the_found,
        size: Annotated[
            int,
            Query(
                ge=thumbnails.LEAST,
                le=thumbnails.MOST,
                description="pixels of the longer side, at most",
            ),
        ] = thumbnails.USUAL,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """A picture made smaller, as WebP, upright and without anything but its pixels."""
        etag = f'"{found.artifact.sha256}-{size}"'
        headers = {"ETag": etag, "Cache-Control": CACHING}
        if known(etag, if_none_match):
            return Response(status_code=304, headers=headers)
        data = await gateway.thumbnails.of(found.artifact, size)
        return Response(data, headers=headers, media_type=thumbnails.MEDIA_TYPE)

    @router.post(f"{path}/link", name=f"link_{noun}", summary=f"A signed link to {what}")
    async def make_link(
        request: Request,
        gateway: TheGateway,
        owner: Owner,
        _: the_found,
        draft: LinkDraft,
        key: IdempotencyKey = None,
    ) -> LinkView:
        """An address that needs no credentials, to be given away, or opened by a player."""
        target = request.url.path.removesuffix("/link")
        await idempotency.claim(gateway.config, owner, key, "link", target)
        expires_at = (utc_now() + timedelta(seconds=draft.expires_in_s)).replace(microsecond=0)
        return LinkView(
            url=gateway.access.links.sign(target, owner, expires_at), expires_at=expires_at
        )


_offer("artifact", "/jobs/{job}/artifacts/{stage}/{output}/{index}", _artifact, "a result")
_offer(
    "input", "/jobs/{job}/inputs/{input}/{index}", _input, "a photo or clip that the job was given"
)
_offer("sample", "/jobs/{job}/samples/{stage}/{sample}", _sample, "a sample")
