"""How requests travel: HTTP with patience and credentials, and the WebSocket beside it.

Every POST carries an idempotency key, so all requests may be sent again without harm, and
are, while the gateway or a part behind it is away for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError
from websockets.asyncio.client import connect

from myspinbot.client.errors import ApiError, StrangeReplyError, UnreachableError
from myspinbot.client.replies.base import Reply
from myspinbot.client.target import Target

RETRY_S = 0.5
MOMENT_S = 3.0
"""How long a gateway may say that a part behind it is away."""
CROWDED_S = 30.0
"""How long a gateway may say that there are too many requests."""
_UNCERTAIN = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE})

Result = TypeVar("Result")
Answer = TypeVar("Answer", bound=Reply)
Query = Mapping[str, Any]
Content = Callable[[], Any]
"""Makes the content of a request anew, for each time that it is sent."""


class Transport:
    """A connection to one gateway.

    With a `patience_s`, requests are sent again for so long while nobody answers.
    """

    def __init__(self, target: Target, patience_s: float) -> None:
        self.target = target
        self._patience_s = patience_s
        self._http = httpx.AsyncClient(
            base_url=target.api,
            timeout=httpx.Timeout(60.0, connect=5.0),
            # A proxy for the internet is none for this machine.
            trust_env=not target.on_this_machine,
            limits=httpx.Limits(max_connections=16),
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def get(self, model: type[Answer], path: str, query: Query | None = None) -> Answer:
        """The answer to a GET."""
        return _read(model, path, await self.json("GET", path, query=query))

    async def post(
        self, model: type[Answer], path: str, body: Any = None, *, key: str | None = None
    ) -> Answer:
        """The answer to a POST. The same `key` asks for the same thing once."""
        return _read(model, path, await self.json("POST", path, body=body, key=key))

    async def delete(self, path: str) -> None:
        """A DELETE."""
        await self.request("DELETE", path)

    async def json(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        key: str | None = None,
    ) -> Any:
        """The JSON that a request is answered with."""
        response = await self.request(method, path, query=query, body=body, key=key)
        try:
            return response.json() if response.content else {}
        except ValueError as error:
            raise StrangeReplyError(path, "it is no JSON") from error

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content: Content | None = None,
        size: int | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        """Send a request for as long as it takes; ApiError if it is refused.

        `size` is of the `content`, in bytes: object stores want to know it before.
        """
        headers = self._headers(path)
        if size is not None:
            headers["Content-Length"] = str(size)
        if method == "POST":
            headers["Idempotency-Key"] = key or secrets.token_hex(16)
        given = {name: value for name, value in (query or {}).items() if value is not None}

        async def ask() -> httpx.Response:
            response = await self._http.request(
                method,
                path,
                params=given or None,
                headers=headers,
                json=body,
                content=content() if content else None,
            )
            if not response.is_success:
                raise ApiError.of(response)
            return response

        return await self.insist(ask)

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str] | None = None, *, timeout_s: float = 60.0
    ) -> AsyncIterator[httpx.Response]:
        """A response whose body is read while the context lasts; ApiError if it is refused."""
        async with self._http.stream(
            "GET",
            path,
            headers={**self._headers(path), **(headers or {})},
            timeout=httpx.Timeout(timeout_s, connect=5.0),
        ) as response:
            if response.is_error:
                await response.aread()
                raise ApiError.of(response)
            yield response

    async def readiness(self) -> dict[str, Any]:
        """What `/ready` says, whatever its status."""
        try:
            return dict((await self._http.get("/ready")).json())
        except httpx.TransportError as error:
            raise UnreachableError(self.target.api) from error
        except (ValueError, TypeError) as error:
            raise StrangeReplyError("/ready", "it is no JSON") from error

    def socket(self) -> connect:
        """The WebSocket for live updates, to be entered as a context."""
        return connect(
            self.target.api.replace("http", "ws", 1) + "/ws",
            additional_headers=self._headers("/ws"),
            proxy=None if self.target.on_this_machine else True,
            open_timeout=10,
        )

    async def insist(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Try again while the gateway, or a part behind it, is away for a moment."""
        begun = time.monotonic()
        while True:
            wait_s = RETRY_S
            try:
                return await attempt()
            except httpx.TransportError as error:
                if time.monotonic() - begun >= self._patience_s:
                    raise UnreachableError(self.target.api) from error
            except ApiError as error:
                wait_s = error.retry_after_s or RETRY_S
                if time.monotonic() - begun + wait_s > self._patience_with(error):
                    raise
            await asyncio.sleep(wait_s)

    def _patience_with(self, error: ApiError) -> float:
        if error.status in _UNCERTAIN:
            return max(self._patience_s, MOMENT_S)
        return CROWDED_S if error.status == httpx.codes.TOO_MANY_REQUESTS else 0.0

    def _headers(self, path: str) -> dict[str, str]:
        """Credentials go to the gateway, and not to an object store that it points to."""
        if self.target.token is None or not path.startswith("/"):
            return {}
        return {"Authorization": f"Bearer {self.target.token}"}


def _read(model: type[Answer], path: str, document: Any) -> Answer:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StrangeReplyError(path, f"{where or 'it'}: {first['msg']}") from error


def read_all(model: type[Answer], path: str, documents: Any) -> tuple[Answer, ...]:
    """A list of models from a list of documents."""
    return tuple(_read(model, path, document) for document in documents)
