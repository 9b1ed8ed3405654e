"""The metrics of all services of a stack at one address, each with the label `service`.

Prometheus, or a person with curl, then needs one address and not four. It listens on loopback
only, and what is asked for is fetched anew each time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from myspinbot.embedded.home import LOOPBACK
from myspinbot.embedded.supervision import Phase, State

_PATIENCE_S = 5.0
_HEAD_BYTES = 16 << 10
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass(frozen=True, slots=True)
class Merged(Collector):
    """Families of several sources as one answer."""

    families: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield from self.families


async def gather(ports: Mapping[str, int]) -> Mapping[str, list[Metric]]:
    """The metrics of each service, by its port for operators. One that does not answer has none."""
    answers = await asyncio.gather(*(_fetch(port) for port in ports.values()))
    return {service: _read(answer) for service, answer in zip(ports, answers, strict=True)}


def _read(answer: str | None) -> list[Metric]:
    try:
        families = text_string_to_metric_families(answer or "# EOF\n")  # type: ignore[no-untyped-call]
        return list(families)
    except ValueError:
        # A service that ends while it answers leaves half of it.
        return []


def merge(by_service: Mapping[str, Iterable[Metric]]) -> list[Metric]:
    """One family of each name, with the samples of all services under the label `service`."""
    merged: dict[str, Metric] = {}
    for service, families in by_service.items():
        for family in families:
            into = merged.setdefault(
                family.name, Metric(family.name, family.documentation, family.type, family.unit)
            )
            into.samples += [_labelled(sample, service) for sample in family.samples]
    return sorted(merged.values(), key=lambda family: family.name)


def _labelled(sample: Sample, service: str) -> Sample:
    return sample._replace(labels={"service": service, **sample.labels})


def of_programs(states: Mapping[str, State]) -> list[Metric]:
    """How the programs of the stack stand, by the supervisor."""
    up = GaugeMetricFamily(
        "myspinbot_stack_program_ready", "1 while a program does its work", labels=["program"]
    )
    deaths = GaugeMetricFamily(
        "myspinbot_stack_program_deaths", "Deaths of a program in a row", labels=["program"]
    )
    for name, state in states.items():
        up.add_metric([name], float(state.phase is Phase.READY))
        deaths.add_metric([name], state.deaths)
    return [up, deaths]


async def _fetch(port: int) -> str | None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                lines = ("GET /metrics HTTP/1.0", f"Host: {LOOPBACK}", f"Accept: {_OPENMETRICS}")
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                if head.split()[1:2] == [b"200"]:
                    return body.decode()
            finally:
                writer.close()
    return None


@contextlib.asynccontextmanager
async def served(
    port: int, ports: Mapping[str, int], states: Callable[[], Mapping[str, State]]
) -> AsyncIterator[None]:
    """Answer `GET /metrics` at a port of loopback while the context lasts."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(_PATIENCE_S):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            writer.write(await _answer(head))
            await writer.drain()
        writer.close()

    async def _answer(head: str) -> bytes:
        request, *fields = head.split("\r\n")
        if request.split()[:2] != ["GET", "/metrics"]:
            return _response("404 Not Found", "text/plain", b"GET /metrics is all there is.\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        families = merge(await gather(ports)) + of_programs(states())
        encode, media_type = choose_encoder(headers.get("accept", ""))
        return _response("200 OK", media_type, encode(Merged(families)))

    server = await asyncio.start_server(answer, LOOPBACK, port, limit=_HEAD_BYTES)
    async with server:
        yield


def _response(status: str, media_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
