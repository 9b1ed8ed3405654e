"""The bucket that services share, on a real object store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from servicekit.objects import ObjectStoreError, OwnBucketError, StoreAddress, open_store

from tests.support.objectstore import STRANGER, object_store


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    with object_store(tmp_path_factory.mktemp("weed")) as started:
        yield started


async def test_services_that_start_together_all_find_or_make_the_bucket(
    address: StoreAddress,
) -> None:
    new = replace(address, bucket="wanted-by-all")
    async with AsyncExitStack() as services:
        stores = [await services.enter_async_context(open_store(new)) for _ in range(8)]
        await asyncio.gather(*(store.ensure_bucket() for store in stores))
        stored = await stores[0].put("key", b"content", "text/plain")
        assert await stores[1].get(stored) == b"content"


async def test_a_bucket_of_somebody_else_is_not_taken_for_ours(address: StoreAddress) -> None:
    stranger = replace(address, **STRANGER)
    async with open_store(address) as ours, open_store(stranger) as theirs:
        await theirs.call("create_bucket", Bucket="theirs")
        with pytest.raises(ObjectStoreError, match="BucketAlreadyExists") as refused:
            await ours.call("create_bucket", Bucket="theirs")
        assert not isinstance(refused.value, OwnBucketError)
