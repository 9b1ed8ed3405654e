"""Sends a delivery over HTTP and tells how it went, whatever the target does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

import httpx

from gateway.webhooks.hooks import Webhook
from gateway.webhooks.retries import Outcome, retry_after_s
from gateway.webhooks.settings import WebhookSettings
from gateway.webhooks.signature import signed_headers
from gateway.webhooks.targets import Resolver, TargetError

_AGENT = "MySpinBot-Webhooks/1"
_PORTS = {"http": 80, "https": 443}


class Sender:
    """Sends. Use it as a context manager."""

    def __init__(self, settings: WebhookSettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._resolver = Resolver(settings.reach)
        self._client = httpx.AsyncClient(
            # A proxy of the environment would connect where we may not.
            trust_env=False,
            follow_redirects=False,
            timeout=settings.timeout_s,
            # Those who have an authority of their own name it in SSL_CERT_FILE.
            verify=httpx.create_ssl_context(),
            # A connection belongs to one name, and the pool would know it by its address.
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"User-Agent": _AGENT},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()
        self._resolver.close()

    async def send(self, hook: Webhook, delivery: str, body: str) -> Outcome:
        """One try. A 2xx is a success; redirects are not followed, and no answer is read."""
        content = body.encode()
        now = self._now()
        headers = {
            "Content-Type": "application/json",
            **signed_headers(hook.secret, delivery, int(now.timestamp()), content),
        }
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._post(httpx.URL(hook.url), headers, content)
        except TimeoutError:
            return Outcome(error=f"no answer within {self._settings.timeout_s:g} s")
        except TargetError as error:
            return Outcome(error=str(error))
        except httpx.HTTPError as error:
            return Outcome(error=_told(error))

    async def _post(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> Outcome:
        host = url.raw_host.decode("ascii")
        port = url.port or _PORTS[url.scheme]
        addresses = await self._resolver.addresses(host, port)
        for address in addresses:
            try:
                async with self._client.stream(
                    "POST",
                    url.copy_with(host=str(address)),
                    headers={**headers, "Host": url.netloc.decode("ascii")},
                    content=body,
                    # Certificates are checked for the name, not for the address.
                    extensions={"sni_hostname": host},
                ) as response:
                    return Outcome(
                        status=response.status_code,
                        error=None if response.is_success else f"answered {response.status_code}",
                        retry_after_s=retry_after_s(
                            response.headers.get("retry-after"), self._now()
                        ),
                    )
            except httpx.ConnectError:
                if address == addresses[-1]:
                    raise
        raise TargetError("the target has no address")


def _told(error: httpx.HTTPError) -> str:
    """What an owner is told: nothing of what a target in our network may have said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the target's certificate is not good"
        if isinstance(cause, ssl.SSLError):
            return "no secure connection could be made"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return "the target does not answer"
    if isinstance(error, httpx.ConnectError):
        return "no connection could be made"
    return "the target did not answer as HTTP"
