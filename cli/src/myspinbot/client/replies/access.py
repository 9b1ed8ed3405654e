"""API tokens and webhooks: who may come in, and who is told."""

from __future__ import annotations

from datetime import datetime

from myspinbot.client.replies.base import Reply


class Token(Reply):
    """An API token. Its secret, `token`, is told once: by the reply that made it."""

    token_id: str
    name: str
    owner: str = ""
    scopes: tuple[str, ...] = ()
    created_at: datetime
    expires_at: datetime | None = None
    token: str | None = None


class Webhook(Reply):
    """An address that is told of events. Its `secret` is told once: by the reply that made it."""

    webhook_id: str
    url: str
    events: tuple[str, ...] = ()
    active: bool = True
    created_at: datetime | None = None
    secret: str | None = None


class Delivery(Reply):
    """How the telling of one event to one webhook goes."""

    delivery_id: str
    event: str
    job_id: str | None = None
    sequence: int | None = None
    state: str
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    next_at: datetime | None = None
    at: datetime | None = None


class DeliveryPage(Reply):
    """One page of deliveries, newest first."""

    deliveries: tuple[Delivery, ...]
    next: str | int | None = None
