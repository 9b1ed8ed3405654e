"""For operators: is the gateway alive, can it work, what has it counted; and what problems mean."""

from __future__ import annotations

from typing import Literal

from contracts.base import Contract
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from servicekit.admin import Readiness
from servicekit.metrics import render

from gateway.problems import Problem, ProblemKind

router = APIRouter(tags=["operations"])


class HealthView(Contract):
    """The process lives."""

    status: Literal["ok"] = "ok"


class ReadyView(Contract):
    """Whether requests can be served."""

    ready: bool
    waiting_for: tuple[str, ...] = Field(description="what is waited for if not")


class ProblemKindView(Contract):
    """A kind of problem."""

    type: str
    title: str
    status: int


@router.get("/health")
async def health() -> HealthView:
    """The process lives."""
    return HealthView()


@router.get(
    "/ready",
    response_model=ReadyView,
    responses={503: {"model": ReadyView, "description": "Not yet, or not now"}},
)
async def ready(request: Request) -> JSONResponse:
    """Whether requests can be served, and what is waited for if not."""
    readiness: Readiness = request.app.state.readiness
    described = readiness.describe()
    gateway = getattr(request.app.state, "gateway", None)
    if gateway is not None and not gateway.broker.connected:
        described = {"ready": False, "waitingFor": [*described["waitingFor"], "broker"]}
    return JSONResponse(described, 200 if described["ready"] else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Prometheus metrics, as OpenMetrics for who accepts it."""
    text, media_type = render(request.headers.get("accept"))
    return Response(text, media_type=media_type)


@router.get("/problems")
async def list_problems() -> list[ProblemKindView]:
    """Every kind of problem that the API tells of."""
    return [_described(kind) for kind in ProblemKind]


@router.get("/problems/{slug}")
async def get_problem(slug: str) -> ProblemKindView:
    """One kind of problem: where the `type` of a problem document leads."""
    for kind in ProblemKind:
        if kind.slug == slug:
            return _described(kind)
    raise Problem(
        ProblemKind.NOT_FOUND, "No problem has this name.", "GET /problems lists them all."
    )


def _described(kind: ProblemKind) -> ProblemKindView:
    return ProblemKindView(type=kind.uri, title=kind.title, status=kind.status)
