"""Webhooks and deliveries as the API shows them."""

from __future__ import annotations

from typing import Annotated

from contracts.base import Contract, Id, Timestamp
from pydantic import Field

from gateway.webhooks.deliveries import DeliveryRecord, DeliveryState
from gateway.webhooks.hooks import HookEvent, Secret, TargetUrl, Webhook


class WebhookDraft(Contract):
    """A webhook to be made."""

    url: TargetUrl = Field(examples=["https://example.org/hooks/myspinbot"])
    events: tuple[HookEvent, ...] = Field(
        min_length=1, max_length=20, examples=[["job.completed", "job.failed"]]
    )
    secret: Annotated[
        Secret | None, Field(description="`whsec_` and base64; one is made if it is not given")
    ] = None


class WebhookView(Contract):
    """A webhook, without its secret."""

    webhook_id: Id
    url: str
    events: tuple[HookEvent, ...]
    active: bool = Field(
        description="false once its target has answered 410; a test that succeeds mends it"
    )
    created_at: Timestamp


class NewWebhook(WebhookView):
    """A webhook that was just made."""

    secret: str = Field(description="what signatures are made with; it is shown only now")


class WebhookList(Contract):
    """One page of webhooks, newest first."""

    webhooks: tuple[WebhookView, ...]
    next: Id | None


class DeliveryView(Contract):
    """How a delivery stands. `attempts` are those since it was last asked for."""

    delivery_id: Id
    event: str
    job_id: Id | None
    sequence: int | None
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str | None
    next_at: Timestamp | None
    at: Timestamp = Field(description="when what is told of happened")


class DeliveryList(Contract):
    """One page of deliveries, newest first."""

    deliveries: tuple[DeliveryView, ...]
    next: Id | None


def webhook_view(hook: Webhook) -> WebhookView:
    """A webhook as anybody of its owner's may see it."""
    return WebhookView(**hook.model_dump(exclude={"owner", "secret"}))


def new_webhook(hook: Webhook) -> NewWebhook:
    """A webhook as it is shown once."""
    return NewWebhook(**hook.model_dump(exclude={"owner"}))


def delivery_view(record: DeliveryRecord) -> DeliveryView:
    """A delivery without its body."""
    return DeliveryView(
        job_id=record.job,
        **record.model_dump(exclude={"webhook_id", "owner", "job", "body", "round"}),
    )
