"""A small hub of models on the loopback, speaking what huggingface_hub asks of a real one.

The metadata of a revision with its blobs, `resolve` with ranges and with the redirect that large
files have, and the refusals; and it can break off, stall or lie when a test wants it to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_INFO = re.compile(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_LARGE = ".safetensors"


@dataclass
class Repository:
    """A repository with one commit; `token` is what it asks for, if it is gated or private."""

    revision: str
    files: dict[str, bytes]
    licence: str | None = None
    token: str | None = None
    private: bool = False


@dataclass
class LocalHub:
    """What the hub has, and how it misbehaves. `asked` lists method, path and range."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    address: str = ""
    break_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers with large files end."""
    stall_after: int | None = None
    """Bytes after which large files come no further, until `close`."""
    lies: dict[str, bytes] = field(default_factory=dict)
    """Contents that are sent instead of those that the metadata tell of."""
    knows_ranges: bool = True
    fails_with: int | None = None
    stalled: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def ranges(self, end: str) -> list[str | None]:
        """The ranges that were asked for of the file with a path that ends so."""
        return [each for method, path, each in self.asked if method == "GET" and path.endswith(end)]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LocalHub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Be quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers["Range"]))
        if self.hub.fails_with is not None:
            self._send(self.hub.fails_with, b"")
        elif found := _INFO.fullmatch(path):
            self._info(*found.groups())
        elif path.startswith("/large/"):
            self._content(path.removeprefix("/large/"))
        elif found := _RESOLVE.fullmatch(path):
            self._resolve(*found.groups())
        else:
            self._send(404, b"")

    def _repository(self, name: str, revision: str, *, content: bool) -> Repository | None:
        found = self.hub.repositories.get(name)
        allowed = found and self.headers["Authorization"] == f"Bearer {found.token}"
        if found is None or (found.private and not allowed):
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif content and found.token and not allowed:
            refused = 403 if self.headers["Authorization"] else 401
            self._send(refused, b"", {"X-Error-Code": "GatedRepo"})
        elif revision not in (found.revision, "main"):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            return found
        return None

    def _info(self, name: str, revision: str) -> None:
        found = self._repository(name, revision, content=False)
        if found is None:
            return
        siblings = [_told(path, content) for path, content in found.files.items()]
        answer = {
            "id": name,
            "sha": found.revision,
            "cardData": {"license": found.licence} if found.licence else None,
            "siblings": siblings,
        }
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, path: str) -> None:
        found = self._repository(name, revision, content=True)
        if found is None:
            return
        if path not in found.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif path.endswith(_LARGE):
            self._send(302, b"", {"Location": f"{self.hub.address}/large/{name}/{path}"})
        else:
            self._send(200, self.hub.lies.get(path, found.files[path]))

    def _content(self, path: str) -> None:
        owner, name, inner = path.split("/", 2)
        content = self.hub.lies.get(inner) or self.hub.repositories[f"{owner}/{name}"].files[inner]
        start, asked = 0, re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked and self.hub.knows_ranges:
            start = int(asked[1])
        headers = {"Content-Length": str(len(content) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if start else 200, content[start:], headers, large=True)

    def _send(
        self,
        status: int,
        content: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        large: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        stall = self.hub.stall_after
        if large and stall is not None and stall < len(content):
            self.wfile.write(content[:stall])
            self.wfile.flush()
            self.hub.stalled.set()
            self.hub.closing.wait()
            self.close_connection = True
        elif large and self.hub.break_after:
            self.wfile.write(content[: self.hub.break_after.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(content)


def _told(path: str, content: bytes) -> dict[str, Any]:
    if path.endswith(_LARGE):
        lfs = {"size": len(content), "sha256": digest(content), "pointerSize": 134}
        return {"rfilename": path, "size": len(content), "blobId": "0" * 40, "lfs": lfs}
    header = b"blob %d\0" % len(content)
    blob = hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
    return {"rfilename": path, "size": len(content), "blobId": blob}


@contextlib.contextmanager
def local_hub() -> Iterator[LocalHub]:
    """A hub without repositories, for as long as the context lasts."""
    hub = LocalHub()
    handler = type("_HubHandler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.address = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield hub
        finally:
            hub.closing.set()
            server.shutdown()
            serving.join()
