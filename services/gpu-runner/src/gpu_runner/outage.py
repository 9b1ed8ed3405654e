"""An object store that is away while an attempt needs it.

A failure that is told at once is tried again within seconds, and an outage of a minute would use
up every attempt of a stage. So the runner keeps what it was given until the store answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from servicekit.admin import Readiness
from servicekit.objects import ObjectStore, ObjectStoreError
from servicekit.waiting import Need

LONGEST_S = 600.0
"""An attempt that has waited for so long is given up."""


async def bucket_answers(store: ObjectStore) -> None:
    """Return if the bucket is there; ObjectStoreError if it is not, or nobody answers."""
    # Not `head_bucket`: its answer has no body, and a refusal would say only that it is one.
    await store.call("list_objects_v2", Bucket=store.bucket, MaxKeys=1)


async def until_store_answers(
    store: ObjectStore, readiness: Readiness, unwanted: Callable[[], bool]
) -> None:
    """Return when it does, when the attempt is `unwanted`, or after ten minutes."""
    need = Need("objects", readiness)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_S):
            while not unwanted():
                try:
                    await bucket_answers(store)
                except ObjectStoreError as error:
                    await need.failed(error)
                else:
                    break
    # Whoever takes the next command finds out again.
    need.reached()
