"""The webhooks that there are: a copy in memory that follows the stream they are kept on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from eventlog.keyvalue import Entry, KeyValue, UnreadableRecordError

from gateway.webhooks.hooks import ALL_HOOKS, Webhook

log = structlog.get_logger(__name__)


class HookBook:
    """Webhooks by owner and id. `follow` keeps it up to date."""

    def __init__(self, forgotten: Callable[[str], None] = lambda _: None) -> None:
        """`forgotten` is called with the id of a webhook that was deleted."""
        self._hooks: dict[tuple[str, str], Webhook] = {}
        self._forgotten = forgotten
        self._unread: dict[tuple[str, str], UnreadableRecordError] = {}
        self._read = asyncio.Event()

    async def follow(self, values: KeyValue) -> None:
        """Read all webhooks and then every change, for ever."""
        await values.follow(ALL_HOOKS, self._changed, self._read.set)

    async def ready(self) -> None:
        """Return when all webhooks have been read."""
        await self._read.wait()

    def __bool__(self) -> bool:
        return bool(self._hooks or self._unread)

    def check_read(self, owner: str, webhook_id: str | None = None) -> None:
        """UnreadableRecordError if a newer program keeps this webhook, or one of this owner's."""
        for (whose, which), error in self._unread.items():
            if whose == owner and webhook_id in (None, which):
                raise error

    def find(self, owner: str, webhook_id: str) -> Webhook | None:
        """A webhook of an owner's."""
        return self._hooks.get((owner, webhook_id))

    def of(self, owner: str) -> list[Webhook]:
        """An owner's webhooks, newest first."""
        found = (hook for (whose, _), hook in self._hooks.items() if whose == owner)
        return sorted(found, key=lambda hook: (hook.created_at, hook.webhook_id), reverse=True)

    def note(self, hook: Webhook) -> None:
        """What was made or changed here is known here at once."""
        self._hooks[hook.owner, hook.webhook_id] = hook

    def forget(self, owner: str, webhook_id: str) -> None:
        """A webhook was deleted."""
        if self._hooks.pop((owner, webhook_id), None) is not None:
            self._forgotten(webhook_id)

    def _changed(self, key: str, entry: Entry | None) -> None:
        _, _, owner, webhook_id = key.split(".")
        self._unread.pop((owner, webhook_id), None)
        if entry is None:
            self.forget(owner, webhook_id)
            return
        try:
            self.note(entry.read(Webhook))
        except UnreadableRecordError as error:
            log.warning("webhook.unreadable", detail=str(error))
            self._unread[owner, webhook_id] = error
            self._hooks.pop((owner, webhook_id), None)
