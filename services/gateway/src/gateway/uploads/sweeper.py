"""Erases uploads that nobody finished or used.

Jobs have copies of what they use, so whatever lies in the folder of uploads for longer than
an upload is kept is wanted by nobody. Any gateway may sweep, and several may at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import structlog
from eventlog.log import utc_now
from servicekit.objects import MissingObjectError, ObjectStore, ObjectStoreError

from gateway.uploads.records import FOLDER, KEPT_S

log = structlog.get_logger(__name__)

_EVERY_S = 900.0
# A record is forgotten before its object goes: nobody is promised what is being erased.
_LEEWAY_S = 3600


async def sweep_for_ever(store: ObjectStore) -> None:
    """Sweep now and every quarter of an hour."""
    while True:
        try:
            await sweep(store, utc_now() - timedelta(seconds=KEPT_S + _LEEWAY_S))
        except ObjectStoreError as error:
            log.warning("uploads.not_swept", detail=str(error))
        await asyncio.sleep(_EVERY_S)


async def sweep(store: ObjectStore, before: datetime) -> int:
    """Erase what was uploaded before a time, whole or in parts; how many there were."""
    swept = 0
    async for key, multipart, time in _lying_there(store):
        if time >= before:
            continue
        if multipart is None:
            await store.delete(key)
        else:
            try:
                await store.call(
                    "abort_multipart_upload", Bucket=store.bucket, Key=key, UploadId=multipart
                )
            except MissingObjectError:
                continue
        swept += 1
    if swept:
        log.info("uploads.swept", count=swept)
    return swept


async def _lying_there(store: ObjectStore) -> AsyncIterator[tuple[str, str | None, datetime]]:
    """(key, the store's name of the multipart upload if it is one, time) of every upload."""
    token: dict[str, str] = {}
    while True:
        page = await store.call("list_objects_v2", Bucket=store.bucket, Prefix=FOLDER, **token)
        for item in page.get("Contents", ()):
            yield item["Key"], None, item["LastModified"]
        if not page.get("IsTruncated"):
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    marker: dict[str, str] = {}
    while True:
        page = await store.call(
            "list_multipart_uploads", Bucket=store.bucket, Prefix=FOLDER, **marker
        )
        for item in page.get("Uploads", ()):
            yield item["Key"], item["UploadId"], item["Initiated"]
        if not page.get("IsTruncated"):
            return
        marker = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
