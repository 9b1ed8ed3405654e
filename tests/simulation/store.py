"""An S3 client in memory, under the real `servicekit.objects.ObjectStore`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

from botocore.exceptions import ClientError, EndpointConnectionError


class Objects:
    """What the bucket holds. It is `away` at times."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.away = False


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""

    async def read(self, _most: int) -> bytes:
        data, self._data = self._data, b""
        return data


class SimulatedS3:
    """One process's client. `step` is called before each effect on the store."""

    def __init__(
        self, objects: Objects, delay_s: Callable[[], float], step: Callable[[str], None]
    ) -> None:
        self._objects = objects
        self._delay_s = delay_s
        self._step = step
        self._dead = False

    def die(self) -> None:
        """The process has ended."""
        self._dead = True

    async def _reach(self, operation: str) -> None:
        self._step(operation)
        await asyncio.sleep(self._delay_s())
        if self._objects.away or self._dead:
            raise EndpointConnectionError(endpoint_url="simulated")

    async def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Keep an object."""
        await self._reach("put_object")
        self._objects.content[Key] = Body
        return {}

    async def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Read an object."""
        await self._reach("get_object")
        if Key not in self._objects.content:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "get_object")
        content = self._objects.content[Key]
        return {"ContentType": "application/octet-stream", "Body": _Body(content)}

    async def list_objects_v2(self, *, Prefix: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        """What is kept under keys that begin so, all on one page."""
        await self._reach("list_objects_v2")
        kept = {key: data for key, data in self._objects.content.items() if key.startswith(Prefix)}
        entries = [{"Key": key, "Size": len(kept[key]), "ETag": '"?"'} for key in sorted(kept)]
        return {"Contents": entries}
