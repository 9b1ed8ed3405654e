"""Uploads as they lie in the object store: parts, and then a whole that is looked at once."""

from __future__ import annotations

import hashlib

from servicekit.objects import MissingObjectError, ObjectStore

from gateway.problems import Problem, ProblemKind
from gateway.uploads.judge import Judge
from gateway.uploads.records import UploadRecord


async def arrived(store: ObjectStore, record: UploadRecord) -> dict[int, tuple[int, str]]:
    """(size, ETag) of every part in the store, by number."""
    found: dict[int, tuple[int, str]] = {}
    marker = 0
    while True:
        try:
            page = await store.call(
                "list_parts",
                Bucket=store.bucket,
                Key=record.key,
                UploadId=record.multipart,
                PartNumberMarker=marker,
            )
        except MissingObjectError:
            # Put together by a gateway that did not come to say so.
            return found
        for part in page.get("Parts", ()):
            found[int(part["PartNumber"])] = (int(part["Size"]), str(part["ETag"]))
        if not page.get("IsTruncated"):
            return found
        marker = int(page["NextPartNumberMarker"])


async def assemble(store: ObjectStore, record: UploadRecord) -> None:
    """Put the parts together; Problem if some are missing. Repeating it changes nothing."""
    parts = await arrived(store, record)
    lacking = sorted(
        part.number for part in record.parts() if parts.get(part.number, (0, ""))[0] != part.size
    )
    if lacking and not await _lies_there(store, record):
        raise Problem(
            ProblemKind.UPLOAD_INCOMPLETE,
            f"{len(lacking)} parts are missing, or are not of their size.",
            "Send the parts that `missing` lists, and complete it again.",
            missing=lacking[:100],
        )
    if lacking:
        return
    listed = [{"PartNumber": part.number, "ETag": parts[part.number][1]} for part in record.parts()]
    try:
        await store.call(
            "complete_multipart_upload",
            Bucket=store.bucket,
            Key=record.key,
            UploadId=record.multipart,
            MultipartUpload={"Parts": listed},
        )
    except MissingObjectError:
        if not await _lies_there(store, record):
            raise no_such_upload() from None


async def _lies_there(store: ObjectStore, record: UploadRecord) -> bool:
    try:
        await store.call("head_object", Bucket=store.bucket, Key=record.key)
    except MissingObjectError:
        return False
    return True


async def checked(store: ObjectStore, record: UploadRecord, judge: Judge) -> str:
    """The media type of what has arrived; Problem if it is not what was announced."""
    digest = hashlib.sha256()
    async for chunk in store.read(record.key):
        digest.update(chunk)
        judge.feed(chunk)
    if digest.hexdigest() != record.sha256:
        raise Problem(
            ProblemKind.WRONG_CONTENT,
            "What has arrived does not have the SHA-256 that was announced.",
            "Begin the upload anew; was the file changed meanwhile?",
        )
    return judge.finish()


def no_such_upload() -> Problem:
    """The problem of an upload that is not there."""
    return Problem(
        ProblemKind.NO_SUCH_UPLOAD,
        "No upload of yours has this id.",
        "Begin it with POST /api/uploads; an upload is kept for a day.",
    )
