"""Holds a log against the checkpoints that were signed of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime

from contracts import findings as f
from contracts.base import Contract, Timestamp
from contracts.checkpoints import LogCheckpoint, LogHash
from contracts.envelope import Stored
from contracts.findings import Check, Finding


class Attested(Contract):
    """The newest checkpoint that fits: the log up to it is as it was when it was signed."""

    last_sequence: int
    time: Timestamp
    key_id: str
    trusted: bool


class Attestation:
    """Compares checkpoints with events as they are read from the beginning.

    `genuine` says whether a checkpoint bears its key's signature. `trusted` are the public keys
    that are believed; of none, each key is told. `created` is that of the stream, if it is known.
    `linked` is whether all checkpoints are there, and not only some that were kept.
    """

    def __init__(
        self,
        checkpoints: Iterable[LogCheckpoint],
        genuine: Callable[[LogCheckpoint], bool],
        trusted: Collection[str] = (),
        created: datetime | None = None,
        *,
        linked: bool = True,
    ) -> None:
        self._waiting: dict[int, list[LogCheckpoint]] = {}
        self._trusted = frozenset(trusted)
        self._hash = LogHash()
        self._begun: list[Finding] = []
        self._mismatched = 0
        self.attested: Attested | None = None
        self.checked = 0
        previous: LogCheckpoint | None = None
        for checkpoint in checkpoints:
            before = previous.id if previous else None
            if linked and checkpoint.previous != before:
                self._begun.append(_unlinked(checkpoint))
            self._begun += self._first_look(checkpoint, previous, genuine, created)
            previous = checkpoint

    def _first_look(
        self,
        checkpoint: LogCheckpoint,
        previous: LogCheckpoint | None,
        genuine: Callable[[LogCheckpoint], bool],
        created: datetime | None,
    ) -> Iterator[Finding]:
        name = f"checkpoint {checkpoint.id}"
        sequence = checkpoint.last_sequence
        if not genuine(checkpoint):
            what = f"{name} is not signed by the key that it names: it is forged or damaged"
            yield f.error(Check.CHECKPOINT, what, sequence)
            return
        known_key = previous is not None and previous.key_id == checkpoint.key_id
        if checkpoint.key_id not in self._trusted and not known_key:
            what = f"{name} and those after it are signed by {checkpoint.key_id}"
            if self._trusted:
                yield f.error(Check.CHECKPOINT, f"{what}, which is not trusted", sequence)
            else:
                yield f.note(Check.CHECKPOINT, f"{what}; say with --trust whom you trust", sequence)
        known_stream = previous is not None and previous.stream_created == checkpoint.stream_created
        if created is not None and checkpoint.stream_created != created and not known_stream:
            what = (
                f"{name} and those after it were signed of a stream that was made at "
                f"{checkpoint.stream_created:%Y-%m-%d %H:%M:%S}Z, and this one was made at "
                f"{created:%Y-%m-%d %H:%M:%S}Z: was it restored?"
            )
            yield f.note(Check.CHECKPOINT, what, sequence)
        self._waiting.setdefault(sequence, []).append(checkpoint)

    def beginning(self) -> list[Finding]:
        """What is wrong with the checkpoints by themselves."""
        return self._begun

    def examine(self, stored: Stored) -> list[Finding]:
        """What the checkpoints that end with this event say of it and all before it."""
        self._hash.add(stored)
        return [
            finding
            for checkpoint in self._waiting.pop(stored.sequence, ())
            for finding in self._compare(checkpoint)
        ]

    def _compare(self, checkpoint: LogCheckpoint) -> Iterator[Finding]:
        self.checked += 1
        if checkpoint.log_hash != self._hash.value:
            self._mismatched += 1
            # The hash goes on over all events: no later checkpoint can fit, and one is enough told.
            if self._mismatched == 1:
                yield self._mismatch(checkpoint)
        elif not self._mismatched and (not self._trusted or checkpoint.key_id in self._trusted):
            self.attested = Attested(
                last_sequence=checkpoint.last_sequence,
                time=checkpoint.time,
                key_id=checkpoint.key_id,
                trusted=checkpoint.key_id in self._trusted,
            )

    def _mismatch(self, checkpoint: LogCheckpoint) -> Finding:
        first = self.attested.last_sequence + 1 if self.attested else 1
        last = checkpoint.last_sequence
        where = f"event {last}" if first == last else f"some of the events {first} to {last}"
        what = (
            f"the log is not what was signed at {checkpoint.time:%Y-%m-%d %H:%M:%S}Z (checkpoint "
            f"{checkpoint.id}): {where} changed, or others were put in or left out"
        )
        return f.error(Check.CHECKPOINT, what, last)

    def end(self) -> Iterator[Finding]:
        """What can be said once the whole log was read."""
        if self._mismatched > 1:
            what = f"{self._mismatched - 1} later checkpoints do not fit either"
            yield f.note(Check.CHECKPOINT, what)
        beyond = [each for several in self._waiting.values() for each in several]
        if beyond:
            longest = max(beyond, key=lambda each: each.last_sequence)
            what = (
                f"the log ends at event {self._hash.sequence}, and reached to event "
                f"{longest.last_sequence} when checkpoint {longest.id} was signed at "
                f"{longest.time:%Y-%m-%d %H:%M:%S}Z"
            )
            yield f.error(Check.CHECKPOINT, what, longest.last_sequence)


def _unlinked(checkpoint: LogCheckpoint) -> Finding:
    missing = f"checkpoint {checkpoint.previous}" if checkpoint.previous else "none"
    what = (
        f"checkpoint {checkpoint.id} was signed after {missing}, which does not stand before it: "
        "checkpoints were left out"
    )
    return f.error(Check.CHECKPOINT, what, checkpoint.last_sequence)
