"""JWTs of an identity provider: which are believed, and for whom they stand."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gateway.access.oidc import InvalidJwtError, Keys, Verifier, owner_of
from gateway.access.principal import Scope
from gateway.access.settings import Provider
from gateway.access.signing import encoded
from gateway.problems import Problem, ProblemKind
from gateway_issuer import AUDIENCE, Issuer, public, rsa_key, running_issuer
from gateway_media import PHOTO
from gateway_people import client, token_gateway
from gateway_socket import watching
from gateway_stack import Stack
from websockets.exceptions import ConnectionClosed

from tests.support.samples import CONSENT_FORM


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


class Clock:
    """Monotonic seconds, as a test wants them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def verifier(issuer: Issuer, clock: Clock | None = None) -> Verifier:
    provider = Provider(issuer.url, AUDIENCE)
    return Verifier(provider, Keys(provider, clock or Clock()))


async def test_a_person_is_an_owner_who_is_always_the_same_and_has_no_name(issuer: Issuer) -> None:
    principal = await verifier(issuer).principal(issuer.jwt())
    assert principal.owner == owner_of(issuer.url, "ada@example.org")
    assert "ada" not in principal.owner
    assert len(principal.owner) == 32
    assert principal.owner != owner_of(issuer.url, "bob@example.org")
    assert principal.scopes == {Scope.READ, Scope.WRITE}
    assert principal.expires_at is not None


async def test_elliptic_curves_are_believed_too(issuer: Issuer) -> None:
    issuer.keys["curve"] = ec.generate_private_key(ec.SECP256R1())
    token = issuer.jwt("curve", "ES256")
    assert (await verifier(issuer).principal(token)).owner.startswith("u")


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("openid read", {Scope.READ}),
        (["admin"], {Scope.READ, Scope.WRITE, Scope.ADMIN}),
        ("openid profile", {Scope.READ, Scope.WRITE}),
        (7, {Scope.READ, Scope.WRITE}),
    ],
)
async def test_scopes_come_from_the_claim_or_else_from_the_settings(
    issuer: Issuer, scope: object, expected: set[Scope]
) -> None:
    assert (await verifier(issuer).principal(issuer.jwt(scope=scope))).scopes == expected


async def test_a_clock_may_be_half_a_minute_off(issuer: Issuer) -> None:
    now = int(time.time())
    await verifier(issuer).principal(issuer.jwt(exp=now - 20))
    await verifier(issuer).principal(issuer.jwt(nbf=now + 20, iat=now + 20))


def hs256(issuer: Issuer) -> str:
    """A token signed with the public key as if it were a shared secret."""
    public = issuer.keys["first"].public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _, claims, _ = issuer.jwt().split(".")
    header = encoded(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "first"}).encode())
    signed = f"{header}.{claims}"
    return f"{signed}.{encoded(hmac.digest(pem, signed.encode(), hashlib.sha256))}"


def own_key(issuer: Issuer) -> str:
    """A token whose header has the key that is to be believed."""
    key = rsa_key()
    return issuer.jwt(key=key, headers={"kid": "own", "jwk": public("own", key)})


FORGERIES = {
    "expired": lambda i: i.jwt(exp=int(time.time()) - 40),
    "not valid yet": lambda i: i.jwt(nbf=int(time.time()) + 300),
    "for another audience": lambda i: i.jwt(aud="another"),
    "for nobody": lambda i: i.jwt(aud=None),
    "of another issuer": lambda i: i.jwt(iss="https://evil.example"),
    "without an end": lambda i: i.jwt(exp=None),
    "without a person": lambda i: i.jwt(sub=None),
    "signed by nobody": lambda i: i.jwt(algorithm="none", key=""),
    "signed with the public key": hs256,
    "signed with a shared secret": lambda i: i.jwt(algorithm="HS256", key="k" * 32),
    "signed by a stranger under a known name": lambda i: i.jwt(key=rsa_key()),
    "signed by a stranger": lambda i: i.jwt("unknown", key=rsa_key()),
    "signed by a curve under a name of an RSA key": lambda i: i.jwt(
        algorithm="ES256", key=ec.generate_private_key(ec.SECP256R1())
    ),
    "signed otherwise": lambda i: i.jwt(algorithm="RS512"),
    "bringing its own key": own_key,
    "changed": lambda i: i.jwt()[:-8] + "AAAAAAAA",
    "cut off": lambda i: i.jwt().rpartition(".")[0],
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_no_other_token_is_believed(issuer: Issuer, forgery: str) -> None:
    with pytest.raises(InvalidJwtError):
        await verifier(issuer).principal(FORGERIES[forgery](issuer))


async def test_a_rotated_key_is_found_and_strange_ones_ask_the_provider_once_a_minute(
    issuer: Issuer,
) -> None:
    clock = Clock()
    verify = verifier(issuer, clock)
    await verify.principal(issuer.jwt())
    assert issuer.asked == 1
    issuer.keys["second"] = rsa_key()
    for _ in range(5):
        with pytest.raises(InvalidJwtError, match="does not publish"):
            await verify.principal(issuer.jwt("second"))
    assert issuer.asked == 1
    clock.now += 61
    crowd = [verify.principal(issuer.jwt("second")) for _ in range(20)]
    assert len({principal.owner for principal in await asyncio.gather(*crowd)}) == 1
    assert issuer.asked == 2


async def test_a_key_that_is_taken_back_is_believed_no_more(issuer: Issuer) -> None:
    clock = Clock()
    verify = verifier(issuer, clock)
    old = issuer.jwt()
    await verify.principal(old)
    issuer.keys = {"second": rsa_key()}
    clock.now += 601
    # The old keys serve until the new ones are there, a moment later.
    await verify.principal(old)
    await verify.principal(issuer.jwt("second"))
    assert issuer.asked == 2
    with pytest.raises(InvalidJwtError):
        await verify.principal(old)


async def test_known_keys_serve_while_the_provider_is_away_and_unknown_ones_are_told_so(
    issuer: Issuer,
) -> None:
    clock = Clock()
    issuer.broken = True
    verify = verifier(issuer, clock)
    with pytest.raises(Problem) as away:
        await verify.principal(issuer.jwt())
    assert away.value.kind is ProblemKind.UNAVAILABLE
    issuer.broken = False
    clock.now += 6
    await verify.principal(issuer.jwt())
    issuer.broken = True
    clock.now += 3600
    await verify.principal(issuer.jwt())


async def test_a_provider_that_calls_itself_otherwise_is_not_believed(issuer: Issuer) -> None:
    issuer.calls_itself = "https://evil.example"
    with pytest.raises(Problem):
        await verifier(issuer).principal(issuer.jwt())
    assert issuer.asked == 0


async def test_a_gateway_serves_people_of_the_provider_and_their_programs(
    issuer: Issuer, stack: Stack
) -> None:
    settings = {"ACCESS": "oidc", "OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": AUDIENCE}
    with token_gateway(stack, "oidc", **settings) as url:
        async with client(url, issuer.jwt(sub="bob")) as bob:
            assert (
                await bob.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
            ).status_code == 202
        async with client(url, issuer.jwt(exp=1)) as late:
            answer = await late.get("/api/jobs")
            assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
        async with client(url, Origin=url) as page:
            signed = await page.post("/api/session", json={"token": issuer.jwt()})
            told = signed.json()
            assert (told["mode"], told["owner"]) == (
                "oidc",
                owner_of(issuer.url, "ada@example.org"),
            )
            assert (await page.get("/api/jobs")).json()["jobs"] == []
            made = (await page.post("/api/tokens", json={"name": "of a program"})).json()
        async with client(url, made["token"]) as program:
            assert (await program.get("/api/session")).json()["owner"] == told["owner"]
        soon = issuer.jwt(exp=int(time.time()) - 28)
        header = {"Authorization": f"Bearer {soon}"}
        async with watching(url, additional_headers=header) as watcher:
            with pytest.raises(ConnectionClosed):
                await watcher.hear()
