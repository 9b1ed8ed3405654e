"""A typed client of the gateway: HTTP for questions and requests, a WebSocket for what happens.

    async with Client("http://127.0.0.1:8787") as client:
        status = await client.generate([Path("me.jpg")], "Hello!", voice=Path("me.wav"))
        async for update in client.watch(status.job_id):
            print(update.progress)

Every method raises ApiError with the cause and the remedy that the gateway gives, or
UnreachableError when no gateway answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from myspinbot.errors import CommandError
from myspinbot.replies import ArtifactLink, JobDetail, JobList, JobUpdate, Problem, Status

RETRY_S = 0.5
PATIENCE_S = 60.0
"""How long a gateway may be away that is known to come back, for it may be starting again."""
_MOMENT_S = 3.0
"""How long a gateway may say that a part behind it is away."""
Result = TypeVar("Result")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class ApiError(CommandError):
    """The gateway refused a request. `http_status` and `kind` are of its problem document."""

    def __init__(self, http_status: int, problem: Problem) -> None:
        cause = problem.detail or problem.title or f"The gateway answered {http_status}."
        super().__init__(cause, problem.remedy)
        self.http_status = http_status
        self.kind = problem.type


class UnreachableError(CommandError):
    """Nobody answers at the gateway's address."""

    def __init__(self, api: str) -> None:
        super().__init__(
            f"No MySpinBot answers at {api}.",
            "Start one with `myspinbot up`, or name the address of another one with --api.",
        )


class DamagedDownloadError(CommandError):
    """What arrived is not what the gateway announced."""

    def __init__(self, link: ArtifactLink) -> None:
        super().__init__(
            f"The download of {link.output} arrived damaged.",
            "Try again; if it stays so, the object store has lost data: see its log.",
        )


class Client:
    """A connection to one gateway; use it as an asynchronous context manager.

    With a `patience_s`, requests are sent again for so long while nobody answers; all of them
    may be repeated without harm.
    """

    def __init__(self, api: str, patience_s: float = 0.0) -> None:
        self.api = api.rstrip("/")
        self._patience_s = patience_s
        # A proxy for the internet is none for this machine.
        self._direct = urlsplit(self.api).hostname in _LOOPBACK
        self._http = httpx.AsyncClient(
            base_url=self.api, timeout=httpx.Timeout(60.0, connect=5.0), trust_env=not self._direct
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def train(
        self, photos: Sequence[Path], *, voice: Path | None = None, name: str = "", prompt: str = ""
    ) -> Status:
        """Ask for a training on photos and, if there is one, a voice clip."""
        return await self._submit("/api/train", photos, voice, {"name": name, "prompt": prompt})

    async def generate(
        self,
        photos: Sequence[Path],
        script: str,
        *,
        voice: Path | None = None,
        profile: str = "",
        name: str = "",
        prompt: str = "",
    ) -> Status:
        """Ask for a talking video, of a profile or of photos that are trained on first."""
        fields = {"script": script, "profileId": profile, "name": name, "prompt": prompt}
        return await self._submit("/api/generate", photos, voice, fields)

    async def status(self, job: str) -> Status:
        """How a job stands, in short."""
        return Status.model_validate(await self._json("GET", f"/api/status/{job}"))

    async def job(self, job: str) -> JobDetail:
        """A job with its results."""
        return JobDetail.model_validate(await self._json("GET", f"/api/jobs/{job}"))

    async def jobs(self, limit: int = 20, before: str | None = None) -> JobList:
        """The jobs, newest first."""
        query = {"limit": str(limit)} | ({"before": before} if before else {})
        return JobList.model_validate(await self._json("GET", "/api/jobs", params=query))

    async def cancel(self, job: str) -> Status:
        """Stop a job."""
        return Status.model_validate(await self._json("POST", f"/api/jobs/{job}/cancel"))

    async def watch(self, job: str) -> AsyncGenerator[JobUpdate]:
        """How a job stands now, and then every change until it has ended.

        Goes on over a new connection when one breaks, for as long as PATIENCE_S.
        """
        away_since: float | None = None
        while True:
            try:
                async with self._socket() as socket:
                    await socket.send(json.dumps({"action": "subscribe", "jobId": job}))
                    async for text in socket:
                        update = await self._update(json.loads(text), job)
                        if update is None:
                            continue
                        away_since = None
                        yield update
                        if update.status.ended:
                            return
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError) as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > PATIENCE_S:
                    raise UnreachableError(self.api) from error
            await asyncio.sleep(RETRY_S)

    async def download(self, link: ArtifactLink, path: Path) -> None:
        """Fetch a result; the file appears when it is whole and its hash is right."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            partial = Path(file.name)
            try:
                await self._insist(lambda: self._receive(link, file))
            except BaseException:
                partial.unlink()
                raise
        partial.chmod(0o644)
        partial.replace(path)

    async def _receive(self, link: ArtifactLink, file: IO[bytes]) -> None:
        file.seek(0)
        file.truncate()
        digest = hashlib.sha256()
        async with self._http.stream("GET", link.url) as response:
            if response.is_error:
                await response.aread()
                raise _error(response)
            async for chunk in response.aiter_bytes():
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != link.sha256:
            raise DamagedDownloadError(link)

    async def _submit(
        self, path: str, photos: Sequence[Path], voice: Path | None, fields: Mapping[str, str]
    ) -> Status:
        key = {"Idempotency-Key": secrets.token_hex(16)}
        data = {name: text for name, text in fields.items() if text}

        def body(stack: contextlib.ExitStack) -> dict[str, Any]:
            # Names of files tell of persons, and nobody needs them.
            named = [("image", f"photo-{n}{p.suffix}", p) for n, p in enumerate(photos, 1)]
            if voice is not None:
                named.append(("voice", f"voice{voice.suffix}", voice))
            files = [
                (field, (name, stack.enter_context(file.open("rb")))) for field, name, file in named
            ]
            return {"data": data, "files": files} if files else {"json": data}

        return Status.model_validate(await self._json("POST", path, headers=key, body=body))

    async def _json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's JSON."""

        async def ask() -> Any:
            with contextlib.ExitStack() as files:
                content = body(files) if body else {}
                response = await self._http.request(
                    method, path, headers=headers, params=params, **content
                )
            if not response.is_success:
                raise _error(response)
            return response.json()

        return await self._insist(ask)

    async def _insist(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Try again while the gateway, or a part behind it, is away for a moment."""
        begun = time.monotonic()
        while True:
            taken = time.monotonic() - begun
            try:
                return await attempt()
            except httpx.TransportError as error:
                if taken >= self._patience_s:
                    raise UnreachableError(self.api) from error
            except ApiError as error:
                away = error.http_status == httpx.codes.SERVICE_UNAVAILABLE
                if not away or taken >= max(self._patience_s, _MOMENT_S):
                    raise
            await asyncio.sleep(RETRY_S)

    def _socket(self) -> connect:
        address = self.api.replace("http", "ws", 1) + "/ws"
        return connect(address, proxy=None if self._direct else True, open_timeout=10)

    async def _update(self, message: Mapping[str, Any], job: str) -> JobUpdate | None:
        """The update in a message; ApiError if the gateway does not know the job."""
        if message.get("type") == "update" and message.get("jobId") == job:
            return JobUpdate.model_validate(message)
        if message.get("message") == "failed":
            # The HTTP route says why, with a remedy, if that is not over already.
            await self.status(job)
            raise ConnectionResetError(str(message.get("detail", "")))
        return None


def _error(response: httpx.Response) -> ApiError:
    try:
        problem = Problem.model_validate(response.json())
    except (ValueError, ValidationError):
        problem = Problem(detail=f"The gateway answered {response.status_code} without a reason.")
    return ApiError(response.status_code, problem)
