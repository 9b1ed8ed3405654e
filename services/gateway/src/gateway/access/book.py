"""The tokens that are good now: a copy in memory that follows the stream they are kept on.

Every gateway has its own, so a look-up costs no message and a token that is revoked
anywhere stops working everywhere at once, what it has open included.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from eventlog.keyvalue import Entry, KeyValue, UnreadableRecordError

from gateway.access.tokens import ALL_TOKENS, Presented, TokenRecord
from gateway.problems import ProblemKind, unavailable

log = structlog.get_logger(__name__)


class TokenBook:
    """Tokens by id. `follow` keeps it up to date."""

    def __init__(self, revoked: Callable[[str], None]) -> None:
        """`revoked` is called with the id of a token that has been taken away."""
        self._records: dict[str, TokenRecord] = {}
        self._revoked = revoked
        self._read = False

    async def follow(self, values: KeyValue, started: Callable[[], None]) -> None:
        """Read all tokens and then every change, for ever."""

        def loaded() -> None:
            self._read = True
            started()

        await values.follow(ALL_TOKENS, self._changed, loaded)

    def find(self, token_id: str) -> TokenRecord | None:
        """What is kept of a token. Raises Problem (503) before the tokens were read."""
        if not self._read:
            raise unavailable("The gateway has not read the tokens yet.", ProblemKind.STARTING)
        return self._records.get(token_id)

    def check(self, presented: Presented, now: datetime) -> TokenRecord | None:
        """The record of a token that somebody shows, if it is good."""
        record = self.find(presented.token_id)
        return record if presented.proves(record, now) else None

    def of(self, owner: str | None) -> list[TokenRecord]:
        """An owner's tokens, or everybody's, newest first."""
        found = (one for one in self._records.values() if owner in (None, one.owner))
        return sorted(found, key=lambda one: (one.created_at, one.token_id), reverse=True)

    def note(self, record: TokenRecord) -> None:
        """A token that was made here works here at once."""
        self._records[record.token_id] = record

    def forget(self, token_id: str) -> None:
        """A token that was revoked works no more."""
        if self._records.pop(token_id, None) is not None:
            self._revoked(token_id)

    def _changed(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            self.forget(key.rpartition(".")[2])
            return
        try:
            record = entry.read(TokenRecord)
        except UnreadableRecordError as error:
            # Nobody knows what it may do now: it does nothing, and stays for those who know.
            log.warning("token.unreadable", detail=str(error))
            self.forget(key.rpartition(".")[2])
            return
        known = self._records.get(record.token_id)
        if known is not None and known.secret_sha256 != record.secret_sha256:
            # A new secret voids what the former one has open.
            self._revoked(record.token_id)
        self.note(record)
