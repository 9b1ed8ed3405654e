"""The HTTP application: routes, problems and middleware, not yet connected to anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from servicekit.admin import Readiness
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

import contracts
from gateway import openapi, operations, problems
from gateway.access import routes as access
from gateway.access.authenticator import Authenticator
from gateway.access.door import Door
from gateway.access.guard import Guard
from gateway.artifacts import routes as artifacts
from gateway.context import Gateway
from gateway.deadletters import routes as deadletters
from gateway.edge.bodies import BodyLimit
from gateway.edge.revalidation import Revalidation
from gateway.edge.telemetry import Telemetry
from gateway.installation import capabilities, estimates
from gateway.installation import routes as installation
from gateway.jobs import changes, submissions
from gateway.jobs import routes as jobs
from gateway.live import logs, playback, sockets, sse, timeline
from gateway.oversight import audit, usage
from gateway.pipelines import routes as pipelines
from gateway.profiles import routes as profiles
from gateway.settings import Settings
from gateway.traces import routes as traces
from gateway.uploads import routes as uploads
from gateway.webhooks import routes as webhooks

_PAGE = Path(__file__).parent / "page"
_PAGES = {"/": "index.html", "/docs": "docs.html", "/asyncapi": "asyncapi.html"}
# A tenth of the bytes of all scripts, which browsers have no use for.
_REMARK = re.compile(r"^ *//.*\n", re.MULTILINE)
_CONTRACTS = Path(contracts.__file__).parent
_DOCUMENTS = {"/asyncapi.json": "application/json", "/asyncapi.yaml": "application/yaml"}
# What pages of other sites (MYSPINBOT_ALLOWED_ORIGINS) may send and read, beside the usual.
_ASKED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
    "traceparent",
)
_TOLD_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
)


class _Page(StaticFiles):
    """The page's files, asked for anew each time: parts of two versions must never meet."""

    def file_response(self, *args: Any, **named: Any) -> Response:
        """The file, or that it is still the same; scripts without their remarks."""
        answer = super().file_response(*args, **named)
        if isinstance(answer, FileResponse) and str(answer.path).endswith(".js"):
            same = {name: answer.headers[name] for name in ("ETag", "Last-Modified")}
            remarked = Path(answer.path).read_text("utf-8")
            answer = Response(_REMARK.sub("", remarked), 200, same, answer.media_type)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def build(readiness: Readiness) -> FastAPI:
    """The routes. Those that need the system answer 503 until `connect` was called."""
    app = FastAPI(
        title="MySpinBot",
        version="1",
        summary="Photos and a short voice clip become a talking video, on your own machine.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        # Our own middleware also knows about the log; two spans for a request tell nothing more.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.readiness = readiness
    modules = (
        access,
        submissions,
        jobs,
        changes,
        uploads,
        artifacts,
        profiles,
        pipelines,
        capabilities,
        installation,
        estimates,
        operations,
        timeline,
        logs,
        traces,
        sse,
        playback,
        sockets,
        webhooks,
        deadletters,
        usage,
        audit,
    )
    for module in modules:
        app.include_router(module.router)
    routes = [
        route for module in modules for route in module.router.routes if isinstance(route, Route)
    ]

    def methods(path: str) -> set[str]:
        fitting = (route.methods for route in routes if route.path_regex.fullmatch(path))
        return {method for taken in fitting for method in taken or ()}

    problems.install(app, methods)

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi.describe(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]

    for path, name in _PAGES.items():
        _serve(app, path, _PAGE / name)
    for path, media_type in _DOCUMENTS.items():
        _serve(app, path, _CONTRACTS / path[1:], media_type)
    app.mount("/page", GZipMiddleware(_Page(directory=_PAGE)))
    return app


def _serve(app: FastAPI, path: str, file: Path, media_type: str | None = None) -> None:
    """Answer with a file, which may be another one when the gateway was updated."""

    async def answer() -> FileResponse:
        return FileResponse(file, media_type=media_type, headers={"Cache-Control": "no-cache"})

    app.add_api_route(path, answer, name=file.name, include_in_schema=False)


def connect(app: FastAPI, gateway: Gateway) -> None:
    """From now on the routes work."""
    app.state.gateway = gateway


def close(app: FastAPI) -> None:
    """What is sent without end ends now."""
    if (gateway := getattr(app.state, "gateway", None)) is not None:
        gateway.live.closing.set()


def guarded(app: FastAPI, settings: Settings, authenticator: Authenticator) -> ASGIApp:
    """The application as it faces the network."""
    inner: ASGIApp = Door(Revalidation(BodyLimit(app)), authenticator, settings.origins)
    if settings.origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=sorted(settings.origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=_ASKED_HEADERS,
            expose_headers=_TOLD_HEADERS,
        )
    return Telemetry(Guard(inner, settings))
