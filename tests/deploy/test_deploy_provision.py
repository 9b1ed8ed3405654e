"""Provisioning: what it makes can be used, and making it again changes nothing."""

import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from eventlog.permissions import ROLES
from eventlog.server_config import public_key
from myspinbot.errors import CommandError
from myspinbot.provision import certificates, names
from myspinbot.provision.environment import read_environment
from myspinbot.provision.layout import WORDS, Layout
from myspinbot.provision.making import OPERATOR, Wanted, provision

from tests.support.broker import binary

DOMAIN = "myspinbot.local"
TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def wanted(domain: str = DOMAIN, now: datetime = TODAY) -> Wanted:
    return Wanted(domain, now)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "deploy" / "secrets")
    provision(made, wanted())
    return made


def contents(layout: Layout) -> dict[Path, tuple[bytes, int]]:
    files = (path for path in layout.root.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def leaf(layout: Layout) -> x509.Certificate:
    return x509.load_pem_x509_certificates(layout.certificate.read_bytes())[0]


def test_everything_that_is_expected_is_made_and_nothing_else(layout: Layout) -> None:
    assert set(contents(layout)) == set(layout.expected())


def test_the_second_time_nothing_changes(layout: Layout) -> None:
    before = contents(layout)
    assert provision(layout, wanted()) == []
    assert contents(layout) == before


def test_others_on_the_host_get_in_nowhere_and_containers_get_what_they_mount(
    layout: Layout,
) -> None:
    assert stat.S_IMODE(layout.root.stat().st_mode) == 0o700
    for path in layout.expected():
        closed = path in layout.unmounted()
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if closed else 0o644), path


def test_modes_that_were_widened_are_put_right(layout: Layout) -> None:
    layout.root.chmod(0o755)
    layout.authority_key.chmod(0o644)
    changed = {change.path for change in provision(layout, wanted())}
    assert changed == {layout.root, layout.authority_key}
    assert stat.S_IMODE(layout.root.stat().st_mode) == 0o700


def test_every_secret_is_long_and_no_two_are_the_same(layout: Layout) -> None:
    words = [layout.word(name).read_text() for name in WORDS]
    assert len(set(words)) == len(words)
    assert all(len(word) >= 13 and not word[-1].isspace() for word in words)


def test_only_what_is_missing_is_made_again(layout: Layout) -> None:
    missing = layout.word("grafana/password")
    before = missing.read_text()
    missing.unlink()
    [change] = provision(layout, wanted())
    assert change.path == missing
    assert missing.read_text() != before


def test_the_broker_takes_its_configuration_with_every_role(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = layout.users.with_name("nats.conf")
    config.write_text((ROOT / "deploy/nats/nats.conf").read_text())
    monkeypatch.setenv("NATS_SERVER_NAME", "one")
    checked = subprocess.run(
        [binary("nats-server"), "-t", "-c", str(config)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr
    for role in ROLES:
        seed = (layout.seeds / f"{role}.nk").read_bytes()
        assert public_key(seed) in layout.users.read_text()


def test_a_table_of_permissions_that_has_changed_reaches_the_broker(layout: Layout) -> None:
    layout.users.write_text("authorization: {}\n")
    [change] = provision(layout, wanted())
    assert change.path == layout.users
    assert "permissions" in layout.users.read_text()


def test_a_broken_seed_is_told_with_a_remedy(layout: Layout) -> None:
    (layout.seeds / "planner.nk").write_text("not a seed")
    with pytest.raises(CommandError, match=r"planner\.nk holds no nkey seed.*backup"):
        provision(layout, wanted())


def test_the_operator_gets_in_with_the_password_and_with_no_other(layout: Layout) -> None:
    name, _, hashed = layout.basic_users.read_text().strip().partition(":")
    password = layout.word("traefik/password").read_bytes()
    assert name == OPERATOR
    assert bcrypt.checkpw(password, hashed.encode())
    assert not bcrypt.checkpw(password + b"x", hashed.encode())


def test_a_changed_password_of_the_operator_is_taken(layout: Layout) -> None:
    layout.word("traefik/password").write_text("of their own choosing")
    [change] = provision(layout, wanted())
    assert change.path == layout.basic_users
    hashed = layout.basic_users.read_text().strip().partition(":")[2]
    assert bcrypt.checkpw(b"of their own choosing", hashed.encode())


def test_the_certificate_is_for_the_domain_and_the_names_below_it(layout: Layout) -> None:
    context = ssl.create_default_context(cafile=layout.authority)
    context.load_cert_chain(layout.certificate, layout.key)
    found = leaf(layout).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == [DOMAIN, f"*.{DOMAIN}"]
    assert leaf(layout).not_valid_after_utc - leaf(layout).not_valid_before_utc < timedelta(398)


def test_openssl_believes_it_for_its_names_and_for_no_others(layout: Layout) -> None:
    authority = certificates.read_pair(
        layout.authority_key.read_bytes(), layout.authority.read_bytes()
    )
    elsewhere = layout.root / "elsewhere.crt"
    elsewhere.write_bytes(certificates.issue(authority, "bank.example", TODAY).chain_pem())

    def verified(certificate: Path, name: str) -> bool:
        at = str(int(TODAY.timestamp()))
        command = ["openssl", "verify", "-attime", at, "-verify_hostname", name]
        command += ["-CAfile", str(layout.authority), str(certificate)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    assert all(verified(layout.certificate, name) for name in names.names(DOMAIN))
    assert not verified(layout.certificate, "bank.example")
    assert not verified(elsewhere, "bank.example")


def test_a_certificate_near_its_end_is_renewed_by_the_same_authority(layout: Layout) -> None:
    authority, before = layout.authority.read_bytes(), leaf(layout)
    early = before.not_valid_after_utc - timedelta(days=31)
    assert provision(layout, wanted(now=early)) == []
    late = before.not_valid_after_utc - timedelta(days=29)
    assert {each.path for each in provision(layout, wanted(now=late))} == {
        layout.certificate,
        layout.key,
    }
    assert layout.authority.read_bytes() == authority
    assert leaf(layout).not_valid_after_utc > late + timedelta(days=390)


def test_an_authority_near_its_end_is_replaced_with_all_that_rests_on_it(layout: Layout) -> None:
    [before] = x509.load_pem_x509_certificates(layout.authority.read_bytes())
    late = before.not_valid_after_utc - timedelta(days=100)
    changes = provision(layout, wanted(now=late))
    assert any("tell browsers" in change.why for change in changes)
    [after] = x509.load_pem_x509_certificates(layout.authority.read_bytes())
    assert certificates.signed_by((leaf(layout),), after)
    assert provision(layout, wanted(now=late)) == []


def test_another_domain_gets_another_certificate_and_keeps_every_secret(layout: Layout) -> None:
    words = {name: layout.word(name).read_text() for name in WORDS}
    provision(layout, wanted("bot.example.org"))
    assert certificates.covers(leaf(layout), "bot.example.org")
    assert {name: layout.word(name).read_text() for name in WORDS} == words
    assert read_environment(layout.environment)["MYSPINBOT_DOMAIN"] == "bot.example.org"


def test_a_domain_below_the_first_one_needs_no_new_authority(layout: Layout) -> None:
    authority = layout.authority.read_bytes()
    provision(layout, wanted(f"two.{DOMAIN}"))
    assert layout.authority.read_bytes() == authority


def test_a_certificate_from_elsewhere_is_left_alone(layout: Layout) -> None:
    for path in (layout.authority, layout.authority_key):
        path.unlink()
    before = layout.certificate.read_bytes()
    late = leaf(layout).not_valid_after_utc + timedelta(days=1)
    assert provision(layout, wanted(now=late)) == []
    assert layout.certificate.read_bytes() == before
    assert not layout.authority_key.exists()


def test_a_key_of_another_certificate_is_replaced(layout: Layout) -> None:
    other = certificates.make_authority(DOMAIN, TODAY)
    layout.key.write_bytes(other.key_pem())
    changed = provision(layout, wanted())
    assert {each.path for each in changed} == {layout.certificate, layout.key}
    key = serialization.load_pem_private_key(layout.key.read_bytes(), None)
    assert key.public_key() == leaf(layout).public_key()


def test_an_authority_with_the_wrong_key_is_told_with_a_remedy(layout: Layout) -> None:
    layout.authority_key.write_bytes(certificates.make_authority(DOMAIN, TODAY).key_pem())
    with pytest.raises(CommandError, match=r"are no authority.*Restore both"):
        provision(layout, wanted())


def test_settings_that_the_owner_has_added_are_kept(layout: Layout) -> None:
    with layout.environment.open("a") as file:
        file.write("MYSPINBOT_OIDC_ISSUER=https://login.example.org\n")
    provision(layout, wanted("bot.example.org"))
    assert read_environment(layout.environment) == {
        "MYSPINBOT_DOMAIN": "bot.example.org",
        "MYSPINBOT_OIDC_ISSUER": "https://login.example.org",
    }


@pytest.mark.parametrize(
    "given",
    ["", "localhost", "https://bot.example.org", "*.example.org", "a b.org", "-a.org", "1.2.3.4"],
)
def test_what_is_no_domain_is_refused(given: str) -> None:
    with pytest.raises(CommandError, match="is no domain"):
        names.checked_domain(given)


def test_a_domain_is_taken_however_it_is_written() -> None:
    assert names.checked_domain(" Bot.Example.ORG. ") == "bot.example.org"


def test_what_is_no_address_is_refused() -> None:
    assert names.checked_address("::1") == "::1"
    with pytest.raises(CommandError, match="no IP address"):
        names.checked_address("my-server")


def test_the_hosts_file_gets_all_names_once(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n")
    assert names.write_hosts(file, names.hosts_lines(DOMAIN))
    assert not names.write_hosts(file, names.hosts_lines(DOMAIN))
    lines = file.read_text().splitlines()
    assert lines[0] == "127.0.0.1 localhost"
    assert [line for line in lines if f"127.0.0.1 grafana.{DOMAIN}" == line]


def test_the_lines_of_an_earlier_domain_are_replaced_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n")
    names.write_hosts(file, names.hosts_lines(DOMAIN))
    with file.open("a") as opened:
        opened.write("10.0.0.1 theirs\n")
    names.write_hosts(file, names.hosts_lines("bot.example.org", "10.0.0.9"))
    text = file.read_text()
    assert DOMAIN not in text
    assert "10.0.0.9 s3.bot.example.org\n" in text
    assert text.endswith("10.0.0.1 theirs\n")


def test_a_hosts_file_that_may_not_be_written_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot be changed.*sudo"):
        names.write_hosts(tmp_path / "nowhere" / "hosts", names.hosts_lines(DOMAIN))


def test_the_script_does_it_from_anywhere(tmp_path: Path) -> None:
    script = ROOT / "deploy/provision/provision.sh"
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    command = [str(script), "--secrets", str(tmp_path / "s"), "--domain", "bot.example.org"]
    command += ["--write-hosts", "--hosts-file", str(hosts)]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "a new authority" in first.stdout
    assert "app.bot.example.org" in hosts.read_text()
    second = subprocess.run(command[:3], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "nothing to do for bot.example.org" in second.stdout


def test_a_wrong_domain_ends_the_command_with_the_status_of_misuse(tmp_path: Path) -> None:
    command = [binary("myspinbot"), "provision", "--secrets", str(tmp_path / "s"), "--domain", "x"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "is no domain" in ended.stderr
    assert not (tmp_path / "s").exists()
