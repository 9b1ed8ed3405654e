"""Erases uploads that nobody finished or used.

Jobs have copies of what they use, so whatever lies in the folder of uploads for longer than
an upload is kept is wanted by nobody. Any gateway may sweep, and several may at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
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
    async for lying in lying_there(store, FOLDER):
        if lying.time < before:
            swept += await erase(store, lying)
    if swept:
        log.info("uploads.swept", count=swept)
    return swept


@dataclass(frozen=True, slots=True)
class Lying:
    """What is in the store since a time; `multipart` is its name there while it is in parts."""

    key: str
    multipart: str | None
    time: datetime


async def erase(store: ObjectStore, lying: Lying) -> bool:
    """Remove it; False if its parts were put together or dropped since."""
    if lying.multipart is None:
        await store.delete(lying.key)
        return True
    try:
        await store.call(
            "abort_multipart_upload", Bucket=store.bucket, Key=lying.key, UploadId=lying.multipart
        )
    except MissingObjectError:
        return False
    return True


async def lying_there(store: ObjectStore, folder: str) -> AsyncIterator[Lying]:
    """Every object below a folder, and then every one that is in parts."""
    token: dict[str, str] = {}
    while True:
        page = await store.call("list_objects_v2", Bucket=store.bucket, Prefix=folder, **token)
        for item in page.get("Contents", ()):
            yield Lying(item["Key"], None, item["LastModified"])
        if not page.get("IsTruncated"):
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    marker: dict[str, str] = {}
    while True:
        page = await store.call(
            "list_multipart_uploads", Bucket=store.bucket, Prefix=folder, **marker
        )
        for item in page.get("Uploads", ()):
            yield Lying(item["Key"], item["UploadId"], item["Initiated"])
        if not page.get("IsTruncated"):
            return
        marker = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
