"""Reads a file of events and checks what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from contracts.admission import ForeignEventError, admit
from contracts.checkpoints import LogCheckpoint
from contracts.envelope import Stored
from contracts.exchange import (
    CHECKPOINT_TYPE,
    CLOSING_TYPE,
    Closing,
    Digest,
    read_checkpoint,
    read_closing,
)

from myspinbot.exchange.reading import BadEntryError, CutFileError, entries


class Intake:
    """The events of a file. What is about the file itself is known once they are all read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = Digest()
        self.closing: Closing | None = None
        self.checkpoints: list[LogCheckpoint] = []
        self.last = 0
        """The number of the entry that was read last."""

    @property
    def fault(self) -> str | None:
        """Why what was read is not what was written, or None."""
        if self.closing is None:
            return "it has no closing word: it was cut, or is no export of MySpinBot"
        if self._digest.events != self.closing.events:
            return f"it holds {self._digest.events} events, and should hold {self.closing.events}"
        if self._digest.sha256 != self.closing.sha256:
            return "its events are not those that were exported: its hash is another"
        return None

    @property
    def cut(self) -> bool:
        """Whether the file has no end."""
        return self.closing is None

    def events(self) -> Iterator[Stored]:
        """Each event of a job. Raises BadEntryError for what must not be let in."""
        try:
            for number, value in entries(self._file):
                self.last = number
                stored = self._take(number, value)
                if stored is not None:
                    yield stored
        except CutFileError:
            self.closing = None

    def _take(self, number: int, value: Any) -> Stored | None:
        kind = value.get("type") if isinstance(value, dict) else None
        if self.closing is not None:
            raise BadEntryError(number, "it follows after the closing word")
        try:
            if kind == CLOSING_TYPE:
                self.closing = read_closing(value)
                return None
            if kind == CHECKPOINT_TYPE:
                self.checkpoints.append(read_checkpoint(value))
                return None
            stored = admit(value)
        except ForeignEventError as error:
            raise BadEntryError(number, str(error)) from error
        self._digest.add(value)
        return stored
