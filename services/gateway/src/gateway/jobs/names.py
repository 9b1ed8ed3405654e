"""What owners wrote: the names of their jobs and profiles, scripts and prompts.

Texts are personal data, so they are not in the log but objects in the store; they never
change, and some are kept at hand.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import structlog
from contracts.artifacts import Artifact
from servicekit.objects import (
    CorruptObjectError,
    MissingObjectError,
    ObjectStore,
    ObjectStoreError,
)

from gateway.jobs import filenames
from gateway.live import LiveJob, LiveJobs

log = structlog.get_logger(__name__)

TEXTS = ("name", "script", "topic", "prompt", filenames.INPUT)
"""The inputs of a request that are texts."""

_NAMES = 2048
_TEXT_CHARS = 4_000_000
_PATIENCE_S = 3.0
_PAUSE_S = 3.0


class Texts:
    """Texts by the key of their object."""

    def __init__(self, store: ObjectStore, most_chars: int = _TEXT_CHARS) -> None:
        self._store = store
        self._most_chars = most_chars
        self._chars = 0
        self._away_until = 0.0
        self._kept: OrderedDict[str, str] = OrderedDict()

    async def read(self, artifact: Artifact) -> str | None:
        """The text, or None if it was erased at somebody's wish.

        ObjectStoreError if it cannot be had at once: without texts, most can still be shown.
        """
        if artifact.key in self._kept:
            self._kept.move_to_end(artifact.key)
            return self._kept[artifact.key]
        if time.monotonic() < self._away_until:
            raise ObjectStoreError("the store did not answer a moment ago")
        try:
            async with asyncio.timeout(_PATIENCE_S):
                text = (await self._store.get(artifact)).decode()
        except MissingObjectError:
            return None
        except CorruptObjectError:
            raise
        except (TimeoutError, ObjectStoreError) as error:
            self._away_until = time.monotonic() + _PAUSE_S
            raise ObjectStoreError(str(error) or "the store does not answer") from error
        if artifact.key not in self._kept:
            self._kept[artifact.key] = text
            self._chars += len(text)
            while self._chars > self._most_chars:
                self._chars -= len(self._kept.popitem(last=False)[1])
        return text

    async def of(self, live: LiveJob) -> dict[str, str | None]:
        """All texts of a job by input, and its statement of `consent`.

        None for what is erased, or cannot be read now.
        """
        inputs = live.state.request.inputs if live.state.request else {}
        given = {name: inputs[name][0] for name in TEXTS if inputs.get(name)}
        if live.state.consent:
            given["consent"] = live.state.consent.statement
        texts = await asyncio.gather(*(self._tried(live.job, one) for one in given.values()))
        return dict(zip(given, texts, strict=True))

    async def statement_of(self, live: LiveJob) -> str | None:
        """Who agreed to what, for a job that has consent; None as above."""
        consent = live.state.consent
        return await self._tried(live.job, consent.statement) if consent else None

    async def _tried(self, job: str, artifact: Artifact) -> str | None:
        try:
            return await self.read(artifact)
        except ObjectStoreError as error:
            log.warning("text.unreadable", job=job, detail=str(error))
            return None


class Names:
    """Names by job."""

    def __init__(self, live: LiveJobs, texts: Texts) -> None:
        self._live = live
        self._texts = texts
        self._kept: OrderedDict[str, str | None] = OrderedDict()

    async def of(self, live: LiveJob) -> str | None:
        """The name of a job, or None if it has none, or none that can be read now."""
        if live.job in self._kept:
            self._kept.move_to_end(live.job)
            return self._kept[live.job]
        artifacts = live.state.request.inputs.get("name", ()) if live.state.request else ()
        name = None
        if artifacts:
            try:
                name = await self._texts.read(artifacts[0])
            except ObjectStoreError as error:
                log.warning("name.unreadable", job=live.job, detail=str(error))
                return None
        self._kept[live.job] = name
        if len(self._kept) > _NAMES:
            self._kept.popitem(last=False)
        return name

    def knows(self, job: str) -> bool:
        """Whether it is known what the job is called, if it is called anything."""
        return job in self._kept
