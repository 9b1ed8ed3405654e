"""Results of jobs: fetched whole, shown small, or lent by a link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from myspinbot.client.downloads import OnReceived, download
from myspinbot.client.jobs import AnyPath
from myspinbot.client.replies import ArtifactLink, InputLink, SignedLink
from myspinbot.client.transport import Transport

_ENDINGS = {
    "application/x-safetensors": "safetensors",
    "application/x-tar": "tar",
    "application/json": "json",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/plain": "txt",
    "text/vtt": "vtt",
    "video/mp4": "mp4",
}


class AsyncArtifacts:
    """What jobs have made."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def download(
        self, link: ArtifactLink | InputLink, path: AnyPath, on_received: OnReceived | None = None
    ) -> Path:
        """Fetch a result into a file, going on where an earlier try was cut off.

        Raises DamagedDownloadError if its hash is not what the gateway announced.
        """
        return await download(self._transport, link, Path(path), on_received)

    async def save(
        self,
        links: Sequence[ArtifactLink],
        folder: AnyPath,
        on_received: OnReceived | None = None,
    ) -> dict[str, Path]:
        """Fetch results into a folder, each under its `file_names`; returns the paths by name."""
        saved: dict[str, Path] = {}
        for link, name in zip(links, file_names(links), strict=True):
            saved[name] = await self.download(link, Path(folder) / name, on_received)
        return saved

    async def thumbnail(self, url: str, size: int = 320) -> bytes:
        """A picture that fits into a square of `size` pixels, as WebP."""
        reply = await self._transport.request("GET", f"{url}/thumbnail", query={"size": size})
        return reply.content

    async def lend(self, url: str, expires_in_s: int) -> SignedLink:
        """An address of a result that needs no credentials for a while."""
        lent = await self._transport.post(SignedLink, f"{url}/link", {"expiresInS": expires_in_s})
        if lent.url.startswith("/"):
            return lent.model_copy(update={"url": self._transport.target.api + lent.url})
        return lent


def file_names(links: Iterable[ArtifactLink]) -> tuple[str, ...]:
    """A name for each result, all different: `video.mp4`, `samples-2.png`, `probe-faces.json`."""
    given = tuple(links)
    stages = {(link.output, link.stage) for link in given}
    makers = Counter(output for output, _ in stages)
    several = Counter((link.stage, link.output) for link in given)

    def name(link: ArtifactLink) -> str:
        parts = [link.stage] if makers[link.output] > 1 else []
        parts.append(link.output)
        if several[link.stage, link.output] > 1:
            parts.append(str(link.index + 1))
        return f"{'-'.join(parts)}.{_ENDINGS.get(link.media_type, 'bin')}"

    return tuple(name(link) for link in given)
