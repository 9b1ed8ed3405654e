"""What a deletion erases in the store, told or untold, and what others keep."""

from __future__ import annotations

import httpx
from eventlog.broker import Broker
from eventlog.log import EventLog
from gateway_story import Story
from servicekit.objects import ObjectStore

from contracts import events as e


async def test_what_an_attempt_stored_and_never_told_is_erased_and_what_others_took_over_is_not(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    story = await Story.begin(broker, api)
    folder = f"jobs/{story.job}/train_lora"
    lora = await store.put(f"{folder}/2-b/lora/lora.bin", b"weights", "application/octet-stream")
    await store.put(f"{folder}/1-a/checkpoint/5.tar", b"broken off", "application/x-tar")
    await story.finish(lora=(lora,))
    other = await Story.begin(broker, api)
    await other.plan()
    taken = e.StageReused(
        stage="train_lora",
        from_job=story.job,
        from_stage="train_lora",
        input_hash="0" * 64,
        outputs={"lora": (lora,)},
        metrics={},
    )
    await other.tell(taken)
    request = (await log.fold(story.job)).request
    assert request is not None
    assert (await api.delete(f"/api/jobs/{story.job}")).status_code == 204
    while [key async for key in store.keys(f"jobs/{story.job}/")] != [lora.key]:
        await api.get("/health")
    while [key async for key in store.keys(request.inputs["photos"][0].key)]:
        await api.get("/health")
    assert await store.get(lora) == b"weights"


async def test_all_keys_are_told_however_many(store: ObjectStore) -> None:
    # More than the store gives in one answer.
    names = {f"many/{number:04}" for number in range(1003)}
    for name in names:
        await store.put(name, b"", "text/plain")
    assert {key async for key in store.keys("many/")} == names
    assert [key async for key in store.keys("none/")] == []
