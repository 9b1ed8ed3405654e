"""Seeded faults on real processes, thousands of them: `python -m tests.faults.soak --faults 10000`.

Rounds of some faults each follow one another on one site. In every round jobs are asked for, faults
strike while they run, and the oracle judges what is left. A round depends on its seed alone: one
that fails is told with what repeats it. What was done is kept in a file, so a soak that was stopped
goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from servicekit.failpoints import Action, Failpoint, Trap

from tests.faults.oracle import judge, state_at_end
from tests.faults.proxy import CALM
from tests.faults.site import ACK_WAIT_S, Site, Visit, prepare, running_site, visit

JOBS = 4
FAULTS = 5
"""In each round."""
# What no ordinary job passes.
_RARE = {
    Failpoint.PLANNER_BEFORE_STOP,
    Failpoint.PLANNER_BEFORE_DEAD_LETTER,
    Failpoint.PLANNER_AFTER_DEAD_LETTER,
}
_POINTS = tuple(point for point in Failpoint if point not in _RARE)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong: its name, and how it is done and undone."""

    name: str
    strike: Callable[[Visit], Awaitable[None]]


@dataclass(slots=True)
class Tally:
    """What was done so far."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    slowest_s: float = 0.0
    """From the end of the last fault of a round to the end of its last job."""

    def text(self) -> str:
        return json.dumps(
            {
                "rounds": self.rounds,
                "faults": dict(self.faults),
                "jobs": self.jobs,
                "slowestS": round(self.slowest_s, 1),
            }
        )

    @staticmethod
    def read(path: Path) -> Tally:
        if not path.exists():
            return Tally()
        told = json.loads(path.read_text())
        return Tally(told["rounds"], Counter(told["faults"]), told["jobs"], told["slowestS"])


def drawn(chance: random.Random) -> Fault:
    """The next fault of a round."""
    kind = chance.choice(["trap"] * 4 + ["kill", "kill", "freeze", "cut", "silence", "broker"])
    service = chance.choice(["gateway", "planner", "projector", "runner"])
    pause_s = chance.uniform(0.05, 0.6)
    match kind:
        case "trap":
            point, nth = chance.choice(_POINTS), chance.randint(1, 3)
            return Fault(f"trap {point}", lambda at: _trap(at, Trap(point, Action.KILL, nth=nth)))
        case "kill":
            return Fault(f"kill {service}", lambda at: at.site.start(service))
        case "freeze":
            frozen_s = chance.choice([0.5, ACK_WAIT_S + 1.0])
            return Fault(f"freeze {service}", lambda at: _freeze(at, service, frozen_s))
        case "cut":
            way = chance.choice(["gateway-store", "runner-store", f"{service}-broker"])
            return Fault(f"cut {way}", lambda at: _cut(at, way, pause_s))
        case "silence":
            way = chance.choice(["runner-store", f"{service}-broker"])
            return Fault(f"silence {way}", lambda at: _silence(at, way, pause_s))
        case _:
            return Fault("kill broker", lambda at: _kill_broker(at, pause_s))


async def _trap(at: Visit, trap: Trap) -> None:
    """The service is started with a trap; whether it was caught in it shows when it is next due."""
    await at.site.start(trap.point.split(".")[0], trap)


async def _freeze(at: Visit, service: str, frozen_s: float) -> None:
    process = at.site.programs[service].process
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(frozen_s)
    process.send_signal(signal.SIGCONT)


async def _cut(at: Visit, way: str, pause_s: float) -> None:
    at.site.ways[way].becomes(refuses=True)
    at.site.ways[way].cut_all()
    await asyncio.sleep(pause_s)
    at.site.ways[way].weather = CALM


async def _silence(at: Visit, way: str, pause_s: float) -> None:
    at.site.ways[way].becomes(silent=True)
    await asyncio.sleep(pause_s)
    at.site.ways[way].weather = CALM


async def _kill_broker(at: Visit, pause_s: float) -> None:
    at.site.server.kill()
    await asyncio.sleep(pause_s)
    await asyncio.to_thread(at.site.server.start)
    await prepare(at.site)


async def play(site: Site, seed: int, faults: int = FAULTS) -> tuple[Counter[str], float]:
    """One round; what struck, and in how many seconds all was well after the last of it."""
    chance, struck = random.Random(seed), Counter[str]()
    async with visit(site) as at, asyncio.TaskGroup() as group:
        # Of its own also when the same round is played again.
        token = f"{seed}-{time.monotonic_ns()}"
        asking = [group.create_task(at.ask(f"soak-{token}-{job}")) for job in range(JOBS)]
        for _ in range(faults):
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            fault = drawn(chance)
            await fault.strike(at)
            struck[fault.name] += 1
            await _revive(site)
        began = time.monotonic()
        ended = asyncio.gather(*(_ended(at, asked) for asked in asking))
        while not ended.done():
            await asyncio.wait({ended}, timeout=0.1)
            await _revive(site)
        ended.result()
        took = time.monotonic() - began
        await _disarm(site)
        await judge(at)
    return struck, took


async def _ended(at: Visit, asked: asyncio.Task[str]) -> None:
    await state_at_end(at, await asked)


async def _disarm(site: Site) -> None:
    """Start those anew that nothing has led into their traps: the next round has its own."""
    for name in tuple(site.armed):
        await site.start(name)


async def _revive(site: Site) -> None:
    """Start again whoever was killed, as a supervisor does."""
    for name, program in site.programs.items():
        if program.process is not None and program.process.poll() is not None:
            await site.start(name)


def soak(faults: int, first_seed: int, kept: Path | None) -> Tally:
    """Rounds until so many faults have struck. Raises what the oracle says of a round."""
    tally = Tally.read(kept) if kept else Tally()
    with tempfile.TemporaryDirectory() as folder, running_site(Path(folder)) as site:
        while tally.faults.total() < faults:
            seed = first_seed + tally.rounds
            try:
                struck, took = asyncio.run(play(site, seed))
            except BaseException:
                print(f"failed: python -m tests.faults.soak --faults {FAULTS} --seed {seed}")
                raise
            tally.rounds += 1
            tally.faults += struck
            tally.jobs += JOBS
            tally.slowest_s = max(tally.slowest_s, took)
            if kept:
                kept.write_text(tally.text())
            print(f"{tally.faults.total()}/{faults} seed {seed}: {', '.join(struck)} {took:.1f} s")
    return tally


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kept", type=Path, help="the file that remembers what was done")
    told = parser.parse_args()
    # Whoever ends it, what it has started ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(soak(told.faults, told.seed, told.kept).text())


if __name__ == "__main__":
    main()
