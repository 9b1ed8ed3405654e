"""Usage by day and the audit, as JSON and as tables."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import httpx
import pytest
from eventlog.broker import Broker
from eventlog.log import utc_now
from gateway.oversight.tables import table, wants_csv
from gateway_people import ADMIN_TOKEN, client, make_token, token_gateway
from gateway_stack import Stack
from gateway_story import Story

from contracts import events as e

CSV = {"Accept": "text/csv"}


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


async def worked(broker: Broker, api: httpx.AsyncClient) -> Story:
    """A job with one completed stage, that was cancelled and deleted."""
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset")
    assert (await api.post(f"/api/jobs/{story.job}/cancel")).status_code == 202
    return story


async def test_usage_is_told_by_day_and_owner(stack: Stack, broker: Broker) -> None:
    today = utc_now().date()
    with token_gateway(stack, "usage") as url:
        ada, bob = await make_token(url, "ada-u"), await make_token(url, "bob-u")
        async with (
            client(url, ada["token"]) as hers,
            client(url, bob["token"]) as his,
            client(url, ADMIN_TOKEN) as admin,
        ):
            await worked(broker, hers)
            await worked(broker, his)
            answer = await hers.get("/api/usage/daily")
            assert answer.headers["vary"] == "Accept"
            told = answer.json()
            assert told["until"] in (today.isoformat(), utc_now().date().isoformat())
            assert told["since"] == (today - timedelta(29)).isoformat()
            [day] = told["days"]
            assert (day["owner"], day["jobs"], day["attempts"]) == ("ada-u", 1, 1)
            assert set(day["deviceS"]) == {"cpu"}
            [row] = rows(await hers.get("/api/usage/daily", headers=CSV))
            assert (row["owner"], row["jobs"], row["attempts"]) == ("ada-u", "1", "1")
            assert float(row["deviceS"]) == float(row["deviceS cpu"])
            refused = await hers.get("/api/usage/daily?everyone=true")
            assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
            everybody = (await admin.get("/api/usage/daily?everyone=true")).json()["days"]
            assert {"ada-u", "bob-u"} <= {one["owner"] for one in everybody}
            before = (today - timedelta(2)).isoformat()
            past = await hers.get(f"/api/usage/daily?since={before}&until={before}")
            assert past.json() == {"since": before, "until": before, "days": []}


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-02-01&until=2026-01-01",
        "since=2024-01-01&until=2026-01-01",
        "since=0",
        "since=2026-02-30",
        "until=2026-01-01T00:00:00Z",
        "everyone=maybe",
    ],
)
async def test_a_range_that_is_none_is_refused(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"/api/usage/daily?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


async def test_the_first_days_that_there_are_can_be_asked_for(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/usage/daily?until=0001-01-01")
    assert (answer.status_code, answer.json()["days"]) == (200, [])
    answer = await api.get("/api/usage/daily?since=9999-12-31&until=9999-12-31")
    assert (answer.status_code, answer.json()["days"]) == (200, [])


async def test_the_audit_tells_who_did_what_newest_first(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await worked(broker, api)
    await story.tell(e.JobCancelled())
    assert (await api.delete(f"/api/jobs/{story.job}")).status_code in (204, 409)
    told = (await api.get("/api/audit", params={"job": story.job})).json()
    actions = [one["action"] for one in told["entries"]]
    assert actions[-3:] == ["cancelled", "consented", "requested"]
    assert told["entries"][-2]["details"] == {"covers": ["face", "voice"]}
    assert {(one["jobId"], one["owner"], one["by"]) for one in told["entries"]} == {
        (story.job, "local", "local")
    }
    assert told["next"] is None
    only = await api.get("/api/audit", params={"job": story.job, "action": "cancelled"})
    assert [one["action"] for one in only.json()["entries"]] == ["cancelled"]
    assert (await api.get("/api/audit?by=nobody")).json() == {"entries": [], "next": None}


async def test_pages_of_the_audit_are_the_audit_in_either_form(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await worked(broker, api)
    whole = (await api.get("/api/audit", params={"job": story.job})).json()["entries"]
    found: list[dict[str, Any]] = []
    cells: list[dict[str, str]] = []
    path: str | None = f"/api/audit?job={story.job}&limit=1"
    while path:
        found += (await api.get(path)).json()["entries"]
        page = await api.get(path, headers=CSV)
        cells += rows(page)
        path = page.links.get("next", {}).get("url")
    assert found == whole
    assert [row["action"] for row in cells] == [one["action"] for one in whole]
    assert [int(row["sequence"]) for row in cells] == [one["sequence"] for one in whole]


async def test_the_audit_of_everybody_is_for_administrators(stack: Stack, broker: Broker) -> None:
    with token_gateway(stack, "audit") as url:
        ada = await make_token(url, "ada-a")
        async with client(url, ada["token"]) as hers, client(url, ADMIN_TOKEN) as admin:
            story = await worked(broker, hers)
            assert (await hers.get("/api/audit?everyone=true")).status_code == 403
            assert (await admin.get(f"/api/audit?job={story.job}")).json()["entries"] == []
            told = (await admin.get(f"/api/audit?job={story.job}&everyone=true")).json()
            assert {one["by"] for one in told["entries"]} == {"ada-a"}


@pytest.mark.parametrize("query", ["before=0", "before=x", "limit=201", "action=No!", "by=A"])
async def test_a_question_to_the_audit_that_cannot_be_is_refused(
    api: httpx.AsyncClient, query: str
) -> None:
    answer = await api.get(f"/api/audit?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("text/csv", True),
        ("TEXT/CSV; header=present", True),
        ("text/*", True),
        ("text/csv, application/json", False),
        ("text/csv, application/json;q=0.5", True),
        ("text/csv;q=0.2, */*", False),
        ("text/csv;q=much", False),
        ("text/html, application/xhtml+xml, */*;q=0.8", False),
    ],
)
def test_csv_is_told_to_whoever_prefers_it(accept: str | None, *, wanted: bool) -> None:
    assert wants_csv(accept) is wanted


def test_no_cell_is_a_formula() -> None:
    made = table("t", ("a", "b"), [("=1+1", -1), ("@x, y", "plain")])
    assert made.body.decode() == "a,b\r\n'=1+1,-1\r\n\"'@x, y\",plain\r\n"
    assert made.headers["content-disposition"] == 'attachment; filename="t.csv"'
