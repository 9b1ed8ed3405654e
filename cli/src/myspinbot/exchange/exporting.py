"""Writes the selected events of a log, and what they speak of, for somebody else."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.envelope import Stored
from contracts.exchange import Closing, Digest, Selection, checkpoint_event, closing_event
from contracts.holdings import Holdings
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker
from eventlog.checkpoints import read_checkpoints
from eventlog.errors import GapError
from eventlog.selection import select
from eventlog.span import Extent, extent

from myspinbot.counting import counting
from myspinbot.errors import NOT_FOUND, CommandError
from myspinbot.exchange.formats import Format
from myspinbot.exchange.writing import Entry, Writer, destination, writer_of

if TYPE_CHECKING:
    from servicekit.objects import StoreAddress

    from myspinbot.exchange.objects import Carried


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written, and where to."""

    selection: Selection
    file: str
    kind: Format
    compressed: bool
    folder: Path | None = None
    store: StoreAddress | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What was written."""

    file: str
    closing: Closing
    jobs: int
    checkpoints: int
    carried: Carried | None

    def document(self) -> dict[str, Any]:
        """For programs."""
        closing = self.closing.model_dump(mode="json", by_alias=True, exclude_none=True)
        told: dict[str, Any] = {"file": self.file, "jobs": self.jobs, **closing}
        told["checkpoints"] = self.checkpoints
        if self.carried is not None:
            told["objects"] = self.carried.document()
        return told


async def carry_out(broker: Broker, order: Order, now: datetime) -> Done:
    """Write the file. CommandError if there is nothing to write, or the log is damaged."""
    reach = await extent(broker)
    if reach.end != reach.last:
        raise GapError(reach.end + 1, reach.last + 1)
    export = _Export(broker, order, reach)
    with destination(order.file, compressed=order.compressed) as file:
        writer = writer_of(order.kind, file)
        await export.write(writer)
        closing = await export.close(writer, now)
    carried = await export.collect()
    return Done(order.file, closing, len(export.jobs), export.checkpoints, carried)


class _Export:
    """An export under way."""

    def __init__(self, broker: Broker, order: Order, reach: Extent) -> None:
        self._broker = broker
        self._order = order
        self._reach = reach
        self._digest = Digest()
        self._holdings = Holdings()
        self.jobs: set[str] = set()
        self.checkpoints = 0

    async def write(self, writer: Writer) -> None:
        """All events that were selected."""
        selection = self._order.selection
        with counting("Exporting") as told:
            async for batch in select(self._broker, selection, self._reach.end, told):
                for stored in batch:
                    self._write(writer, stored)
        if not self._digest.events:
            raise CommandError(
                "The log has no such events.",
                "`myspinbot events tail --no-follow` shows those that it has.",
                NOT_FOUND,
            )

    def _write(self, writer: Writer, stored: Stored) -> None:
        try:
            event = stored.structured()
        except UnknownEventError as error:
            raise CommandError(
                f"The log is damaged: {error}.", "`myspinbot events verify` shows what else is."
            ) from error
        writer.write(event)
        self._digest.add(event)
        self.jobs.add(stored.job)
        if self._order.folder is not None:
            # What cannot be understood is carried along, but nobody knows what it speaks of.
            with contextlib.suppress(UnknownEventError):
                self._holdings.add(stored.job, stored.recorded().event)

    async def close(self, writer: Writer, now: datetime) -> Closing:
        """What the file ends with. Checkpoints make sense only of the log as a whole."""
        about: list[Entry] = []
        if self._order.selection.gapless:
            until = self._order.selection.until or self._reach.end
            about = [
                checkpoint_event(checkpoint)
                async for checkpoint in read_checkpoints(self._broker)
                if checkpoint.last_sequence <= until
            ]
        self.checkpoints = len(about)
        closing = Closing(
            program=metadata.version("myspinbot"),
            stream_created=self._reach.created,
            last_sequence=self._reach.last,
            selection=self._order.selection,
            events=self._digest.events,
            sha256=self._digest.sha256,
        )
        writer.close([*about, closing_event(closing, now)])
        return closing

    async def collect(self) -> Carried | None:
        """The objects that the events speak of, if they were asked for."""
        if self._order.folder is None or self._order.store is None:
            return None
        from myspinbot.exchange.objects import Folder, collect, reached

        folder = Folder(self._order.folder)
        folder.prepare()
        wanted = [artifact for artifact, _ in self._holdings.named()]
        async with reached(self._order.store) as store:
            with counting("Fetching objects", len(wanted)) as told:
                return await collect(store, folder, wanted, told)
