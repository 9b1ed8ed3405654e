"""The client and a gateway that does what a real one seldom does."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from myspinbot.client import ApiError, Client, DamagedDownloadError, UnreachableError
from myspinbot.client.replies import ArtifactLink

VIDEO = b"moving pictures" * 1000
STATUS = {"jobId": "j", "type": "train", "status": "running", "progress": 0.5, "new": "field"}


class Gateway(BaseHTTPRequestHandler):
    """Answers from a list, one answer for each request."""

    answers: list[tuple[int, bytes]]
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Idempotency-Key")))
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Tests need no log."""


@pytest.fixture
def gateway() -> Iterator[tuple[str, type[Gateway]]]:
    handler = type("OwnGateway", (Gateway,), {"answers": [], "seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def link(body: bytes) -> ArtifactLink:
    return ArtifactLink(
        stage="render_video",
        output="video",
        index=0,
        media_type="video/mp4",
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        url="/video",
    )


AWAY = (503, json.dumps({"detail": "Away.", "remedy": "Wait."}).encode())
FOUND = (200, json.dumps(STATUS).encode())


async def test_fields_of_a_newer_gateway_do_no_harm(gateway) -> None:
    api, answers = gateway
    answers.answers = [FOUND]
    async with Client(api) as client:
        assert (await client.status("j")).progress == 0.5


async def test_a_request_is_repeated_with_its_key_while_a_part_is_away(
    gateway, tmp_path: Path
) -> None:
    api, answers = gateway
    answers.answers = [AWAY, FOUND]
    (tmp_path / "a.png").write_bytes(b"x")
    async with Client(api) as client:
        await client.train([tmp_path / "a.png"])
    [first, second] = answers.seen
    assert first == second
    assert first[1]


async def test_a_refusal_is_told_with_cause_and_remedy_and_not_repeated(gateway) -> None:
    api, answers = gateway
    problem = {"type": "/problems/no-such-job", "detail": "No job.", "remedy": "List them."}
    answers.answers = [(404, json.dumps(problem).encode())]
    async with Client(api) as client:
        with pytest.raises(ApiError) as caught:
            await client.job("j")
    assert (caught.value.cause, caught.value.remedy) == ("No job.", "List them.")
    assert (caught.value.http_status, caught.value.kind) == (404, "/problems/no-such-job")
    assert len(answers.seen) == 1


async def test_an_error_that_is_no_problem_document_is_told_by_its_number(gateway) -> None:
    api, answers = gateway
    answers.answers = [(502, b"<html>proxy</html>")]
    async with Client(api) as client:
        with pytest.raises(ApiError, match="answered 502"):
            await client.job("j")


async def test_a_download_appears_when_it_is_whole(gateway, tmp_path: Path) -> None:
    api, answers = gateway
    answers.answers = [(200, VIDEO)]
    async with Client(api) as client:
        await client.download(link(VIDEO), tmp_path / "out" / "video.mp4")
    assert (tmp_path / "out" / "video.mp4").read_bytes() == VIDEO
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["video.mp4"]


async def test_a_damaged_download_is_refused_and_leaves_nothing(gateway, tmp_path: Path) -> None:
    api, answers = gateway
    answers.answers = [(200, VIDEO[:-1] + b"!")]
    async with Client(api) as client:
        with pytest.raises(DamagedDownloadError):
            await client.download(link(VIDEO), tmp_path / "video.mp4")
    assert list(tmp_path.iterdir()) == []


async def test_nobody_at_the_address_is_told_at_once() -> None:
    async with Client("http://127.0.0.1:9/") as client:
        with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9\. "):
            await client.jobs()
