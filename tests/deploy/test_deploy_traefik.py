"""Traefik over TLS in front of a gateway that runs: what goes through, and what does not."""

import asyncio
import hashlib
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
from gateway.access.sessions import COOKIE
from gateway_media import PHOTO, RECORDING
from gateway_people import ADMIN_TOKEN, token_gateway
from gateway_sse import Listening, Parser
from gateway_stack import Stack, running_stack
from myspinbot.provision.names import names
from websockets.asyncio.client import connect

from tests.support.samples import CONSENT_FORM
from tests.support.traefik import CONFIGURATION, DOMAIN, Traefik, traefik

APP = f"app.{DOMAIN}"
T = TypeVar("T")
NOBODY = "http://127.0.0.1:9/v1/traces"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("traefik")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> Iterator[str]:
    settings = {
        "ALLOWED_HOSTS": f"{DOMAIN},{APP}",
        # A network, as in a deployment: the address of a container is not known beforehand.
        "TRUSTED_PROXIES": "127.0.0.0/30",
        "S3_PUBLIC_ENDPOINT": f"https://s3.{DOMAIN}",
    }
    with token_gateway(stack, "behind-traefik", **settings) as url:
        yield url


@pytest.fixture(scope="module")
def proxy(
    stack: Stack, gateway: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traefik]:
    folder = tmp_path_factory.mktemp("proxy") / "traefik"
    own = {"MYSPINBOT_GATEWAY_URL": gateway, "MYSPINBOT_S3_URL": stack.store.endpoint}
    with traefik(folder, collector=NOBODY, **own) as running:
        yield running


class Outside(httpx.AsyncHTTPTransport):
    """Reaches every name of the deployment where Traefik listens, as a hosts file would."""

    def __init__(self, proxy: Traefik) -> None:
        super().__init__(verify=proxy.trust)
        self._proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name, secure = request.url.host, request.url.scheme == "https"
        port = self._proxy.https_port if secure else self._proxy.http_port
        request.extensions = {**request.extensions, "sni_hostname": name}
        request.url = request.url.copy_with(host="127.0.0.1", port=port)
        return await super().handle_async_request(request)


@pytest.fixture
async def web(proxy: Traefik) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=Outside(proxy), base_url=f"https://{APP}", timeout=30
    ) as client:
        yield client


@pytest.fixture
async def api(proxy: Traefik) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=Outside(proxy),
        base_url=f"https://{APP}",
        timeout=30,
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    ) as client:
        yield client


async def trained(api: httpx.AsyncClient) -> str:
    answer = await api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobId"])


async def test_a_job_is_made_and_read_over_tls(api: httpx.AsyncClient) -> None:
    job = await trained(api)
    read = await api.get(f"/api/jobs/{job}")
    assert (read.status_code, read.json()["jobId"]) == (200, job)


async def test_the_page_comes_with_headers_that_keep_other_sites_out(
    web: httpx.AsyncClient,
) -> None:
    page = await web.get("/")
    assert page.status_code == 200
    assert page.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert f"connect-src 'self' https://s3.{DOMAIN}" in page.headers["content-security-policy"]
    assert "server" not in page.headers


async def test_plain_http_is_sent_to_the_published_port_of_tls(web: httpx.AsyncClient) -> None:
    answer = await web.get(f"http://{APP}/api/jobs?limit=1")
    assert answer.status_code in (301, 308)
    assert answer.headers["location"] == f"https://{APP}/api/jobs?limit=1"


async def test_a_post_over_plain_http_is_not_taken(web: httpx.AsyncClient) -> None:
    answer = await web.post(f"http://{APP}/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
    assert answer.status_code == 308


async def test_the_domain_itself_leads_to_the_application(web: httpx.AsyncClient) -> None:
    answer = await web.get(f"https://{DOMAIN}/docs?x=1")
    assert answer.status_code in (301, 308)
    assert answer.headers["location"] == f"https://{APP}/docs?x=1"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_of_today_is_spoken(proxy: Traefik, version: ssl.TLSVersion) -> None:
    context = proxy.trust
    context.minimum_version = context.maximum_version = version
    _, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.https_port, ssl=context, server_hostname=APP
    )
    cipher = writer.get_extra_info("cipher")[0]
    writer.close()
    assert "GCM" in cipher or "CHACHA20" in cipher


async def test_tls_of_the_past_is_refused(proxy: Traefik) -> None:
    context = proxy.trust
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(
            "127.0.0.1", proxy.https_port, ssl=context, server_hostname=APP
        )


async def test_a_name_that_is_not_ours_gets_no_handshake(proxy: Traefik) -> None:
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(
            "127.0.0.1", proxy.https_port, ssl=proxy.trust, server_hostname="bank.example"
        )


async def test_a_name_of_ours_that_leads_nowhere_is_not_found(web: httpx.AsyncClient) -> None:
    assert (await web.get(f"https://elsewhere.{DOMAIN}/")).status_code == 404


@pytest.mark.parametrize("name", ["traefik", "prometheus", "nats", "db", "storage"])
async def test_what_is_for_operators_asks_for_their_password(
    web: httpx.AsyncClient, name: str
) -> None:
    path = "/dashboard/" if name == "traefik" else "/"
    refused = await web.get(f"https://{name}.{DOMAIN}{path}")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    wrong = await web.get(f"https://{name}.{DOMAIN}{path}", auth=("operator", "guess"))
    assert wrong.status_code == 401


async def test_operators_see_every_route_of_traefik_without_errors(
    web: httpx.AsyncClient, proxy: Traefik
) -> None:
    page = await web.get(f"https://traefik.{DOMAIN}/dashboard/", auth=proxy.operator)
    assert (page.status_code, "<html" in page.text.lower()) == (200, True)
    for kind in ("routers", "services", "middlewares"):
        address = f"https://traefik.{DOMAIN}/api/http/{kind}"
        found = (await web.get(address, auth=proxy.operator)).json()
        assert found
        assert all(each["status"] == "enabled" for each in found), found


async def test_a_part_that_does_not_run_holds_up_nothing_else(
    web: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    assert (await web.get(f"https://grafana.{DOMAIN}/")).status_code == 502
    assert (await api.get("/api/jobs")).status_code == 200


async def test_metrics_of_the_gateway_are_not_for_everybody(web: httpx.AsyncClient) -> None:
    assert (await web.get("/metrics")).status_code == 401


async def test_a_session_is_kept_for_tls_only(web: httpx.AsyncClient) -> None:
    answer = await web.post(
        "/api/session", json={"token": ADMIN_TOKEN}, headers={"Origin": f"https://{APP}"}
    )
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "Secure" in cookie.split("; ")


async def test_whoever_is_no_proxy_cannot_claim_tls_or_another_address(
    web: httpx.AsyncClient, gateway: str
) -> None:
    claims = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.7"}
    answer = await web.post(
        "/api/session",
        json={"token": ADMIN_TOKEN},
        headers={"Origin": f"https://{APP}", **claims},
    )
    # Traefik has put what it knows in the place of what was claimed.
    assert "Secure" in answer.headers["set-cookie"].split("; ")
    other = httpx.AsyncHTTPTransport(local_address="127.0.0.9")
    async with httpx.AsyncClient(transport=other, base_url=gateway) as beside:
        answer = await beside.post(
            "/api/session", json={"token": ADMIN_TOKEN}, headers={"X-Forwarded-Proto": "https"}
        )
    assert answer.status_code == 200
    assert "Secure" not in answer.headers["set-cookie"].split("; ")


async def test_a_page_of_another_site_is_kept_out(web: httpx.AsyncClient) -> None:
    answer = await web.post(
        "/api/session", json={"token": ADMIN_TOKEN}, headers={"Origin": "https://evil.example"}
    )
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/foreign-origin")


async def test_an_upload_goes_straight_to_the_store_and_is_judged(
    api: httpx.AsyncClient, web: httpx.AsyncClient
) -> None:
    wav = RECORDING[:44] + bytes(range(256)) * (20 << 12)
    draft = {"kind": "clip", "size": len(wav), "sha256": hashlib.sha256(wav).hexdigest()}
    upload = (await api.post("/api/uploads", json=draft)).json()
    assert len(upload["parts"]) > 1
    for part in upload["parts"]:
        assert part["url"].startswith(f"https://s3.{DOMAIN}/")
        first = (part["number"] - 1) * upload["partBytes"]
        # Without our credentials: what the address is signed with is enough.
        sent = await web.put(part["url"], content=wav[first : first + part["size"]])
        assert sent.status_code == 200, sent.text
    done = await api.post(f"/api/uploads/{upload['uploadId']}/complete")
    assert (done.status_code, done.json()["state"]) == (200, "complete"), done.text


async def test_an_address_of_the_store_that_was_tampered_with_is_refused(
    api: httpx.AsyncClient, web: httpx.AsyncClient
) -> None:
    draft = {"kind": "clip", "size": 9 << 20, "sha256": "0" * 64}
    upload = (await api.post("/api/uploads", json=draft)).json()
    url = upload["parts"][0]["url"].replace("partNumber=1", "partNumber=7")
    assert (await web.put(url, content=b"x")).status_code == 403


async def test_an_upload_is_passed_on_while_it_comes(proxy: Traefik) -> None:
    """The gateway refuses a photo that is too large before most of the body was sent."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.https_port, ssl=proxy.trust, server_hostname=APP
    )
    head = (
        f"POST /api/train HTTP/1.1\r\nHost: {APP}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900000000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    )
    writer.write(head.encode() + PHOTO[:64] + bytes(13_000_000))
    async with asyncio.timeout(20):
        status = await reader.readline()
    writer.transport.abort()
    assert b" 413 " in status


async def test_server_sent_events_come_one_by_one(proxy: Traefik, api: httpx.AsyncClient) -> None:
    job = await trained(api)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.https_port, ssl=proxy.trust, server_hostname=APP
    )
    head = f"GET /api/jobs/{job}/events HTTP/1.0\r\nHost: {APP}\r\nAccept: text/event-stream\r\n"
    writer.write(f"{head}Authorization: Bearer {ADMIN_TOKEN}\r\n\r\n".encode())
    async with asyncio.timeout(20):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    stream = Listening(int(answer.split()[1]), answer.lower(), reader, Parser())
    assert (stream.status, "text/event-stream" in stream.headers) == (200, True)
    # It is heard while the stream stays open, so nothing on the way has kept it back.
    for told in ("JobRequested", "ConsentGiven"):
        assert (await stream.next("log")).json["type"] == told
    assert (await api.post(f"/api/jobs/{job}/cancel")).status_code == 202
    assert (await stream.next("log")).json["type"] == "JobCancelRequested"
    writer.transport.abort()


async def test_a_websocket_is_taken_through_and_hears_of_a_job(
    proxy: Traefik, api: httpx.AsyncClient
) -> None:
    job = await trained(api)
    async with connect(
        f"wss://{APP}/ws",
        host="127.0.0.1",
        port=proxy.https_port,
        ssl=proxy.trust,
        server_hostname=APP,
        additional_headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        close_timeout=1,
    ) as socket:
        await socket.send(json.dumps({"action": "subscribe", "jobId": job}))
        async with asyncio.timeout(10):
            assert json.loads(await socket.recv())["message"] == "subscribed"
            update: dict[str, Any] = json.loads(await socket.recv())
    assert update["jobId"] == job


async def test_too_many_requests_at_once_are_held_off(web: httpx.AsyncClient) -> None:
    address = f"https://traefik.{DOMAIN}/api/version"
    answers = await asyncio.gather(*(web.get(address) for _ in range(120)))
    assert {answer.status_code for answer in answers} == {401, 429}


async def test_the_trace_of_a_request_begins_at_traefik(
    proxy: Traefik, api: httpx.AsyncClient, stack: Stack
) -> None:
    job = await trained(api)
    assert await _until(lambda: _traces(proxy) & _traces_of(stack, job))


async def _until(look: Callable[[], T]) -> T:
    """What there is to see, once there is something."""
    deadline = time.monotonic() + 20
    while not (seen := look()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    return seen


def _traces(proxy: Traefik) -> set[str]:
    return {each["TraceId"] for each in proxy.accesses() if each["RequestMethod"] == "POST"}


def _traces_of(stack: Stack, job: str) -> set[str]:
    """The traces in whose spans the gateway has named a job."""
    text = "".join(path.read_text() for path in (stack.folder / "spans").glob("*"))
    return set(re.findall(r"[0-9a-f]{32}", "".join(x for x in text.splitlines() if job in x)))


async def test_the_access_log_tells_of_no_person(proxy: Traefik, api: httpx.AsyncClient) -> None:
    await api.get("/api/jobs?limit=3")
    lines = await _until(proxy.accesses)
    for line in lines:
        assert not {"ClientAddr", "ClientHost", "ClientUsername", "RequestPath"} & set(line), line


async def test_requests_are_counted_by_router_inside_only(
    proxy: Traefik, api: httpx.AsyncClient, web: httpx.AsyncClient
) -> None:
    await api.get("/api/jobs")
    async with httpx.AsyncClient() as inside:
        told = await inside.get(f"http://127.0.0.1:{proxy.metrics_port}/metrics")
    assert 'traefik_router_requests_total{code="200",method="GET"' in told.text
    assert 'router="app@file"' in told.text
    assert "traefik_tls_certs_not_after" in told.text


def test_every_name_of_a_deployment_has_a_route() -> None:
    text = (CONFIGURATION / "dynamic" / "myspinbot.yml").read_text()
    for name in names("{{ $domain }}"):
        assert f"Host(`{name}`)" in text, name
