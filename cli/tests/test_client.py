"""The client and a gateway that does what a real one seldom does."""

import hashlib
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from myspinbot.client import (
    ApiError,
    AsyncClient,
    DamagedDownloadError,
    StrangeReplyError,
    UnreachableError,
)
from myspinbot.client.live import parse_events
from myspinbot.client.replies import ArtifactLink
from myspinbot.client.target import find_target, read_token
from myspinbot.embedded.home import Facing, Home, StackNote
from myspinbot.errors import CommandError

SECRET = "msb_id_secret"  # noqa: S105 - of nobody
VIDEO = b"moving pictures" * 1000
STATUS = {"jobId": "j", "type": "train", "status": "running", "progress": 0.5, "new": "field"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request brought."""

    path: str
    key: str | None
    credentials: str | None
    range: str | None


@dataclass(frozen=True, slots=True)
class Cut:
    """An answer that breaks off after some of its bytes."""

    body: bytes
    after: int


class Gateway(BaseHTTPRequestHandler):
    """Answers from a list, one answer for each request; ranges as they are asked for."""

    answers: list[tuple[int, bytes | Cut]]
    seen: list[Seen]

    def do_GET(self) -> None:
        headers = self.headers
        self.seen.append(
            Seen(
                self.path,
                headers.get("Idempotency-Key"),
                headers.get("Authorization"),
                headers.get("Range"),
            )
        )
        status, answer = self.answers.pop(0)
        body = answer.body if isinstance(answer, Cut) else answer
        if status == 200 and "Range" in headers:
            first = int(headers["Range"].removeprefix("bytes=").removesuffix("-"))
            status, body = 206, body[first:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: answer.after] if isinstance(answer, Cut) else body)
        self.close_connection = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_POST()

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
    async with AsyncClient(api) as client:
        assert (await client.jobs.status("j")).progress == 0.5


async def test_a_request_is_repeated_with_its_key_while_a_part_is_away(
    gateway,
) -> None:
    api, answers = gateway
    answers.answers = [AWAY, FOUND]
    async with AsyncClient(api) as client:
        await client.jobs.cancel("j")
    [first, second] = answers.seen
    assert first == second
    assert first.key


async def test_a_refusal_is_told_with_cause_and_remedy_and_not_repeated(gateway) -> None:
    api, answers = gateway
    problem = {"type": "/problems/no-such-job", "detail": "No job.", "remedy": "List them."}
    answers.answers = [(404, json.dumps(problem).encode())]
    async with AsyncClient(api) as client:
        with pytest.raises(ApiError) as caught:
            await client.jobs.get("j")
    assert (caught.value.cause, caught.value.remedy) == ("No job.", "List them.")
    assert (caught.value.status, caught.value.type) == (404, "/problems/no-such-job")
    assert len(answers.seen) == 1


async def test_an_error_that_is_no_problem_document_is_told_by_its_number(gateway) -> None:
    api, answers = gateway
    answers.answers = [(500, b"<html>proxy</html>")]
    async with AsyncClient(api) as client:
        with pytest.raises(ApiError, match="was 500"):
            await client.jobs.get("j")


async def test_a_download_appears_when_it_is_whole(gateway, tmp_path: Path) -> None:
    api, answers = gateway
    answers.answers = [(200, VIDEO)]
    async with AsyncClient(api) as client:
        await client.artifacts.download(link(VIDEO), tmp_path / "out" / "video.mp4")
    assert (tmp_path / "out" / "video.mp4").read_bytes() == VIDEO
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["video.mp4"]


async def test_a_damaged_download_is_refused_and_leaves_nothing(gateway, tmp_path: Path) -> None:
    api, answers = gateway
    answers.answers = [(200, VIDEO[:-1] + b"!")]
    async with AsyncClient(api) as client:
        with pytest.raises(DamagedDownloadError):
            await client.artifacts.download(link(VIDEO), tmp_path / "video.mp4")
    assert list(tmp_path.iterdir()) == []


async def test_nobody_at_the_address_is_told_at_once() -> None:
    async with AsyncClient("http://127.0.0.1:9/") as client:
        with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9\. "):
            await client.jobs.list()


async def test_a_download_goes_on_where_it_was_cut_off(gateway, tmp_path: Path) -> None:
    api, answers = gateway
    answers.answers = [(200, Cut(VIDEO, 6000)), (200, Cut(VIDEO, 5000)), (200, VIDEO)]
    received: list[int] = []
    async with AsyncClient(api) as client:
        path = await client.artifacts.download(link(VIDEO), tmp_path / "v.mp4", received.append)
    assert path.read_bytes() == VIDEO
    assert [seen.range for seen in answers.seen] == [None, "bytes=6000-", "bytes=11000-"]
    assert sum(received) == len(VIDEO)


async def test_a_download_goes_on_in_another_program(gateway, tmp_path: Path) -> None:
    api, answers = gateway
    problem = (404, json.dumps({"detail": "Gone.", "remedy": "Wait."}).encode())
    answers.answers = [(200, Cut(VIDEO, 6000)), problem, (200, VIDEO)]
    async with AsyncClient(api) as client:
        with pytest.raises(ApiError):
            await client.artifacts.download(link(VIDEO), tmp_path / "v.mp4")
    assert not (tmp_path / "v.mp4").exists()
    async with AsyncClient(api) as client:
        path = await client.artifacts.download(link(VIDEO), tmp_path / "v.mp4")
    assert answers.seen[-1].range == "bytes=6000-"
    assert path.read_bytes() == VIDEO
    assert list(tmp_path.iterdir()) == [path]


async def test_a_token_is_shown_to_the_gateway_and_to_nobody_else(gateway, tmp_path: Path) -> None:
    api, answers = gateway
    (tmp_path / "a.png").write_bytes(b"picture")
    elsewhere = f"{api.replace('127.0.0.1', 'localhost')}/bucket"
    upload = {
        "uploadId": "u",
        "kind": "photo",
        "state": "waiting",
        "size": 7,
        "sha256": "0" * 64,
        "partBytes": 7,
        "parts": [{"number": 1, "size": 7, "done": False, "url": elsewhere}],
    }
    complete = json.dumps(upload | {"state": "complete", "parts": []}).encode()
    answers.answers = [(201, json.dumps(upload).encode()), (200, b""), (200, complete)]
    async with AsyncClient(api, token=SECRET) as client:
        await client.uploads.send([tmp_path / "a.png"], "photo")
    shown = [(seen.path, seen.credentials) for seen in answers.seen]
    assert shown == [
        ("/api/uploads", f"Bearer {SECRET}"),
        ("/bucket", None),
        ("/api/uploads/u/complete", f"Bearer {SECRET}"),
    ]


async def test_an_answer_of_another_kind_is_told_as_such(gateway) -> None:
    api, answers = gateway
    answers.answers = [(200, b'{"hello": "world"}')]
    async with AsyncClient(api) as client:
        with pytest.raises(StrangeReplyError, match="jobId"):
            await client.jobs.status("j")


def test_the_owners_token_is_for_the_local_system_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.hold():
        secret = home.secret("admin-token")
        home.write_note(
            StackNote(
                "s", os.getpid(), ready=True, ports={"http": 99}, facing=Facing(access="token")
            )
        )
        assert find_target(None, None, home, {}).token == secret
        assert find_target("http://127.0.0.1:99/", None, home, {}).token == secret
        assert find_target("localhost:99", None, home, {}).token == secret
        for other in ("https://example.org", "http://127.0.0.1:98", "http://192.0.2.1:99"):
            assert find_target(other, None, home, {}).token is None
        given = {"MYSPINBOT_TOKEN": SECRET}
        assert find_target(None, None, home, given).token == SECRET
        home.write_note(StackNote("s", os.getpid(), ready=True, ports={"http": 99}))
        assert find_target(None, None, home, {}).token is None


@pytest.mark.parametrize("address", ["ftp://host", "http://", "http://a:b@host", "http://h:port"])
def test_what_is_no_address_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not the address"):
        find_target(address, None, Home(tmp_path), {})


def test_a_token_file_holds_one_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("msb_1_abc\n")
    assert read_token(path) == "msb_1_abc"
    for wrong in ("", "two words", "línea"):
        path.write_text(wrong)
        with pytest.raises(CommandError, match="holds no token"):
            read_token(path)
    with pytest.raises(CommandError, match="cannot be read"):
        read_token(tmp_path / "absent")


async def test_events_are_read_as_the_standard_says() -> None:
    text = ": heartbeat\n\nid: 7\nevent: log\ndata: {\ndata:  }\n\nretry: 10\n\ndata: x\n\nid: 8\n"

    async def lines() -> AsyncIterator[str]:
        for line in text.splitlines():
            yield line

    found = [(event.event, event.id, event.data) async for event in parse_events(lines())]
    assert found == [("log", "7", "{\n }"), ("message", "", "x")]
