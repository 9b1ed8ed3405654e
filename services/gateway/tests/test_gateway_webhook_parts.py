"""The parts of webhooks that decide, and the one that connects."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gateway.webhooks.deliveries import DeliveryRecord, DeliveryState, delivery_id
from gateway.webhooks.flights import MOST, MOST_AILING, MOST_PER_HOOK, Flights
from gateway.webhooks.hooks import HookEvent, Webhook, secret_of
from gateway.webhooks.notices import TOLD, changed, notice
from gateway.webhooks.retries import LONGEST_WAIT_S, Outcome, retry_after_s, settle
from gateway.webhooks.sender import Sender
from gateway.webhooks.settings import Reach, WebhookSettings
from gateway.webhooks.signature import signed_headers
from gateway.webhooks.targets import allowed, literal
from gateway_receiver import Answer, Receiver, receiver, verify
from hypothesis import given
from hypothesis import strategies as st
from servicekit.settings import Environment, SettingsError

from contracts import events as e

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = secret_of(bytes(range(32)))
PAUSES = WebhookSettings().retries_s


def record(**changes: object) -> DeliveryRecord:
    made = DeliveryRecord(
        delivery_id="d1", webhook_id="w1", owner="ada", event="job.completed", body="{}", at=NOW
    )
    return made.model_copy(update=changes)


def hook(url: str, **changes: object) -> Webhook:
    made = Webhook(
        webhook_id="w1",
        owner="ada",
        url=url,
        events=(HookEvent.JOB_COMPLETED,),
        created_at=NOW,
        secret=SECRET,
    )
    return made.model_copy(update=changes)


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_delivery_that_fails_is_tried_ten_times_in_about_two_days() -> None:
    now, kept, tries = NOW, record(), 0
    while kept.state is DeliveryState.PENDING:
        kept = settle(kept, Outcome(status=500, error="answered 500"), PAUSES, now, 0.5)
        tries += 1
        now = kept.next_at or now
    assert tries == kept.attempts == 10
    assert timedelta(days=1.5) < now - NOW < timedelta(days=3)
    assert kept.state is DeliveryState.FAILED
    assert kept.last_status == 500


@given(st.integers(0, 8), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_the_next_try_is_never_earlier_than_the_target_asks_nor_days_later(
    attempts: int, chance: float, asked_s: float | None
) -> None:
    outcome = Outcome(status=503, error="answered 503", retry_after_s=asked_s)
    kept = settle(record(attempts=attempts), outcome, PAUSES, NOW, chance)
    assert kept.next_at is not None
    wait_s = (kept.next_at - NOW).total_seconds()
    assert wait_s >= 0.79 * PAUSES[attempts]
    assert wait_s >= min(asked_s or 0, LONGEST_WAIT_S) - 0.001
    assert wait_s <= max(1.21 * PAUSES[attempts], LONGEST_WAIT_S)


def test_a_success_and_a_410_end_a_delivery() -> None:
    delivered = settle(record(last_error="x", attempts=3), Outcome(status=201), PAUSES, NOW, 0)
    assert (delivered.state, delivered.last_error) == (DeliveryState.DELIVERED, None)
    gone = settle(record(), Outcome(status=410, error="answered 410"), PAUSES, NOW, 0)
    assert gone.state is DeliveryState.FAILED


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after_s(value, NOW) == seconds


def test_a_webhook_has_few_deliveries_under_way_and_others_are_spread_over_time() -> None:
    flights = Flights()
    assert [flights.admit("slow", 0.0) for _ in range(MOST_PER_HOOK)] == [None] * MOST_PER_HOOK
    flights.leave("slow", 10.0, delivered=False)
    assert flights.admit("slow", 10.0) is None
    waits = [flights.admit("slow", 10.0) for _ in range(200)]
    assert None not in waits
    assert waits == sorted(waits, key=float)
    assert waits[-1] == 300.0
    assert flights.admit("other", 10.0) is None


def test_however_many_targets_are_ill_there_is_room_for_those_that_are_well() -> None:
    flights = Flights()
    for number in range(200):
        if flights.admit(f"ill-{number}", 0.0) is None:
            flights.leave(f"ill-{number}", 10.0, delivered=False)
    begun = sum(flights.admit(f"ill-{number % 200}", 20.0) is None for number in range(600))
    assert begun == MOST_AILING
    well = [flights.admit(f"well-{number}", 20.0) for number in range(MOST - MOST_AILING)]
    assert well == [None] * (MOST - MOST_AILING)


def test_a_target_that_is_well_again_is_treated_as_such() -> None:
    flights = Flights()
    for took_s, delivered in ((10.0, False), (0.1, True)):
        assert flights.admit("one", 0.0) is None
        flights.leave("one", took_s, delivered=delivered)
    for number in range(MOST_AILING):
        flights.admit(f"ill-{number}", 0.0)
        flights.leave(f"ill-{number}", 10.0, delivered=False)
        flights.admit(f"ill-{number}", 0.0)
    assert flights.admit("one", 0.0) is None
    flights.forget("one")
    flights.forget("never-heard-of")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ],
)
def test_no_setting_lets_link_local_and_metadata_addresses_be_called(address: str) -> None:
    assert not allowed(ipaddress.ip_address(address), Reach.ANY)
    assert not allowed(ipaddress.ip_address(address), Reach.PUBLIC)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "172.16.0.9", "fd12::1", "::ffff:10.0.0.1"],
)
def test_ones_own_network_is_called_only_where_that_is_allowed(address: str) -> None:
    assert allowed(ipaddress.ip_address(address), Reach.ANY)
    assert not allowed(ipaddress.ip_address(address), Reach.PUBLIC)


def test_public_addresses_may_be_called_and_names_are_no_addresses() -> None:
    for text in ("93.184.216.34", "2606:2800:220:1::1"):
        assert allowed(ipaddress.ip_address(text), Reach.PUBLIC)
    assert literal("[::1]") == ipaddress.ip_address("::1")
    assert literal("example.org") is None


def test_notices_carry_what_happened_and_nothing_that_a_person_wrote() -> None:
    failed = e.StageFailed(
        stage="train_lora",
        attempt=2,
        code="no-face",
        cause="photo 1 shows no face",
        remedy="Use another",
        retryable=True,
        runner="r1",
    )
    state = evolve(initial("j1"), recorded(e.JobRequested(type=e.JobType.TRAIN, owner="ada"), 1))
    told = notice(recorded(failed, 7), state)
    assert told.model_dump(mode="json", by_alias=True) == {
        "type": "stage.failed",
        "jobId": "j1",
        "sequence": 7,
        "time": "2026-11-22T12:00:00Z",
        "status": "queued",
        "data": {
            "stage": "train_lora",
            "attempt": 2,
            "code": "no-face",
            "cause": "photo 1 shows no face",
            "remedy": "Use another",
            "retryable": True,
        },
    }
    assert set(TOLD.values()) == set(HookEvent)


def recorded(event: e.Event, sequence: int) -> Recorded:
    return Recorded("j1", event, f"e{sequence}", "test", NOW, sequence)


def test_an_event_that_changes_nothing_is_told_to_nobody() -> None:
    before = evolve(initial("j1"), recorded(e.JobRequested(type=e.JobType.TRAIN, owner="ada"), 1))
    assert not changed(before, evolve(before, recorded(e.JobDeleted(by="ada"), 2)))
    assert changed(before, evolve(before, recorded(e.JobCompleted(), 2)))


def test_the_same_cause_makes_the_same_delivery_at_each_webhook() -> None:
    assert delivery_id("w1", "e1") == delivery_id("w1", "e1")
    assert len({delivery_id(w, c) for w in ("w1", "w2") for c in ("e1", "e2")}) == 4
    assert re.fullmatch("[a-z0-9]{32}", delivery_id("w1", "e1"))


def test_settings_are_told_what_is_wrong_with_them() -> None:
    read = WebhookSettings.of(
        Environment({"MYSPINBOT_WEBHOOK_RETRIES_S": "1, 2.5"}), default=Reach.ANY
    )
    assert (read.reach, read.retries_s, read.timeout_s) == (Reach.ANY, (1.0, 2.5), 10.0)
    for name, value in (("WEBHOOK_RETRIES_S", "soon"), ("WEBHOOK_TARGETS", "none")):
        with pytest.raises(SettingsError, match=name):
            WebhookSettings.of(Environment({f"MYSPINBOT_{name}": value}), default=Reach.ANY)


@pytest.fixture
def here() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def sender(reach: Reach = Reach.ANY, timeout_s: float = 10.0) -> Sender:
    return Sender(WebhookSettings(reach=reach, timeout_s=timeout_s), lambda: NOW)


async def test_a_receiver_can_verify_what_it_gets(here: Receiver) -> None:
    async with sender() as opened:
        outcome = await opened.send(hook(here.url + "?a=1&b=%20"), "d1", '{"größe": 1}')
    assert outcome == Outcome(status=204)
    [request] = here.received
    verify(SECRET, request)
    assert request.path == "/told?a=1&b=%20"
    assert request.headers["host"] == f"127.0.0.1:{here.port}"
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    with pytest.raises(AssertionError):
        verify(secret_of(bytes(32)), request)


async def test_names_are_resolved_once_and_each_address_is_tried(here: Receiver) -> None:
    # Where `localhost` has an IPv6 address first, nobody listens on that one.
    async with sender() as opened:
        outcome = await opened.send(hook(f"http://localhost:{here.port}/x"), "d1", "{}")
    assert outcome.delivered
    assert here.received[0].headers["host"] == f"localhost:{here.port}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0x7f.1", "2130706433"])
async def test_a_name_of_ones_own_network_is_not_called_from_outside(
    here: Receiver, host: str
) -> None:
    async with sender(Reach.PUBLIC) as opened:
        outcome = await opened.send(hook(f"http://{host}:{here.port}/"), "d1", "{}")
    assert outcome.error == "the target is at an address that must not be called"
    assert not here.received


async def test_redirects_are_not_followed_and_retry_after_is_heard(here: Receiver) -> None:
    here.answers += [
        Answer(302, {"Location": here.url}),
        Answer(503, {"Retry-After": "30"}),
    ]
    async with sender() as opened:
        first, second = [await opened.send(hook(here.url), "d1", "{}") for _ in range(2)]
    assert first == Outcome(status=302, error="answered 302")
    assert second == Outcome(status=503, error="answered 503", retry_after_s=30.0)
    assert len(here.received) == 2


async def test_targets_that_do_not_answer_cost_a_bounded_time(here: Receiver) -> None:
    here.usual = Answer(holds=True)
    async with sender(timeout_s=0.3) as opened:
        assert (await opened.send(hook(here.url), "d1", "{}")).error == "no answer within 0.3 s"
        unknown = await opened.send(hook("http://no-such-name.invalid/"), "d1", "{}")
        assert unknown.error in ("the name of the target is not known", "no answer within 0.3 s")
    here.released.set()


async def test_a_closed_port_and_what_is_no_http_are_told_apart() -> None:
    with receiver() as gone:
        url = gone.url
    async with sender() as opened:
        assert (await opened.send(hook(url), "d1", "{}")).error == "no connection could be made"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for a name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, secret


@pytest.mark.parametrize(
    ("name", "trusted", "error"),
    [
        ("localhost", True, None),
        ("localhost", False, "the target's certificate is not good"),
        ("elsewhere.example", True, "the target's certificate is not good"),
    ],
)
async def test_certificates_are_checked_for_the_name_though_an_address_is_called(
    name: str, trusted: bool, error: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path, name)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with receiver(tls=server) as secured:
        async with sender() as opened:
            outcome = await opened.send(hook(f"https://localhost:{secured.port}/"), "d1", "{}")
    assert outcome.error == error
    assert outcome.delivered is (error is None)
