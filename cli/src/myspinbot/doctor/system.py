"""The system that runs: does every part answer, is anybody there to work, do clocks agree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from myspinbot.client import AsyncClient, ClientError
from myspinbot.client.replies import Capabilities, Session
from myspinbot.doctor import machine
from myspinbot.doctor.findings import Finding, failed, passed, warned
from myspinbot.embedded.home import Home
from myspinbot.embedded.probe import answers_ok, waits_for
from myspinbot.screen import size

_PARTS = {
    "nats_monitor": ("broker", "/healthz", "nats"),
    "s3": ("objects", "/healthz", "weed"),
    "planner_admin": ("planner", "/ready", "planner"),
    "projector_admin": ("projector", "/ready", "projector"),
    "runner_admin": ("runner", "/ready", "gpu-runner"),
}
"""Parts of the local system by their ports: name, what to ask, and the name of the log."""


async def check_parts(home: Home) -> AsyncIterator[Finding]:
    """Whether every process of the local system does its work."""
    ports = home.note().ports
    for port, (name, path, log) in _PARTS.items():
        if port in ports and await answers_ok(ports[port], path):
            yield passed(name, f"ready at port {ports[port]}")
        elif port in ports and path == "/ready" and (waits := await waits_for(ports[port])):
            yield waiting(name, waits)
        else:
            yield failed(
                name,
                "It does not answer, or is not ready.",
                f"Its log says why: {home.logs / log}.log (`up` starts again what has died).",
            )


async def check_gateway(client: AsyncClient) -> AsyncIterator[Finding]:
    """What can be seen of a system through its gateway, wherever it runs."""
    try:
        yield ready(client.api, await client.readiness())
    except ClientError as error:
        yield failed("gateway", error.cause, error.remedy)
        return
    try:
        async for finding in _inside(client):
            yield finding
    except ClientError as error:
        yield failed("gateway", error.cause, error.remedy)


async def _inside(client: AsyncClient) -> AsyncIterator[Finding]:
    sent = datetime.now(UTC)
    if (date := await client.server_time()) is not None:
        yield machine.clock(parsedate_to_datetime(date), sent, datetime.now(UTC))
    session = await client.session()
    yield access(session)
    if not session.signed_in:
        return
    for finding in engines(await client.capabilities()):
        yield finding


def ready(api: str, said: Mapping[str, Any]) -> Finding:
    """What `/ready` says."""
    if said.get("ready"):
        return passed("gateway", f"ready at {api}")
    return waiting("gateway", [str(what) for what in said.get("waitingFor", ())])


def waiting(name: str, waits: Sequence[str]) -> Finding:
    """What a service that is not ready says, and what to do about it."""
    halts = [what.removeprefix("operator: ") for what in waits if what.startswith("operator: ")]
    if halts:
        found, _, remedy = halts[0].partition("; ")
        return failed(
            name, f"It goes no further: {found}.", f"{remedy[:1].upper()}{remedy[1:]}.".lstrip(".")
        )
    return failed(
        name,
        f"The {name} waits for: {', '.join(waits) or 'something'}.",
        "Wait a moment if it is just starting; else look at the log of what it waits for.",
    )


def access(session: Session) -> Finding:
    """Whether one is let in."""
    if not session.signed_in:
        return failed(
            "access",
            f"The system asks for credentials ({session.mode}), and there are none that it knows.",
            "Set MYSPINBOT_TOKEN, or give --token-file; `myspinbot tokens create` makes one.",
        )
    scopes = f" with the scopes {' '.join(session.scopes)}" if session.scopes else ""
    return passed("access", f"{session.mode}: in as {session.owner}{scopes}")


def engines(found: Capabilities) -> Iterator[Finding]:
    """Whether somebody is there to work, and with what."""
    able = {kind for kind, each in found.kinds.items() if any(one.available for one in each)}
    if not found.kinds:
        yield failed(
            "engines",
            "No runner lives: jobs would wait.",
            "Start one; if one should run, its log says why it does not.",
        )
        return
    if idle := sorted(found.kinds.keys() - able):
        yield warned(
            "engines",
            f"Nobody can do {', '.join(idle)}: the weights are missing.",
            "`myspinbot models` says how to get them.",
        )
    else:
        yield passed("engines", f"{len(able)} kinds of stages can be done")
    missing = [w for each in found.kinds.values() for one in each for w in one.missing]
    if missing and able:
        names = ", ".join(f"{w.name} ({size(w.size_bytes)})" for w in missing)
        yield passed("weights", f"optional, not installed: {names}; see `myspinbot models`")
