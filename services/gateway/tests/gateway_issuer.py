"""An identity provider on the loopback: its own keys, its discovery document, its JWTs."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "myspinbot"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@dataclass
class Issuer:
    """Publishes the public halves of `keys`; counts how often it was asked."""

    url: str = ""
    keys: dict[str, Key] = field(default_factory=lambda: {"first": rsa_key()})
    asked: int = 0
    broken: bool = False
    calls_itself: str | None = None

    def published(self) -> dict[str, Any]:
        return {"keys": [public(kid, key) for kid, key in self.keys.items()]}

    def jwt(
        self,
        kid: str = "first",
        algorithm: str = "RS256",
        key: Any = None,
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token of this issuer's; a claim that is None is left out."""
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada@example.org",
            "iat": now,
            "exp": now + 300,
            **claims,
        }
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            key if key is not None else self.keys[kid],
            algorithm,
            headers={"kid": kid} if headers is None else headers,
        )


def public(kid: str, key: Key) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        described = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    else:
        described = json.loads(ECAlgorithm.to_jwk(key.public_key()))
    return {**described, "kid": kid, "use": "sig"}


@contextlib.contextmanager
def running_issuer() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/.well-known/openid-configuration":
                body: Any = {
                    "issuer": issuer.calls_itself or issuer.url,
                    "jwks_uri": f"{issuer.url}/keys",
                }
            else:
                issuer.asked += 1
                body = "broken" if issuer.broken else issuer.published()
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """A test prints nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
