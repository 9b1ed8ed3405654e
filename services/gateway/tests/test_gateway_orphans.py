"""Objects that no event names are collected; all others stay, and so does whatever is young."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
from eventlog.broker import Broker
from eventlog.log import EventLog
from gateway.orphans import collect
from gateway.uploads.sweeper import lying_there
from gateway_media import photo
from servicekit.objects import ObjectStore

from tests.support.samples import CONSENT_FORM

LATER = timedelta(hours=1)


async def lying(store: ObjectStore) -> set[str]:
    return {
        each.key for folder in ("uploads/", "jobs/") async for each in lying_there(store, folder)
    }


async def test_only_what_no_event_names_is_collected_and_only_when_it_is_old(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    files = [("image", ("a.png", photo(seed=881), "image/png"))]
    accepted = await api.post("/api/train", files=files, data=CONSENT_FORM)
    assert accepted.status_code == 202, accepted.text
    await collect(broker, log, store, datetime.now(UTC) + LATER)
    named = await lying(store)
    left = {"uploads/left", "jobs/left/stage/1-a/out.png"}
    for key in left:
        await store.put(key, b"nobody told", "image/png")
    parts = store.writer("jobs/left/stage/1-a/large.bin", "application/octet-stream")
    await parts.write(bytes(9 << 20))

    assert await collect(broker, log, store, datetime.now(UTC) - LATER) == 0
    assert await lying(store) == named | left | {parts.key}
    assert await collect(broker, log, store, datetime.now(UTC) + LATER) == 3
    assert await lying(store) == named
    request = (await log.fold(accepted.json()["jobId"])).request
    assert request is not None
    assert await store.get(request.inputs["photos"][0]) == photo(seed=881)
