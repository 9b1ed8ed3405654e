"""Uploads that outlive a request: cut into parts, taken up again, checked as a whole.

The parts lie in the store's own multipart upload and the rest in a record on the broker, so
any gateway can go on with an upload that another one began. Its id is made from its
owner and content: asking for the same upload again finds what has arrived of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from contracts.artifacts import Artifact
from contracts.queries import FindObject
from eventlog.keyvalue import KeyValue, RevisionError
from eventlog.log import utc_now
from eventlog.rpc import NotFoundError, ask
from servicekit.objects import MissingObjectError

from contracts import subjects
from gateway import metrics
from gateway.context import Gateway
from gateway.problems import Problem, ProblemKind
from gateway.uploads import stored
from gateway.uploads.judge import FileKind, Judge, check_size
from gateway.uploads.quota import check_quota
from gateway.uploads.records import FOLDER, KEPT_S, Part, UploadRecord, part_bytes

_MOST = 500
_LABELS = {FileKind.PHOTO: "photo", FileKind.CLIP: "voice clip", FileKind.MUSIC: "music"}


@dataclass(frozen=True, slots=True)
class Session:
    """An upload as it stands."""

    upload: str
    record: UploadRecord
    revision: int
    duplicate: bool = False
    fresh: bool = False
    """Whether it was begun just now, and its bytes have to be sent."""


class Sessions:
    """The uploads of one owner."""

    def __init__(self, gateway: Gateway, owner: str) -> None:
        self._gateway = gateway
        self._store = gateway.store
        self._config: KeyValue = gateway.config
        self._owner = owner

    async def begin(self, kind: FileKind, size: int, sha256: str) -> Session:
        """Begin an upload, or find the one there is; Problem if it would be too much."""
        check_size(kind, _LABELS[kind], size, self._gateway.settings.limits)
        content = f"{self._owner}\0{kind}\0{size}\0{sha256}"
        upload = "u" + hashlib.sha256(content.encode()).hexdigest()[:31]
        if (found := await self._lookup(upload)) is not None:
            return found
        await check_quota(self._gateway, self._owner, size, await self._waiting())
        key = f"{FOLDER}{self._gateway.new_id()}"
        known = await self._known(kind, size, sha256)
        if known is not None:
            await self._store.copy(known, key)
            multipart = None
        else:
            reply = await self._store.call(
                "create_multipart_upload", Bucket=self._store.bucket, Key=key
            )
            multipart = str(reply["UploadId"])
        record = UploadRecord(
            kind=kind,
            size=size,
            sha256=sha256,
            key=key,
            multipart=multipart,
            part_bytes=part_bytes(size),
            media_type=known.media_type if known else None,
            expires_at=utc_now() + timedelta(seconds=KEPT_S),
        )
        try:
            revision = await self._config.create(self._subject(upload), record.to_json(), KEPT_S)
        except RevisionError:
            # The same upload was begun in the same moment. What was made here is swept away.
            return await self.get(upload)
        return Session(upload, record, revision, duplicate=known is not None, fresh=known is None)

    async def get(self, upload: str) -> Session:
        """An upload; Problem if there is none."""
        found = await self._lookup(upload)
        if found is None:
            raise stored.no_such_upload()
        return found

    async def done(self, session: Session) -> set[int]:
        """The numbers of the parts that have arrived in their right size."""
        parts = {part.number: part.size for part in session.record.parts()}
        if session.record.complete:
            return set(parts)
        arrived = await stored.arrived(self._store, session.record)
        return {number for number, (size, _) in arrived.items() if parts.get(number) == size}

    async def put(self, session: Session, number: int, body: AsyncIterator[bytes]) -> None:
        """Take in one part; Problem unless it has just the size that it should have."""
        part = _part(session.record, number)
        async with self._gateway.parts.one(self._owner):
            data = io.BytesIO()
            async for chunk in body:
                data.write(chunk)
                if data.tell() > part.size:
                    break
            size = data.tell()
            if size != part.size:
                raise Problem(
                    ProblemKind.WRONG_PART,
                    f"Part {number} of this upload has {part.size:,} bytes, and "
                    + ("more were sent." if size > part.size else f"{size:,} were sent."),
                    "Send the bytes that GET on the upload lists for this part.",
                    limit=part.size,
                )
            data.seek(0)
            try:
                await self._store.call(
                    "upload_part",
                    Bucket=self._store.bucket,
                    Key=session.record.key,
                    UploadId=session.record.multipart,
                    PartNumber=number,
                    Body=data,
                )
            except MissingObjectError:
                raise stored.no_such_upload() from None
        metrics.UPLOADED_BYTES.labels(session.record.kind.value).inc(part.size)

    async def complete(self, session: Session) -> Session:
        """Put the parts together and check the whole; Problem if it is not what was announced.

        What turns out to be something else is removed. Repeating it changes nothing.
        """
        record = session.record
        if record.complete:
            return session
        await stored.assemble(self._store, record)
        try:
            judge = Judge(record.kind, _LABELS[record.kind], self._gateway.settings.limits)
            media_type = await stored.checked(self._store, record, judge)
        except Problem:
            await self.remove(session)
            raise
        finished = record.model_copy(
            update={
                "multipart": None,
                "media_type": media_type,
                "expires_at": utc_now() + timedelta(seconds=KEPT_S),
            }
        )
        subject = self._subject(session.upload)
        try:
            revision = await self._config.put(subject, finished.to_json(), session.revision, KEPT_S)
        except RevisionError:
            # Somebody else completed it in the same moment, or gave it up.
            return await self.get(session.upload)
        return Session(session.upload, finished, revision)

    async def remove(self, session: Session) -> None:
        """Give an upload up."""
        record = session.record
        if record.multipart is not None:
            with contextlib.suppress(MissingObjectError):
                await self._store.call(
                    "abort_multipart_upload",
                    Bucket=self._store.bucket,
                    Key=record.key,
                    UploadId=record.multipart,
                )
        await self._store.delete(record.key)
        await self._config.delete(self._subject(session.upload))

    async def take(self, upload: str, kind: FileKind) -> Artifact:
        """What a complete upload left in the store; Problem if it is not there or not of a kind."""
        session = await self.get(upload)
        if session.record.kind is not kind:
            raise Problem(
                ProblemKind.INVALID_REQUEST,
                f"The upload {upload} is a {session.record.kind}, and a {kind} is wanted.",
                "Name photos as `photos`, a clip as `clip` and music as `music`.",
            )
        if not session.record.complete:
            raise Problem(
                ProblemKind.UPLOAD_INCOMPLETE,
                f"The upload {upload} is not complete.",
                f"Send its missing parts, then POST /api/uploads/{upload}/complete.",
            )
        return session.record.artifact

    async def _lookup(self, upload: str) -> Session | None:
        entry = await self._config.get(self._subject(upload))
        if entry is None:
            return None
        record = entry.read(UploadRecord)
        return Session(upload, record, entry.revision, duplicate=record.complete)

    async def _waiting(self) -> int:
        """The bytes of all uploads that there are; Problem if there are too many."""
        records = [
            entry.read(UploadRecord)
            async for entry in self._config.all(subjects.config("uploads", self._owner, "*"))
        ]
        if len(records) >= _MOST:
            raise Problem(
                ProblemKind.TOO_MANY_UPLOADS,
                f"There are {len(records)} uploads that no job has used yet.",
                "DELETE some of them; each goes by itself after a day.",
                limit=_MOST,
            )
        return sum(record.size for record in records)

    async def _known(self, kind: FileKind, size: int, sha256: str) -> Artifact | None:
        """An object of the owner's with this very content."""
        query = FindObject(
            owner=self._owner, sha256=sha256, min_position=self._gateway.live.position
        )
        try:
            found, _ = await ask(self._gateway.broker, query, Artifact)
        except NotFoundError:
            return None
        wanted = "image/" if kind is FileKind.PHOTO else "audio/"
        return found if found.size == size and found.media_type.startswith(wanted) else None

    def _subject(self, upload: str) -> str:
        return subjects.config("uploads", self._owner, upload)


def _part(record: UploadRecord, number: int) -> Part:
    if record.complete:
        raise Problem(
            ProblemKind.UPLOAD_COMPLETE,
            "The upload is complete already.",
            "Use it in a job.",
        )
    for part in record.parts():
        if part.number == number:
            return part
    last = -(-record.size // record.part_bytes)
    raise Problem(
        ProblemKind.NO_SUCH_PART,
        f"The upload has no part {number}.",
        f"Its parts have the numbers 1 to {last}.",
    )
