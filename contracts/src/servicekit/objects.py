"""The S3 object store: immutable objects, written as streams, checked against their hash."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError
from contracts.artifacts import Artifact

from servicekit import metrics, storespans
from servicekit.settings import Environment

PART_BYTES = 8 << 20
CONNECTIONS = 128
"""How many requests to the store may be under way at once; more of them wait."""
_CHUNK_BYTES = 1 << 20


class ObjectStoreError(Exception):
    """The object store could not do what it was asked."""


class MissingObjectError(ObjectStoreError):
    """The object is not there: it was erased, or never arrived."""


class OwnBucketError(ObjectStoreError):
    """The bucket that was to be made is there, and it is ours."""


class CorruptObjectError(ObjectStoreError):
    """The object's content is not what its reference says."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is and how to sign in to it."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    @staticmethod
    def of(environment: Environment) -> StoreAddress:
        """From the settings `MYSPINBOT_S3_*`."""
        return StoreAddress(
            endpoint=environment.text("S3_ENDPOINT"),
            bucket=environment.text("S3_BUCKET", "myspinbot"),
            access_key=environment.text("S3_ACCESS_KEY"),
            secret_key=environment.text("S3_SECRET_KEY"),
            region=environment.text("S3_REGION", "us-east-1"),
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """What the store's list says of an object. `etag` changes with the content."""

    key: str
    size: int
    etag: str


@dataclass(slots=True)
class ObjectWriter:
    """An object while it is written. It comes to be when `finish` returns, or not at all."""

    store: ObjectStore
    key: str
    media_type: str
    size: int = 0
    _buffer: bytearray = field(default_factory=bytearray)
    _hash: Any = field(default_factory=hashlib.sha256)
    _upload: str | None = None
    _parts: list[dict[str, Any]] = field(default_factory=list)

    async def write(self, data: bytes) -> None:
        """Add bytes. Memory stays at about one part, however long the object grows."""
        self._hash.update(data)
        self.size += len(data)
        self._buffer += data
        if len(self._buffer) >= PART_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        where = {"Bucket": self.store.bucket, "Key": self.key}
        if self._upload is None:
            reply = await self.store.call(
                "create_multipart_upload", **where, ContentType=self.media_type
            )
            self._upload = reply["UploadId"]
        number = len(self._parts) + 1
        reply = await self.store.call(
            "upload_part",
            **where,
            UploadId=self._upload,
            PartNumber=number,
            Body=bytes(self._buffer),
        )
        self._parts.append({"PartNumber": number, "ETag": reply["ETag"]})
        self._buffer.clear()

    async def finish(self) -> Artifact:
        """Complete the object and return the reference to it."""
        where = {"Bucket": self.store.bucket, "Key": self.key}
        if self._upload is None:
            await self.store.call(
                "put_object", **where, Body=bytes(self._buffer), ContentType=self.media_type
            )
        else:
            if self._buffer:
                await self._flush()
            await self.store.call(
                "complete_multipart_upload",
                **where,
                UploadId=self._upload,
                MultipartUpload={"Parts": self._parts},
            )
        return Artifact(
            key=self.key,
            size=self.size,
            sha256=self._hash.hexdigest(),
            media_type=self.media_type,
        )

    async def abort(self) -> None:
        """Give up: what was sent so far is dropped."""
        if self._upload is not None:
            await self.store.call(
                "abort_multipart_upload",
                Bucket=self.store.bucket,
                Key=self.key,
                UploadId=self._upload,
            )


class ObjectStore:
    """One bucket. Every method raises ObjectStoreError when the store fails."""

    def __init__(self, client: Any, bucket: str, patience_s: float | None = None) -> None:
        self._client = client
        self.bucket = bucket
        self._patience_s = patience_s

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One call of the S3 client, with its errors made ours."""
        with (
            storespans.calling(operation, self.bucket, arguments, (MissingObjectError,)),
            metrics.asking_store(operation) as outcome,
        ):
            return await self._call(operation, outcome, arguments)

    async def _call(
        self, operation: str, outcome: metrics.Outcome, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._patience_s):
                reply = dict(await getattr(self._client, operation)(**arguments))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("NoSuchKey", "NoSuchUpload", "404", "NotFound"):
                outcome.name = "missing"
                raise MissingObjectError(f"no object {arguments.get('Key')}") from error
            if code == "BucketAlreadyOwnedByYou":
                raise OwnBucketError(f"{operation}: {error}") from error
            raise ObjectStoreError(f"{operation}: {error}") from error
        except TimeoutError as error:
            raise ObjectStoreError(f"{operation}: no answer in {self._patience_s} s") from error
        except (BotoCoreError, OSError) as error:
            raise ObjectStoreError(f"{operation}: {error}") from error
        outcome.name = "ok"
        return reply

    async def ensure_bucket(self) -> None:
        """Make the bucket if it is not there."""
        names = await self.call("list_buckets")
        if self.bucket not in {bucket["Name"] for bucket in names.get("Buckets", ())}:
            # Another service may have made it since, or our own request that came twice.
            with contextlib.suppress(OwnBucketError):
                await self.call("create_bucket", Bucket=self.bucket)

    def writer(self, key: str, media_type: str) -> ObjectWriter:
        """Begin an object."""
        return ObjectWriter(self, key, media_type)

    async def put(self, key: str, data: bytes, media_type: str) -> Artifact:
        """Write a small object."""
        writer = self.writer(key, media_type)
        await writer.write(data)
        return await writer.finish()

    async def copy(self, artifact: Artifact, key: str) -> Artifact:
        """A second object with the same content, made within the store."""
        await self.call(
            "copy_object",
            Bucket=self.bucket,
            Key=key,
            CopySource={"Bucket": self.bucket, "Key": artifact.key},
            MetadataDirective="REPLACE",
            ContentType=artifact.media_type,
        )
        return artifact.model_copy(update={"key": key})

    async def put_file(self, key: str, path: Path, media_type: str) -> Artifact:
        """Write a file of any size."""
        writer = self.writer(key, media_type)
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    await writer.write(chunk)
            return await writer.finish()
        except BaseException:
            await writer.abort()
            raise

    async def read(self, key: str, byte_range: str | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes of an object, or of a range such as `bytes=0-99`, in chunks."""
        _, chunks = await self.open(key, byte_range)
        async for chunk in chunks:
            yield chunk

    async def open(
        self, key: str, byte_range: str | None = None
    ) -> tuple[str, AsyncGenerator[bytes, None]]:
        """The media type of an object and its bytes, which must be read to their end."""
        arguments = {"Bucket": self.bucket, "Key": key}
        if byte_range:
            arguments["Range"] = byte_range
        reply = await self.call("get_object", **arguments)
        return str(reply["ContentType"]), _chunks(reply["Body"])

    async def get(self, artifact: Artifact) -> bytes:
        """A small object, checked."""
        data = b"".join([chunk async for chunk in self.read(artifact.key)])
        if hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise CorruptObjectError(f"{artifact.key} is not what its hash says")
        return data

    async def get_file(self, artifact: Artifact, path: Path) -> None:
        """Fetch an object into a file, checked; the file appears only when it is whole."""
        digest = hashlib.sha256()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            partial = Path(file.name)
            try:
                async for chunk in self.read(artifact.key):
                    digest.update(chunk)
                    file.write(chunk)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        if digest.hexdigest() != artifact.sha256:
            partial.unlink()
            raise CorruptObjectError(f"{artifact.key} is not what its hash says")
        partial.rename(path)

    async def presign(self, operation: str, expires_s: int, **arguments: Any) -> str:
        """An address that lets whoever has it do one thing, such as `upload_part`, for a time."""
        return str(
            await self._client.generate_presigned_url(
                operation, Params={"Bucket": self.bucket, **arguments}, ExpiresIn=expires_s
            )
        )

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """The keys that begin so, such as `jobs/<job>/`."""
        async for listed in self.entries(prefix):
            yield listed.key

    async def entries(self, prefix: str) -> AsyncIterator[Listed]:
        """The objects whose keys begin so, in order of their keys."""
        page: dict[str, Any] = {}
        while True:
            found = await self.call("list_objects_v2", Bucket=self.bucket, Prefix=prefix, **page)
            for entry in found.get("Contents", ()):
                yield Listed(entry["Key"], int(entry["Size"]), entry["ETag"].strip('"'))
            if not found.get("IsTruncated"):
                return
            page = {"ContinuationToken": found["NextContinuationToken"]}

    async def size(self, key: str) -> int | None:
        """How many bytes an object has; None if it is not there."""
        try:
            reply = await self.call("head_object", Bucket=self.bucket, Key=key)
        except MissingObjectError:
            return None
        return int(reply["ContentLength"])

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        await self.call("delete_object", Bucket=self.bucket, Key=key)


async def _chunks(body: Any) -> AsyncGenerator[bytes, None]:
    try:
        async with body:
            while chunk := await body.read(_CHUNK_BYTES):
                yield chunk
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:
        raise ObjectStoreError(f"get_object: {error}") from error


@asynccontextmanager
async def open_store(
    address: StoreAddress, patience_s: float | None = None
) -> AsyncIterator[ObjectStore]:
    """A client of the store for as long as the context lasts.

    Calls that are not answered fail after `patience_s` seconds; as they stand, after some tries.
    """
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        retries={"max_attempts": 5, "mode": "standard"},
        connect_timeout=5,
        read_timeout=60 if patience_s is None else patience_s,
        max_pool_connections=CONNECTIONS,
    )
    session = aioboto3.Session()
    async with session.client(
        "s3",
        endpoint_url=address.endpoint,
        aws_access_key_id=address.access_key,
        aws_secret_access_key=address.secret_key,
        region_name=address.region,
        config=config,
    ) as client:
        yield ObjectStore(client, address.bucket, patience_s)
