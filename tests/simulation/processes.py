"""The processes of a simulated world, and what starts each of them again when it has ended."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from tests.simulation.lives import Life
from tests.simulation.services import Body, SimulatedService

if TYPE_CHECKING:
    from tests.simulation.world import World


class Process:
    """One process, over all its lives."""

    def __init__(self, world: World, name: str, body: Body) -> None:
        self._world = world
        self._body = body
        self._lives = 0
        self._main: asyncio.Task[None] | None = None
        self._service: SimulatedService | None = None
        self._ending: asyncio.Task[None] | None = None
        self._over = False
        self.name = name
        self.skew_s = 0.0
        self.life: Life | None = None
        """None while it does not run."""

    def start(self) -> None:
        """Begin a life."""
        self._lives += 1
        self.life = life = self._world.life(f"{self.name}.{self._lives}")
        life.skew_s = self.skew_s
        life.blown = lambda effect: self.crash(f"dies before {effect[:60]}")
        self._world.trace(life.name, "starts")
        self._service, work = self._body(life, self._world.around)
        self._main = life.start(work)
        self._main.add_done_callback(lambda done: self._ended(life, done))
        if not self._world.server_up:
            life.cut()

    def _ended(self, life: Life, done: asyncio.Task[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if life.dead or done.cancelled():
            return
        self._world.failures.append(f"{life.name} ended by itself: {error!r}")

    def crash(self, why: str) -> None:
        """It is gone at once; it is started again some time later."""
        life = self._leave()
        if life is None:
            return
        self._world.trace(life.name, why)
        kept = self._disk()
        life.kill()

        async def bury() -> None:
            await life.end()
            self._restore(kept)
            await self._again()

        self._ending = self._world.spawn(bury())

    def _leave(self) -> Life | None:
        life, self.life = self.life, None
        return life

    def _disk(self) -> bytes | None:
        path = self._world.around.folder / self.name / "planner.snapshot"
        return path.read_bytes() if path.exists() else None

    def _restore(self, kept: bytes | None) -> None:
        """What it did to its disk after its death, it did not do."""
        if kept is not None:
            (self._world.around.folder / self.name / "planner.snapshot").write_bytes(kept)
        else:
            shutil.rmtree(self._world.around.folder / self.name, ignore_errors=True)

    async def _again(self) -> None:
        chance = self._world.chance
        await asyncio.sleep(chance.choice((0.1, 2.0, 35.0)) if not self._world.weather.calm else 1)
        if not self._over:
            self.start()

    def freeze(self, seconds: float) -> None:
        """It stands still for a while."""
        life = self.life
        if life is None or life.frozen:
            return
        self._world.trace(life.name, f"freezes for {seconds} s")
        life.freeze()

        async def thaw() -> None:
            await asyncio.sleep(seconds)
            if life.frozen:
                self._world.trace(life.name, "goes on")
                life.thaw()

        self._world.spawn(thaw())

    def stop(self, *, drain: bool) -> None:
        """It is told to stop, does what it wants to do before it does, and is started again."""
        life = self._leave()
        if life is None:
            return
        self._world.trace(life.name, "is told to stop")
        service, main = self._service, self._main
        assert service is not None
        assert main is not None

        async def leave() -> None:
            if life.frozen:
                life.thaw()
            if drain and service.drain is not None:
                await asyncio.wait([life.start(service.drain())])
            main.cancel()
            await asyncio.wait([main], timeout=30.0)
            life.kill()
            await life.end()
            await self._again()

        self._ending = self._world.spawn(leave())

    def calm(self) -> None:
        """From now on nothing befalls it."""
        if self.life is not None:
            self.life.fuse = None
            self.life.mend()
        self.skew_s = 0.0

    async def end(self) -> None:
        """The world ends."""
        self._over = True
        if self._ending is not None:
            await asyncio.wait([self._ending])
        if (life := self._leave()) is not None:
            life.kill()
            await life.end()
