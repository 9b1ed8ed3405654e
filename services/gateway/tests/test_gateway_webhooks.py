"""Webhooks of a whole gateway, told to real receivers: in full, once, and at nobody's cost."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from eventlog.broker import Broker
from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog
from eventlog.topology import DELIVERIES_CONSUMER
from gateway.webhooks.book import HookBook
from gateway.webhooks.deliveries import Deliveries
from gateway.webhooks.notify import notifying
from gateway_people import client, make_token, token_gateway
from gateway_receiver import Answer, Receiver, receiver, verify
from gateway_stack import Stack, another_gateway

from contracts import events as e
from contracts import subjects

ALL = [
    "job.requested",
    "job.completed",
    "job.failed",
    "job.cancelled",
    "job.deleted",
    "stage.completed",
    "stage.failed",
]

MakeHook = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def here() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
async def make_hook(api: httpx.AsyncClient) -> AsyncIterator[MakeHook]:
    """Makes webhooks that are gone after the test."""
    made: list[str] = []

    async def make(url: str, *events: str, **more: Any) -> dict[str, Any]:
        body = {"url": url, "events": events or ALL, **more}
        answer = await api.post("/api/webhooks", json=body)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["webhookId"])
        return dict(answer.json())

    yield make
    for webhook in made:
        await api.delete(f"/api/webhooks/{webhook}")


async def request(log: EventLog, owner: str = "local") -> str:
    """A job that nobody plans: its test tells all that becomes of it."""
    job = f"hooked-{secrets.token_hex(6)}"
    event = e.JobRequested(type=e.JobType.TRAIN, owner=owner, profile=job)
    await log.append([log.record(job, event)], expected=0)
    return job


async def deliveries(api: httpx.AsyncClient, webhook: str) -> list[dict[str, Any]]:
    answer = await api.get(f"/api/webhooks/{webhook}/deliveries", params={"limit": 200})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["deliveries"])


async def settled(api: httpx.AsyncClient, webhook: str, count: int = 1) -> list[dict[str, Any]]:
    """The deliveries once there are so many, and none is pending."""
    async with asyncio.timeout(30):
        while True:
            found = await deliveries(api, webhook)
            if len(found) >= count and all(one["state"] != "pending" for one in found):
                return found
            await asyncio.sleep(0.05)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(20):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def is_active(api: httpx.AsyncClient, webhook: str, wanted: bool) -> bool:
    answer = await api.get(webhook)
    return answer.status_code == 200 and answer.json()["active"] is wanted


def slug(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix("/problems/")


async def test_what_becomes_of_a_job_is_told_signed_and_each_event_once(
    api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url)
    job = await request(log)
    await log.tell(job, e.JobFailed(code="no-runner", cause="none lives", remedy="Start one"))
    await log.tell(job, e.JobRetryRequested(by="local"))
    await log.tell(job, e.JobCompleted())
    await log.tell(job, e.JobCompleted())  # Told by two planners: it happened once.
    await log.tell(job, e.JobDeleted(by="local"))
    await here.until(4)
    assert len(await settled(api, made["webhookId"], 4)) == 4
    assert len(here.received) == 4
    for one in here.received:
        verify(made["secret"], one)
        assert one.headers["content-type"] == "application/json"
        assert one.json["jobId"] == job
    told = {one.json["type"]: one.json for one in here.received}
    assert told["job.requested"]["data"] == {"type": "train", "quality": "standard", "profile": job}
    assert told["job.failed"]["status"] == "failed"
    assert told["job.failed"]["data"]["remedy"] == "Start one"
    assert told["job.completed"]["status"] == "completed"
    by_sequence = sorted(here.received, key=lambda one: one.json["sequence"])
    assert [one.json["type"] for one in by_sequence] == [
        "job.requested",
        "job.failed",
        "job.completed",
        "job.deleted",
    ]


async def test_only_what_was_asked_for_is_told(
    api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url, "job.completed", "job.completed")
    assert made["events"] == ["job.completed"]
    job = await request(log)
    await log.tell(job, e.JobCompleted())
    await settled(api, made["webhookId"])
    assert [one.json["type"] for one in here.received] == ["job.completed"]


async def test_a_delivery_is_tried_until_it_is_taken(
    api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url, "job.requested")
    here.answers += [Answer(500), Answer(503, {"Retry-After": "1"}), Answer(200)]
    began = time.monotonic()
    await request(log)
    [delivery] = await settled(api, made["webhookId"])
    assert time.monotonic() - began >= 1
    assert delivery["state"] == "delivered"
    assert (delivery["attempts"], delivery["lastStatus"], delivery["lastError"]) == (3, 200, None)
    assert {one.id for one in here.received} == {delivery["deliveryId"]}
    assert len({one.body for one in here.received}) == 1
    for one in here.received:
        verify(made["secret"], one)


async def test_a_delivery_that_is_never_taken_is_given_up_and_may_be_asked_for_again(
    api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url, "job.requested")
    here.usual = Answer(302, {"Location": here.url + "/elsewhere"})
    await request(log)
    [delivery] = await settled(api, made["webhookId"])
    assert delivery["state"] == "failed"
    assert (delivery["attempts"], delivery["lastStatus"]) == (4, 302)
    assert delivery["lastError"] == "answered 302"
    assert {one.path for one in here.received} == {"/told"}
    here.usual = Answer()
    path = f"/api/webhooks/{made['webhookId']}/deliveries/{delivery['deliveryId']}/redeliver"
    key = {"Idempotency-Key": secrets.token_hex(8)}
    again = await api.post(path, headers=key)
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    [delivery] = await settled(api, made["webhookId"])
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
    # The same request once more changes nothing, another one does.
    repeated = await api.post(path, headers=key)
    assert (repeated.status_code, repeated.json()["state"]) == (202, "delivered")
    assert (await api.post(path)).json()["state"] == "pending"
    await here.until(6)
    await settled(api, made["webhookId"])
    assert len(here.received) == 6
    assert len({one.id for one in here.received}) == 1


async def test_dead_and_slow_targets_keep_nobody_else_waiting(
    api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    with receiver(Answer(holds=True)) as slow, receiver() as gone:
        dead_url = gone.url
        for url in [slow.url] * 8 + [dead_url] * 4:
            await make_hook(url, "job.requested")
        live = await make_hook(here.url, "job.requested")
        jobs = [await request(log) for _ in range(40)]
        # Fifty times what one slow target takes would not be enough if they stood in one line.
        await here.until(40, timeout_s=20)
        assert {one.json["jobId"] for one in here.received} == set(jobs)
        found = await settled(api, live["webhookId"], 40)
        assert {(one["state"], one["attempts"]) for one in found} == {("delivered", 1)}
        assert 0 < len(slow.received) < 8 * 40


async def test_a_target_that_is_gone_is_left_alone_until_a_test_succeeds(
    api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url, "job.requested")
    webhook = f"/api/webhooks/{made['webhookId']}"
    here.usual = Answer(410)
    await request(log)
    [delivery] = await settled(api, made["webhookId"])
    assert (delivery["state"], delivery["attempts"]) == ("failed", 1)
    await eventually(lambda: is_active(api, webhook, False))
    refused = await api.post(f"{webhook}/deliveries/{delivery['deliveryId']}/redeliver")
    assert (refused.status_code, slug(refused)) == (409, "webhook-inactive")
    assert "/test" in refused.json()["remedy"]
    here.usual = Answer()
    assert (await api.post(f"{webhook}/test")).status_code == 202
    await eventually(lambda: is_active(api, webhook, True))
    job = await request(log)
    await here.until(2, "job.requested")
    assert here.told("job.requested")[-1].json["jobId"] == job
    assert len(here.received) == 3


async def test_a_test_is_sent_once_and_says_how_it_went(
    api: httpx.AsyncClient, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url, "job.failed")
    here.answers.append(Answer(500))
    path = f"/api/webhooks/{made['webhookId']}/test"
    first = (await api.post(path)).json()
    assert (first["event"], first["jobId"], first["sequence"]) == ("webhook.test", None, None)
    [failed] = await settled(api, made["webhookId"])
    assert (failed["state"], failed["attempts"], failed["lastStatus"]) == ("failed", 1, 500)
    key = {"Idempotency-Key": secrets.token_hex(8)}
    once, twice = [(await api.post(path, headers=key)).json() for _ in range(2)]
    assert once["deliveryId"] == twice["deliveryId"]
    found = await settled(api, made["webhookId"], 2)
    assert [one["state"] for one in found] == ["delivered", "failed"]
    assert len(here.received) == 2
    verify(made["secret"], here.received[1])
    assert here.received[1].json["data"] == {"webhookId": made["webhookId"]}


async def test_two_gateways_deliver_each_event_once(
    stack: Stack, api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    with another_gateway(stack, "second-courier") as url:
        made = await make_hook(here.url, "job.requested")
        async with httpx.AsyncClient(base_url=url, timeout=30) as second:
            await eventually(lambda: is_active(second, f"/api/webhooks/{made['webhookId']}", True))
            jobs = [await request(log) for _ in range(60)]
            await here.until(60)
            found = await settled(second, made["webhookId"], 60)
    assert len(found) == 60
    assert sorted(one.json["jobId"] for one in here.received) == sorted(jobs)
    assert {one.id for one in here.received} == {one["deliveryId"] for one in found}


async def test_an_event_that_is_handled_again_is_not_delivered_again(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url, "job.requested")
    job = await request(log)
    await settled(api, made["webhookId"])
    # As if the gateway that queued it had died before it could say so.
    book = HookBook()
    notify = notifying(log, book, Deliveries(broker))
    following = asyncio.create_task(book.follow(KeyValue(broker)))
    try:
        [recorded] = [recorded async for recorded in log.read_job(job)]
        for _ in range(2):
            await notify(recorded)
        await notify(log.record("other", e.JobCompleted()))
    finally:
        following.cancel()
    await api.post(f"/api/webhooks/{made['webhookId']}/test")
    await here.until(1, "webhook.test")
    assert len(here.told("job.requested")) == 1


@pytest.fixture
async def impatience(broker: Broker) -> AsyncIterator[None]:
    """The broker gives a delivery to another gateway when it has heard nothing for so long."""
    consumer = f"{subjects.DELIVERIES}.{DELIVERIES_CONSUMER}"
    usual = (await broker.api(f"CONSUMER.INFO.{consumer}"))["config"]

    async def bring_to(config: dict[str, Any]) -> None:
        wanted = {"stream_name": subjects.DELIVERIES, "config": config}
        await broker.api(f"CONSUMER.CREATE.{consumer}", wanted)

    await bring_to(usual | {"ack_wait": 5_000_000_000})
    yield
    await bring_to(usual)


@pytest.mark.usefixtures("impatience")
async def test_a_delivery_outlives_the_gateway_that_was_making_it(
    stack: Stack, api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url, "job.requested")
    here.answers.append(Answer(holds=True))
    await request(log)
    await here.until(1)
    stack.gateway.kill()
    await asyncio.to_thread(stack.gateway.start)
    await here.until(2, timeout_s=60)
    [delivery] = await settled(api, made["webhookId"])
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
    assert here.received[0].id == here.received[1].id
    assert here.received[0].body == here.received[1].body


async def test_a_deleted_webhook_is_told_nothing_more(
    api: httpx.AsyncClient, log: EventLog, here: Receiver, make_hook: MakeHook
) -> None:
    made = await make_hook(here.url, "job.requested")
    here.usual = Answer(500)
    await request(log)
    await here.until(1)
    webhook = f"/api/webhooks/{made['webhookId']}"
    assert (await api.delete(webhook)).status_code == 204
    seen = len(here.received)
    other = await make_hook(here.url, "job.completed")
    here.usual = Answer()
    await api.post(f"/api/webhooks/{other['webhookId']}/test")
    await settled(api, other["webhookId"])
    assert len(here.told("job.requested")) <= seen
    for method, path in (
        ("GET", webhook),
        ("DELETE", webhook),
        ("POST", f"{webhook}/test"),
        ("GET", f"{webhook}/deliveries"),
        ("POST", f"{webhook}/deliveries/d1/redeliver"),
    ):
        answer = await api.request(method, path)
        assert (answer.status_code, slug(answer)) == (404, "no-such-webhook"), path


async def test_the_same_request_makes_one_webhook(
    api: httpx.AsyncClient, here: Receiver, make_hook: MakeHook
) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    body = {"url": here.url, "events": ["job.failed"]}
    first, second = [await api.post("/api/webhooks", json=body, headers=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert first.headers["location"] == f"/api/webhooks/{first.json()['webhookId']}"
    other = await api.post("/api/webhooks", json={**body, "events": ALL}, headers=key)
    assert (other.status_code, slug(other)) == (422, "idempotency-key-reused")
    await api.delete(first.headers["location"])


async def test_webhooks_are_listed_page_by_page_without_their_secrets(
    api: httpx.AsyncClient, here: Receiver, make_hook: MakeHook
) -> None:
    made = [(await make_hook(here.url, "job.failed"))["webhookId"] for _ in range(3)]
    first = (await api.get("/api/webhooks", params={"limit": 2})).json()
    rest = (await api.get("/api/webhooks", params={"limit": 2, "before": first["next"]})).json()
    listed = [hook["webhookId"] for hook in (*first["webhooks"], *rest["webhooks"])]
    assert listed == made[::-1]
    assert rest["next"] is None
    assert "whsec_" not in str(first)
    wrong = await api.get("/api/webhooks", params={"before": "nobody"})
    assert (wrong.status_code, slug(wrong)) == (422, "invalid-request")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"url": "ftp://example.org/", "events": ["job.failed"]}, "url"),
        ({"url": "https://ada:secret@example.org/", "events": ["job.failed"]}, "url"),
        ({"url": "https://example.org/#part", "events": ["job.failed"]}, "url"),
        ({"url": "https://", "events": ["job.failed"]}, "url"),
        ({"url": "https://example.org:99999/", "events": ["job.failed"]}, "url"),
        ({"url": "https://exa mple.org/", "events": ["job.failed"]}, "url"),
        ({"url": "https://" + "a" * 3000, "events": ["job.failed"]}, "url"),
        ({"url": "https://example.org/", "events": []}, "events"),
        ({"url": "https://example.org/", "events": ["job.exploded"]}, "events"),
        ({"url": "https://example.org/", "events": ["job.failed"], "secret": "short"}, "secret"),
        (
            {"url": "https://example.org/", "events": ["job.failed"], "secret": "whsec_YQ=="},
            "secret",
        ),
        ({"url": "https://example.org/", "events": ["job.failed"], "colour": "red"}, "colour"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_with_the_field_that_is_wrong(
    api: httpx.AsyncClient, body: dict[str, Any], where: str
) -> None:
    answer = await api.post("/api/webhooks", json=body)
    assert (answer.status_code, slug(answer)) == (422, "invalid-request"), answer.text
    assert where in answer.json()["errors"][0]["where"]


async def test_addresses_that_nobody_may_call_are_refused_at_once(api: httpx.AsyncClient) -> None:
    for host in ("169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0"):  # noqa: S104 - nothing is bound to it
        body = {"url": f"http://{host}/latest/meta-data", "events": ["job.failed"]}
        answer = await api.post("/api/webhooks", json=body)
        assert (answer.status_code, slug(answer)) == (422, "target-not-allowed"), host


async def test_there_is_an_end_to_webhooks(
    api: httpx.AsyncClient, here: Receiver, make_hook: MakeHook
) -> None:
    for _ in range(50):
        await make_hook(here.url, "job.failed")
    answer = await api.post("/api/webhooks", json={"url": here.url, "events": ["job.failed"]})
    assert (answer.status_code, slug(answer)) == (409, "too-many-webhooks")


async def test_a_receivers_own_secret_signs(
    api: httpx.AsyncClient, here: Receiver, make_hook: MakeHook
) -> None:
    own = "whsec_" + "QUJD" * 12
    made = await make_hook(here.url, "job.failed", secret=own)
    assert made["secret"] == own
    await api.post(f"/api/webhooks/{made['webhookId']}/test")
    await here.until(1)
    verify(own, here.received[0])


async def test_nobody_sees_or_is_told_of_what_belongs_to_others(
    stack: Stack, log: EventLog, here: Receiver
) -> None:
    with token_gateway(stack, "hooks-of-two", WEBHOOK_TARGETS="any") as url:
        ada, bob = [(await make_token(url, owner))["token"] for owner in ("ada", "bob")]
        async with client(url, ada) as hers, client(url, bob) as his, client(url) as nobodys:
            body = {"url": here.url, "events": ["job.requested"]}
            made = (await hers.post("/api/webhooks", json=body)).json()
            webhook = f"/api/webhooks/{made['webhookId']}"
            assert (await nobodys.get("/api/webhooks")).status_code == 401
            assert (await his.get("/api/webhooks")).json()["webhooks"] == []
            await request(log, "bob")
            job = await request(log, "ada")
            [delivery] = await settled(hers, made["webhookId"])
            assert [one.json["jobId"] for one in here.received] == [job]
            redeliver = f"{webhook}/deliveries/{delivery['deliveryId']}/redeliver"
            for method, path in (
                ("GET", webhook),
                ("DELETE", webhook),
                ("POST", f"{webhook}/test"),
                ("GET", f"{webhook}/deliveries"),
                ("POST", redeliver),
            ):
                answer = await his.request(method, path)
                assert (answer.status_code, slug(answer)) == (404, "no-such-webhook"), path
            unknown = await hers.post(f"{webhook}/deliveries/no.such/redeliver")
            assert (unknown.status_code, slug(unknown)) == (404, "no-such-delivery")
            assert (await hers.delete(webhook)).status_code == 204


async def test_where_others_have_webhooks_ones_own_network_is_not_called(stack: Stack) -> None:
    with token_gateway(stack, "hooks-of-strangers") as url:
        ada = (await make_token(url, "ada"))["token"]
        reader = (await make_token(url, "ada", "read"))["token"]
        async with client(url, ada) as hers, client(url, reader) as reading:
            body = {"url": "http://127.0.0.1:9/", "events": ["job.requested"]}
            answer = await hers.post("/api/webhooks", json=body)
            assert (answer.status_code, slug(answer)) == (422, "target-not-allowed")
            refused = await reading.post("/api/webhooks", json=body)
            assert (refused.status_code, slug(refused)) == (403, "forbidden")
