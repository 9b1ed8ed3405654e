"""What tests of the command say for planner and runner, and what they get from a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from eventlog.broker import connect
from gateway_stack import Stack
from gateway_story import Story
from servicekit.objects import open_store

Result = TypeVar("Result")


@dataclass(slots=True)
class Played:
    """What planner and runner would say, told from the outside."""

    stack: Stack

    def __call__(self, job: str, tell: Callable[[Story], Awaitable[Result]]) -> Result:
        async def playing() -> Result:
            broker = await connect(self.stack.server.address("admin"))
            try:
                return await tell(Story(broker, job))
            finally:
                await broker.close()

        return asyncio.run(playing())

    def finished(self, job: str, **results: tuple[bytes, str]) -> None:
        """The job with these results: content and media type by output."""

        async def finish(story: Story) -> None:
            made = {}
            async with open_store(self.stack.store) as store:
                for name, (content, media_type) in results.items():
                    made[name] = (await store.put(f"jobs/{job}/{name}", content, media_type),)
            await story.finish(**made)

        self(job, finish)


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]
