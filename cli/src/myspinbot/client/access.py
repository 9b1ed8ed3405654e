"""Who may come in, and who is told: API tokens and webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from myspinbot.client.paging import pages
from myspinbot.client.replies import DeliveryPage, Token, Webhook
from myspinbot.client.replies.base import Reply
from myspinbot.client.transport import Transport


class _TokenPage(Reply):
    tokens: tuple[Token, ...]
    next: str | None = None


class _WebhookPage(Reply):
    webhooks: tuple[Webhook, ...]
    next: str | None = None


class AsyncTokens:
    """Secrets by which programs are let in."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Token, ...]:
        """All tokens that one may see, without their secrets."""

        async def page(before: str | None) -> _TokenPage:
            return await self._transport.get(_TokenPage, "/api/tokens", {"before": before})

        return tuple([token async for each in pages(page) for token in each.tokens])

    async def create(
        self,
        name: str,
        scopes: Sequence[str] = ("read", "write"),
        *,
        owner: str | None = None,
        expires_in_days: int | None = None,
    ) -> Token:
        """A new token. The reply's `token` is its secret, which is told only now."""
        body = {
            "name": name,
            "scopes": [*scopes],
            "owner": owner,
            "expiresInDays": expires_in_days,
        }
        given = {field: value for field, value in body.items() if value is not None}
        return await self._transport.post(Token, "/api/tokens", given)

    async def revoke(self, token: str) -> None:
        """Let nobody in with this token any more. It is named by its id."""
        await self._transport.delete(f"/api/tokens/{token}")


class AsyncWebhooks:
    """Addresses that are told of what happens."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Webhook, ...]:
        """All webhooks, without their secrets."""

        async def page(before: str | None) -> _WebhookPage:
            return await self._transport.get(_WebhookPage, "/api/webhooks", {"before": before})

        return tuple([webhook async for each in pages(page) for webhook in each.webhooks])

    async def get(self, webhook: str) -> Webhook:
        """One webhook."""
        return await self._transport.get(Webhook, f"/api/webhooks/{webhook}")

    async def create(
        self, url: str, events: Sequence[str], *, secret: str | None = None
    ) -> Webhook:
        """Have an address told of events. The reply has the secret that signs the messages."""
        body = {"url": url, "events": [*events]} | ({"secret": secret} if secret else {})
        return await self._transport.post(Webhook, "/api/webhooks", body)

    async def delete(self, webhook: str) -> None:
        """Tell an address no more."""
        await self._transport.delete(f"/api/webhooks/{webhook}")

    async def test(self, webhook: str) -> None:
        """Send a message of no meaning, to see whether it arrives."""
        await self._transport.json("POST", f"/api/webhooks/{webhook}/test")

    async def deliveries(
        self, webhook: str, *, before: str | None = None, limit: int | None = None
    ) -> DeliveryPage:
        """One page of how messages were delivered, newest first."""
        query = {"before": before, "limit": limit}
        path = f"/api/webhooks/{webhook}/deliveries"
        return await self._transport.get(DeliveryPage, path, query)

    async def redeliver(self, webhook: str, delivery: str) -> None:
        """Send a message again."""
        path = f"/api/webhooks/{webhook}/deliveries/{delivery}/redeliver"
        await self._transport.json("POST", path)
