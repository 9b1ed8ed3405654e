"""`myspinbot webhooks`: addresses that are told of what happens."""

from __future__ import annotations

from typing import Annotated

import typer

from myspinbot.client.replies import Delivery, Webhook
from myspinbot.commands.options import Session, add, connected, examples, group
from myspinbot.screen import hint, plain, table, when

app = group("Addresses that are told of what happens to jobs, with signed messages.")
WebhookArgument = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="The webhook's id.", show_default=False)
]


@examples(
    "myspinbot webhooks add https://example.org/hook --event job.completed --event job.failed",
)
@connected
async def add_webhook(
    session: Session,
    url: Annotated[str, typer.Argument(help="Where to send the messages.", show_default=False)],
    event: Annotated[
        list[str],
        typer.Option(
            help="What to tell: job.requested, job.completed, job.failed, job.cancelled, "
            "job.deleted, stage.completed or stage.failed. May be given several times."
        ),
    ] = ["job.completed", "job.failed"],  # noqa: B006 - typer copies it
) -> None:
    """Have an address told of events; prints the secret that signs them, which is shown only now.

    The receiver checks messages as Standard Webhooks says (https://www.standardwebhooks.com).
    """
    made = await session.client.webhooks.create(url, event)

    def text() -> None:
        plain(made.secret or "")
        hint(f"`myspinbot webhooks test {made.webhook_id}` sends a first message.")

    session.show(made, text)


@examples("myspinbot webhooks list")
@connected
async def list_webhooks(session: Session) -> None:
    """List the webhooks."""
    found = await session.client.webhooks.list()
    headings = ("webhook", "address", "events", "active", "created")

    def text() -> None:
        table(headings, map(_cells, found))
        if not found:
            hint("No webhooks. `myspinbot webhooks add URL` has an address told of events.")

    session.show({"webhooks": found}, text)


@examples("myspinbot webhooks remove 01k9z3…")
@connected
async def remove(session: Session, webhook: WebhookArgument) -> None:
    """Tell an address no more."""
    await session.client.webhooks.delete(webhook)
    session.show({"removed": webhook}, lambda: hint(f"Removed: {webhook}."))


@examples("myspinbot webhooks test 01k9z3…")
@connected
async def test(session: Session, webhook: WebhookArgument) -> None:
    """Send a message of no meaning, to see whether it arrives."""
    await session.client.webhooks.test(webhook)
    session.show(
        {"tested": webhook},
        lambda: hint(f"It is on its way: `myspinbot webhooks deliveries {webhook}`."),
    )


@examples("myspinbot webhooks deliveries 01k9z3…")
@connected
async def deliveries(
    session: Session,
    webhook: WebhookArgument,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to show.")] = 20,
    before: Annotated[
        str | None,
        typer.Option(help="Only those older than this one: the next page.", show_default=False),
    ] = None,
) -> None:
    """Show how messages were delivered, newest first."""
    page = await session.client.webhooks.deliveries(webhook, before=before, limit=limit)

    def text() -> None:
        headings = ("delivery", "event", "job", "state", "tries", "answer", "at")
        table(headings, map(_delivery_cells, page.deliveries))
        if page.next:
            hint(f"More: myspinbot webhooks deliveries {webhook} --before {page.next}")

    session.show(page, text)


@examples("myspinbot webhooks redeliver 01k9z3… 01k9z4…")
@connected
async def redeliver(
    session: Session,
    webhook: WebhookArgument,
    delivery: Annotated[str, typer.Argument(help="The delivery's id.", show_default=False)],
) -> None:
    """Send a message again."""
    await session.client.webhooks.redeliver(webhook, delivery)
    session.show({"redelivered": delivery}, lambda: hint(f"It is sent again: {delivery}."))


def _cells(webhook: Webhook) -> tuple[str, ...]:
    active = "yes" if webhook.active else "no"
    events = " ".join(webhook.events)
    return webhook.webhook_id, webhook.url, events, active, when(webhook.created_at)


def _delivery_cells(delivery: Delivery) -> tuple[str, ...]:
    return (
        delivery.delivery_id,
        delivery.event,
        delivery.job_id or "",
        delivery.state,
        str(delivery.attempts),
        str(delivery.last_status or delivery.last_error or ""),
        when(delivery.at),
    )


add(app, "add", add_webhook)
add(app, "list", list_webhooks)
add(app, "remove", remove)
add(app, "test", test)
add(app, "deliveries", deliveries)
add(app, "redeliver", redeliver)
