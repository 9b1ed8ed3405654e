"""Uploads: files on their way to the object store, in parts."""

from __future__ import annotations

from datetime import datetime

from myspinbot.client.replies.base import Reply


class UploadPart(Reply):
    """A part of a file: number (from 1), size in bytes, and where to put it."""

    number: int
    size: int
    done: bool
    url: str


class Upload(Reply):
    """A file on its way; `state` is `waiting` until every part has come and was checked.

    `name` is that of the file here; the gateway learns it from the job that uses it.
    """

    upload_id: str
    name: str = ""
    kind: str
    state: str
    size: int
    sha256: str
    part_bytes: int
    parts: tuple[UploadPart, ...] = ()
    duplicate: bool = False
    expires_at: datetime | None = None
