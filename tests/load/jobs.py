"""`make bench-jobs`: what a job costs besides its work, here and in other systems.

One job is three stages, one after the other, which do nothing. It is asked for over REST, told as
completed over a WebSocket, and read back over REST. Jobs come one by one for their latency, then
all at once for what goes through. With `--peers`, scripts that let other systems do the same take
turns with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import websockets

from tests.load import peers, trivial
from tests.load.main_job import MIB, MemoryPeak
from tests.support.stack import RunningStack, running_stack

_WARM = 20
_STAGES = 3
_PER_SOCKET = 900
_PATIENCE_S = 600.0
_OURS = "MySpinBot"
_ROOT = Path(__file__).parents[2]
_GRAPH = {
    "stages": [{"id": f"s{number}", "kind": trivial.KIND} for number in range(_STAGES)],
    "edges": [{"source": f"s{n}", "target": f"s{n + 1}"} for n in range(_STAGES - 1)],
}


@dataclass(slots=True)
class Client:
    """Asks for jobs, and is told when each has ended."""

    http: httpx.AsyncClient
    sockets: list[websockets.ClientConnection]
    ended: dict[str, asyncio.Event] = field(default_factory=dict)

    async def job(self) -> None:
        """One job, from asking for it to reading that it is completed."""
        body = {"type": "pipeline", "graph": _GRAPH, "seed": time.time_ns() % (1 << 31)}
        answer = await self.http.post("/api/jobs", json=body)
        answer.raise_for_status()
        job = answer.json()["jobId"]
        ended = self.ended[job] = asyncio.Event()
        socket = self.sockets[len(self.ended) // _PER_SOCKET]
        await socket.send(json.dumps({"action": "subscribe", "jobId": job}))
        async with asyncio.timeout(_PATIENCE_S):
            await ended.wait()
        told = (await self.http.get(f"/api/jobs/{job}")).json()
        if told["status"] != "completed":
            raise SystemExit(f"a job ended as {told['status']}: {told['failure']}")

    async def listen(self, socket: websockets.ClientConnection) -> None:
        """Wake who waits for a job that has ended."""
        async for text in socket:
            message = json.loads(text)
            if message.get("status") in ("completed", "failed", "cancelled"):
                self.ended[message["jobId"]].set()


@asynccontextmanager
async def connected(api: str, jobs: int) -> AsyncIterator[Client]:
    """A client with enough sockets for so many jobs."""
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=api, timeout=_PATIENCE_S, limits=limits) as http:
        url = api.replace("http", "ws", 1) + "/ws"
        count = jobs // _PER_SOCKET + 1
        sockets = [await websockets.connect(url) for _ in range(count)]
        client = Client(http, sockets)
        listeners = [asyncio.create_task(client.listen(socket)) for socket in sockets]
        yield client
        for listener in listeners:
            listener.cancel()
        for socket in sockets:
            await socket.close()


def cpu_s(stack: RunningStack) -> dict[str, float]:
    """Processor seconds by process, those of ended children and of this client included."""
    spent = {"client": sum(psutil.Process().cpu_times()[:2])}
    for process in psutil.Process(stack.process.pid).children():
        words = process.cmdline()
        name = next((word for word in words if word.endswith(".main")), Path(words[0]).name)
        spent[name] = sum(process.cpu_times()[:4])
    return spent


async def measure(stack: RunningStack, one_by_one: int, at_once: int) -> peers.Run:
    """Both passages."""
    async with connected(stack.api, _WARM + one_by_one + at_once) as client:
        for _ in range(_WARM):
            await client.job()
        before, latencies = cpu_s(stack), []
        for _ in range(one_by_one):
            begun = time.perf_counter()
            await client.job()
            latencies.append((time.perf_counter() - begun) * 1000)
        _tell("one by one", before, cpu_s(stack), one_by_one)
        before, begun = cpu_s(stack), time.perf_counter()
        await asyncio.gather(*(client.job() for _ in range(at_once)))
        jobs_per_s = at_once / (time.perf_counter() - begun)
        cpu_ms = _tell("at once", before, cpu_s(stack), at_once)
    latencies.sort()
    p99_ms = latencies[min(len(latencies) - 1, int(0.99 * len(latencies)))]
    return peers.Run(statistics.median(latencies), p99_ms, jobs_per_s, cpu_ms)


def _tell(what: str, before: dict[str, float], after: dict[str, float], jobs: int) -> float:
    each = {name: 1000 * (after[name] - before.get(name, 0.0)) / jobs for name in after}
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in each.items())
    whole = sum(each.values())
    print(f"  {what}: {whole:.1f} ms of processor time a job: {parts}", flush=True)
    return whole


def passage(one_by_one: int, at_once: int, ready_s: list[float], pss: list[float]) -> peers.Run:
    """One run on a new home; notes how soon it was ready and the memory of its services."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "home") as stack:
        ready_s.append(time.monotonic() - begun)
        peak = MemoryPeak(stack)
        run = asyncio.run(measure(stack, one_by_one, at_once))
        peak.stop()
        pss.append(peak.bytes / MIB)
    return run


def main() -> None:
    """Run by turns with the peers, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one-by-one", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="folder of the other systems' scripts")
    parser.add_argument("--venvs", type=Path, help="folder with a virtual environment for each")
    arguments = parser.parse_args()
    os.environ["MYSPINBOT_ENGINES"] = f"{trivial.__name__}:ENGINES"
    os.environ["PYTHONPATH"] = str(_ROOT)
    others = peers.found(arguments.peers, arguments.venvs) if arguments.peers else ()
    runs: dict[str, list[peers.Run]] = {_OURS: []}
    ready_s: list[float] = []
    pss: list[float] = []
    for _ in range(arguments.runs):
        runs[_OURS].append(passage(arguments.one_by_one, arguments.at_once, ready_s, pss))
        for peer in others:
            if (run := peer.run()) is not None:
                runs.setdefault(peer.name, []).append(run)
    medians = {name: peers.median(several) for name, several in runs.items()}
    print(f"load average of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for name, run in medians.items():
        print(f"{name:<24} {run}")
    goals = peers.judged(medians.pop(_OURS), medians)
    goals.at_most("stack ready", statistics.median(ready_s), 4, "s")
    goals.at_most("broker and four services, peak PSS", statistics.median(pss), 320, "MiB")
    goals.print()


if __name__ == "__main__":
    main()
