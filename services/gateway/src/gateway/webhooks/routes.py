"""Webhooks over HTTP."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Annotated, TypeVar

import httpx
from contracts.base import Id
from eventlog.keyvalue import RevisionError
from eventlog.log import utc_now
from fastapi import APIRouter, Query, Response

from gateway.context import Gateway, Owner, TheGateway
from gateway.idempotency import IdempotencyKey, claim, keyed_id
from gateway.problems import Problem, ProblemKind
from gateway.webhooks.deliveries import DeliveryRecord, Kept, delivery_id
from gateway.webhooks.hooks import SECRET_BYTES, TEST, Webhook, secret_of
from gateway.webhooks.notices import trial_notice
from gateway.webhooks.targets import allowed, literal
from gateway.webhooks.views import (
    DeliveryList,
    DeliveryView,
    NewWebhook,
    WebhookDraft,
    WebhookList,
    WebhookView,
    delivery_view,
    new_webhook,
    webhook_view,
)

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])

MOST_HOOKS = 50

Before = Annotated[Id | None, Query(description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
Item = TypeVar("Item")


@router.post("", status_code=201)
async def create_webhook(
    draft: WebhookDraft,
    gateway: TheGateway,
    owner: Owner,
    response: Response,
    key: IdempotencyKey = None,
) -> NewWebhook:
    """Have a program told of what happens to your jobs from now on.

    Deliveries are signed as Standard Webhooks says, with the secret that is shown only here.
    """
    await claim(gateway.config, owner, key, "webhooks", draft.model_dump_json())
    _check_target(gateway, draft)
    hook = Webhook(
        webhook_id=keyed_id(owner, key) if key else gateway.new_id(),
        owner=owner,
        url=draft.url,
        events=tuple(dict.fromkeys(draft.events)),
        created_at=utc_now(),
        secret=draft.secret or secret_of(secrets.token_bytes(SECRET_BYTES)),
    )
    entry = await gateway.config.get(hook.key)
    if entry is None:
        _check_count(gateway, owner)
        try:
            await gateway.config.create(hook.key, hook.to_json())
        except RevisionError:
            entry = await gateway.config.get(hook.key)
    if entry is not None:
        # The same request was sent before: what it made is what is told again.
        hook = entry.read(Webhook)
    gateway.webhooks.book.note(hook)
    response.headers["Location"] = f"/api/webhooks/{hook.webhook_id}"
    return new_webhook(hook)


@router.get("")
async def list_webhooks(
    gateway: TheGateway, owner: Owner, before: Before = None, limit: Limit = 50
) -> WebhookList:
    """Your webhooks, newest first."""
    hooks = gateway.webhooks.book.of(owner)
    page, cursor = _page(hooks, [hook.webhook_id for hook in hooks], before, limit)
    return WebhookList(webhooks=tuple(webhook_view(hook) for hook in page), next=cursor)


@router.get("/{webhook}")
async def get_webhook(webhook: str, gateway: TheGateway, owner: Owner) -> WebhookView:
    """One webhook."""
    return webhook_view(_find(gateway, owner, webhook))


@router.delete("/{webhook}", status_code=204)
async def delete_webhook(webhook: str, gateway: TheGateway, owner: Owner) -> Response:
    """Delete a webhook; what is not yet delivered to it never will be."""
    hook = _find(gateway, owner, webhook)
    await gateway.config.delete(hook.key)
    gateway.webhooks.book.forget(owner, hook.webhook_id)
    return Response(status_code=204)


@router.post("/{webhook}/test", status_code=202)
async def try_webhook(
    webhook: str, gateway: TheGateway, owner: Owner, key: IdempotencyKey = None
) -> DeliveryView:
    """Send `webhook.test`, once. The list of deliveries tells how it went.

    If it succeeds, a webhook that is not active becomes active again.
    """
    hook = _find(gateway, owner, webhook)
    await claim(gateway.config, owner, key, "webhook-test", hook.webhook_id)
    now = utc_now()
    record = DeliveryRecord(
        delivery_id=delivery_id(hook.webhook_id, TEST, key or gateway.new_id()),
        webhook_id=hook.webhook_id,
        owner=owner,
        event=TEST,
        body=trial_notice(hook.webhook_id, now).to_body(),
        at=now,
    )
    return delivery_view(await gateway.webhooks.deliveries.make(record))


@router.get("/{webhook}/deliveries")
async def list_deliveries(
    webhook: str, gateway: TheGateway, owner: Owner, before: Before = None, limit: Limit = 50
) -> DeliveryList:
    """The deliveries of the last seven days, newest first."""
    hook = _find(gateway, owner, webhook)
    found = [one async for one in gateway.webhooks.deliveries.of(owner, hook.webhook_id)]
    # A record that changes while all are read may be seen twice; its latest state is the last.
    latest = {record.delivery_id: record for record in found}
    records = sorted(latest.values(), key=lambda one: (one.at, one.delivery_id), reverse=True)
    page, cursor = _page(records, [record.delivery_id for record in records], before, limit)
    return DeliveryList(deliveries=tuple(delivery_view(one) for one in page), next=cursor)


@router.post("/{webhook}/deliveries/{delivery}/redeliver", status_code=202)
async def redeliver(
    gateway: TheGateway, owner: Owner, webhook: str, delivery: str, key: IdempotencyKey = None
) -> DeliveryView:
    """Make a delivery once more, whatever became of it, with the same id and body."""
    hook = _find(gateway, owner, webhook)
    kept = await _find_delivery(gateway, hook, delivery)
    await claim(gateway.config, owner, key, "redeliver", hook.webhook_id, delivery)
    if not hook.active and kept.record.event != TEST:
        raise Problem(
            ProblemKind.WEBHOOK_INACTIVE,
            "The webhook is not active: its target said that it wants nothing any more.",
            f"POST /api/webhooks/{hook.webhook_id}/test; if that succeeds, it is active again.",
        )
    token = hashlib.sha256(key.encode()).hexdigest()[:32] if key else secrets.token_hex(16)
    try:
        record = await gateway.webhooks.deliveries.again(kept, token)
    except RevisionError:
        # It has moved on in this very moment; on the next look it can be asked for.
        kept = await _find_delivery(gateway, hook, delivery)
        record = await gateway.webhooks.deliveries.again(kept, token)
    return delivery_view(record)


def _find(gateway: Gateway, owner: str, webhook_id: str) -> Webhook:
    hook = gateway.webhooks.book.find(owner, webhook_id)
    if hook is None:
        raise Problem(
            ProblemKind.NO_SUCH_WEBHOOK,
            "No webhook of yours has this id.",
            "GET /api/webhooks lists your webhooks.",
        )
    return hook


async def _find_delivery(gateway: Gateway, hook: Webhook, delivery: str) -> Kept:
    known = delivery.isalnum() and delivery.isascii()
    kept = (
        await gateway.webhooks.deliveries.get(hook.owner, hook.webhook_id, delivery)
        if known
        else None
    )
    if kept is None:
        raise Problem(
            ProblemKind.NO_SUCH_DELIVERY,
            "The webhook has no delivery of this id, or it is older than seven days.",
            f"GET /api/webhooks/{hook.webhook_id}/deliveries lists them.",
        )
    return kept


def _check_target(gateway: Gateway, draft: WebhookDraft) -> None:
    """Problem if the URL is an address that must not be called. Names are judged at each try."""
    address = literal(httpx.URL(draft.url).host)
    if address is not None and not allowed(address, gateway.settings.webhooks.reach):
        raise Problem(
            ProblemKind.TARGET_NOT_ALLOWED,
            "The URL leads to an address that this installation does not call.",
            "Use a public address, or let the administrator set MYSPINBOT_WEBHOOK_TARGETS=any.",
        )


def _check_count(gateway: Gateway, owner: str) -> None:
    if len(gateway.webhooks.book.of(owner)) >= MOST_HOOKS:
        raise Problem(
            ProblemKind.TOO_MANY_WEBHOOKS,
            f"You have {MOST_HOOKS} webhooks already.",
            "Delete those that are not used any more.",
            limit=MOST_HOOKS,
        )


def _page(
    items: Sequence[Item], ids: Sequence[str], before: str | None, limit: int
) -> tuple[Sequence[Item], str | None]:
    """The items after the one named `before`, and the id to name for the page after."""
    start = 0
    if before is not None:
        if before not in ids:
            raise Problem(
                ProblemKind.INVALID_REQUEST,
                "`before` names nothing in this list.",
                "Take it from `next` of an earlier page, or leave it out.",
            )
        start = ids.index(before) + 1
    page = items[start : start + limit]
    more = len(items) > start + limit
    return page, ids[start + limit - 1] if more else None
