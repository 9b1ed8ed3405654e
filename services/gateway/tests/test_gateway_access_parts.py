"""The decisions behind access, without servers: signatures, cookies, buckets, settings."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from gateway.access import sessions
from gateway.access.authenticator import address_of
from gateway.access.buckets import Buckets
from gateway.access.guard import page_policy
from gateway.access.links import Links
from gateway.access.lives import Lives
from gateway.access.principal import Mode, Principal, Scope, expanded
from gateway.access.sessions import Session, Sessions
from gateway.access.settings import AccessSettings
from gateway.access.signing import Signer, decoded, encoded
from gateway.access.tokens import Presented, TokenRecord, digest
from hypothesis import given
from hypothesis import strategies as st
from servicekit.settings import Environment, SettingsError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADA = Principal("ada", expanded((Scope.WRITE,)), "token:t1")


@given(st.binary())
def test_base64url_comes_back_as_it_went(data: bytes) -> None:
    assert decoded(encoded(data)) == data


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="?#\n"), min_size=1),
    st.sampled_from(["ada", "bob", "u0"]),
    st.integers(-3000, 3000),
)
def test_a_link_is_good_for_its_path_and_owner_until_its_end(
    name: str, owner: str, left: int
) -> None:
    links = Links(Signer(b"s" * 32))
    ends = NOW + timedelta(seconds=left)
    link = links.sign(f"/api/{name}", owner, ends)
    query = dict(pair.split("=", 1) for pair in link.partition("?")[2].split("&"))
    expected = owner if left > 0 else None
    assert links.verify(f"/api/{name}", query, NOW) == expected
    assert links.verify(f"/api/{name}/", query, NOW) is None
    assert links.verify(f"/api/{name}", query | {"expires": "99999999999"}, NOW) is None


def test_a_bucket_gives_some_at_once_and_then_evenly() -> None:
    now = 0.0
    buckets = Buckets(6, 60, lambda: now)
    assert [buckets.take("a") for _ in range(7)] == [0] * 6 + [10]
    assert buckets.take("b") == 0
    now = 9.5
    assert buckets.take("a") == 1
    now = 10.0
    assert [buckets.take("a") for _ in range(2)] == [0, 10]
    now = 1e6
    assert [buckets.take("a") for _ in range(7)] == [0] * 6 + [10]


def test_buckets_remember_a_bounded_number_of_keys() -> None:
    buckets = Buckets(1, 60, lambda: 0.0, capacity=100)
    for number in range(10_000):
        assert buckets.take(str(number)) == 0
    assert len(buckets._levels) == 100
    assert buckets.take("9999") == 60
    assert buckets.take("0") == 0


def test_no_limit_is_no_limit() -> None:
    buckets = Buckets(0, 60, lambda: 0.0)
    assert {buckets.take("a") for _ in range(10_000)} == {0}


def test_a_token_proves_its_own_record_only_and_in_its_time() -> None:
    secret = "ab" * 32
    record = TokenRecord(
        token_id="t1",  # noqa: S106 - a name
        name="x",
        owner="ada",
        scopes=(Scope.READ,),
        created_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        secret_sha256=digest(secret),
    )
    shown = Presented.parse(f"msb_t1_{secret}")
    assert shown == Presented("t1", secret)
    assert shown.proves(record, NOW)
    assert not shown.proves(None, NOW)
    assert not shown.proves(record, NOW + timedelta(hours=1))
    assert not Presented("t1", "cd" * 32).proves(record, NOW)
    for text in ("", "msb_t1_", f"msb__{secret}", f"MSB_t1_{secret}", f"msb_t1_{secret}\n"):
        assert Presented.parse(text) is None


def test_a_session_lasts_a_week_and_no_longer_than_its_credential() -> None:
    jar = Sessions(Signer(b"s" * 32))
    session = Session.of(ADA, NOW)
    assert session.expires_at == NOW + timedelta(days=7)
    sealed = jar.seal(session)
    assert jar.unseal(sealed, NOW) == session
    assert jar.unseal(sealed, session.expires_at) is None
    brief = Principal("ada", ADA.scopes, "oidc", NOW + timedelta(minutes=5))
    assert Session.of(brief, NOW).expires_at == NOW + timedelta(minutes=5)
    assert "Secure" in sessions.set_cookie(sealed, sessions.LASTS, secure=True)


@given(st.text(max_size=40))
def test_no_text_passes_for_a_session(text: str) -> None:
    assert Sessions(Signer(b"s" * 32)).unseal(text, NOW) is None
    assert sessions.presented(text) is None


async def test_what_has_no_end_ends_with_its_credential_and_short_answers_do_not() -> None:
    lives = Lives()

    async def serve(principal: Principal, *, endless: bool, meanwhile: str | None) -> bool:
        """Whether it was ended."""
        work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(None) as timeout:
                with lives.one(principal, timeout, NOW) as life:
                    if meanwhile:
                        lives.end(meanwhile)
                    if endless:
                        life.without_end()
                    else:
                        work.set_result(None)
                    if not endless or (meanwhile and meanwhile != principal.credential):
                        return False
                    await work
        except TimeoutError:
            return True
        return False

    assert await serve(ADA, endless=True, meanwhile="token:t1")
    assert not await serve(ADA, endless=True, meanwhile="token:t2")
    assert not await serve(ADA, endless=False, meanwhile="token:t1")
    expiring = Principal("ada", ADA.scopes, "oidc", NOW + timedelta(milliseconds=1))
    assert await serve(expiring, endless=True, meanwhile=None)
    assert not lives._open


def settings(**values: str) -> AccessSettings:
    return AccessSettings.of(Environment({f"MYSPINBOT_{k}": v for k, v in values.items()}))


def test_on_ones_own_machine_nothing_needs_to_be_set() -> None:
    made = settings()
    assert (made.mode, made.rates.requests_per_minute, made.admin_token) == (Mode.LOCAL, 0, None)
    assert len(made.secret) == 32
    assert made.secret != settings().secret


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"ACCESS": "open"}, "MYSPINBOT_ACCESS"),
        ({"HTTP_HOST": "0.0.0.0"}, "MYSPINBOT_ACCESS=token"),  # noqa: S104 - that is the point
        ({"HTTP_HOST": "::"}, "MYSPINBOT_ALLOWED_HOSTS"),
        ({"HTTP_HOST": "192.168.1.5", "ALLOWED_HOSTS": " "}, "without a password"),
        ({"SECRET": "short"}, "MYSPINBOT_SECRET"),
        ({"ACCESS": "token", "ADMIN_TOKEN": "admin"}, "openssl rand"),
        ({"ACCESS": "oidc"}, "MYSPINBOT_OIDC_ISSUER"),
        ({"ACCESS": "oidc", "OIDC_ISSUER": "https://id.example"}, "MYSPINBOT_OIDC_AUDIENCE"),
        (
            {
                "ACCESS": "oidc",
                "OIDC_ISSUER": "https://id.example",
                "OIDC_AUDIENCE": "bot",
                "OIDC_SCOPES": "read everything",
            },
            "'everything'",
        ),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused_with_the_remedy(
    values: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        settings(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"HTTP_HOST": "127.0.0.5"},
        {"HTTP_HOST": "::1"},
        {"HTTP_HOST": "localhost"},
        {"HTTP_HOST": "0.0.0.0", "ALLOWED_HOSTS": "bot.lan"},  # noqa: S104
        {"HTTP_HOST": "0.0.0.0", "ACCESS": "token"},  # noqa: S104
    ],
)
def test_settings_that_keep_others_out_are_taken(values: dict[str, str]) -> None:
    settings(**values)


def test_secrets_are_not_shown_with_the_settings() -> None:
    shown = repr(settings(SECRET="s" * 40, ADMIN_TOKEN="t" * 40))
    assert "ssss" not in shown
    assert "tttt" not in shown


def test_the_page_may_send_to_the_object_store_if_browsers_reach_it() -> None:
    assert "connect-src 'self';" in page_policy(None)
    assert "connect-src 'self' https://store.example;" in page_policy("https://store.example")


@pytest.mark.parametrize(
    ("client", "key"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::1", 5), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.7", 5), "::ffff:c000:207"),
        (("unix", 5), "None"),
        (None, "None"),
    ],
)
def test_strangers_are_limited_by_address_or_network(client: object, key: str) -> None:
    assert address_of({"client": client}) == key
