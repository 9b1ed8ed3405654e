"""Secrets that were planted, looked for wherever a system tells of itself: none of them is there.

Jobs run, fail and are told of to a webhook that does not answer, with real tokens, keys, links and
signatures, some of them where they do not belong. Then logs, spans, events, metrics and the
answers to wrong requests are searched.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from eventlog.broker import connect
from eventlog.log import EventLog

from tests.support.broker import NatsServer
from tests.support.ports import free_ports
from tests.support.traced import TracedStack, count, traced_stack

ADMIN = "planted-token-of-the-administrator-0123456789"
SIGNING = "planted-key-for-signatures-0123456789abcdef"
WRITER = "planted-key-of-a-language-model-0123456789"
HOOK = "whsec_" + base64.b64encode(b"planted-secret-of-a-webhook-0123").decode()
IN_PATH = "planted-in-the-path-of-a-webhook"
MISPLACED = "planted-where-it-does-not-belong"


@dataclass
class Planted:
    """The secrets by what they are, and what a system said of itself."""

    secrets: dict[str, str]
    told: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedStack]:
    settings = {
        "MYSPINBOT_ADMIN_TOKEN": ADMIN,
        "MYSPINBOT_SECRET": SIGNING,
        "MYSPINBOT_WRITER_KEY": WRITER,
        "MYSPINBOT_WEBHOOK_RETRIES_S": "0.1",
        "MYSPINBOT_LOG_LEVEL": "DEBUG",
    }
    with traced_stack(tmp_path_factory.mktemp("planted"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def planted(stack: TracedStack) -> Planted:
    environment = stack.programs["gateway"].environment
    token = stack.api.post("/api/tokens", json={"name": "planted"}).json()["token"]
    port = free_ports(1)[0]
    hook = {
        "url": f"http://127.0.0.1:{port}/{IN_PATH}",
        "events": ["job.completed", "job.failed"],
        "secret": HOOK,
    }
    made = stack.api.post("/api/webhooks", json=hook)
    assert made.status_code == 201, made.text
    jobs = [stack.ask(count("fine")), stack.ask(count("bad", does="crash"))]
    for job in jobs:
        stack.end_of(job)
    link = stack.api.post(f"/api/jobs/{jobs[0]}/artifacts/fine/count/0/link", json={}).json()["url"]
    signature = parse_qs(urlsplit(link).query)["signature"][0].rpartition(".")[2]
    seeds = [
        Path(stack.programs[name].environment["MYSPINBOT_NATS_SEED"]) for name in stack.programs
    ]
    found = Planted(
        {
            "administrator's token": ADMIN,
            "key for signatures": SIGNING,
            "key of a language model": WRITER,
            "webhook's secret": HOOK.removeprefix("whsec_"),
            "webhook's path": IN_PATH,
            "user's token": token.rpartition("_")[2],
            "link's signature": signature,
            "misplaced": MISPLACED,
            "store's key": environment["MYSPINBOT_S3_SECRET_KEY"],
            **{f"seed of {seed.stem}": seed.read_text().strip() for seed in seeds},
        }
    )
    found.told["problems"] = wrong_requests(stack, token, link)
    await_deliveries(stack, made.json()["webhookId"])
    for job in jobs:
        found.told[f"spans of {job}"] = json.dumps(stack.trace_with(job, "process JOBS"))
        found.told[f"page of {job}"] = stack.api.get(f"/api/jobs/{job}").text
    found.told["metrics"] = "".join(
        httpx.get(program.ready_url.replace("/ready", "/metrics")).text
        for program in stack.programs.values()
    )
    found.told["events"] = asyncio.run(events(stack, jobs))
    for program in stack.programs.values():
        program.stop()
    for log in (*stack.folder.glob("*.log"), stack.folder / "nats" / "nats.log"):
        found.told[log.name] = log.read_text(errors="replace")
    return found


def wrong_requests(stack: TracedStack, token: str, link: str) -> str:
    """What is answered to requests that carry secrets and are wrong; links and tokens are tried."""
    told = []
    with httpx.Client(base_url=stack.url, timeout=30) as anybody:
        assert anybody.get(link).status_code == 200
        told += [
            anybody.get(link.replace("signature=", "signature=x")),
            anybody.get(link.replace("/0?", "/7?")),
            anybody.get("/api/jobs", headers={"Authorization": f"Bearer {token}x"}),
            anybody.get("/api/jobs/none", headers={"Authorization": f"Bearer {token}"}),
            anybody.get("/api/jobs", headers={"Authorization": f"Bearer {MISPLACED}"}),
            anybody.get("/api/jobs", headers={"Cookie": f"session={MISPLACED}"}),
            anybody.post("/api/session", json={"token": MISPLACED}),
            anybody.post("/api/session", json={"token": [MISPLACED]}),
            anybody.post("/api/webhooks", json={"url": "x", "events": [], "secret": MISPLACED}),
            anybody.post("/api/jobs", json={"type": "train", "consent": {"who": MISPLACED}}),
            anybody.get("/api/jobs", params={"limit": "x", "access_token": MISPLACED}),
        ]
    assert sum(answer.status_code >= 400 for answer in told) > len(told) // 2
    return "".join(answer.text for answer in told)


def await_deliveries(stack: TracedStack, hook: str) -> None:
    """Return when both jobs were told of in vain."""
    deadline = time.monotonic() + 60
    while True:
        listed = stack.api.get(f"/api/webhooks/{hook}/deliveries").json()["deliveries"]
        if sum(one["state"] == "failed" for one in listed) >= 2:
            return
        assert time.monotonic() < deadline, listed
        time.sleep(0.1)


async def events(stack: TracedStack, jobs: list[str]) -> str:
    """The events of jobs as they are in the log."""
    seed = Path(stack.programs["gateway"].environment["MYSPINBOT_NATS_SEED"])
    port = int(stack.programs["gateway"].environment["MYSPINBOT_NATS_URL"].rpartition(":")[2])
    server = NatsServer(stack.folder, port, 0, {"gateway": seed})
    broker = await connect(server.address("gateway"))
    log = EventLog(broker, "test")
    told = [repr(recorded) for job in jobs async for recorded in log.read_job(job)]
    await broker.close()
    assert len(told) > 6
    return "".join(told)


def test_no_secret_is_in_anything_that_a_system_tells_of_itself(planted: Planted) -> None:
    assert len(planted.secrets) > 10
    assert all(len(secret) >= 10 for secret in planted.secrets.values())
    found = [
        (what, where)
        for what, secret in planted.secrets.items()
        for where, text in planted.told.items()
        if secret in text
    ]
    assert found == []


def test_what_is_searched_is_really_there(planted: Planted) -> None:
    """A search of nothing finds nothing."""
    logs = [name for name in planted.told if name.endswith(".log")]
    assert {"nats.log", "gateway.log", "planner.log", "projector.log", "runner.log"} <= set(logs)
    assert all(planted.told.values())
    assert '"level": "debug"' in planted.told["gateway.log"] + planted.told["runner.log"]
