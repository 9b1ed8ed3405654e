"""What `myspinbot doctor --deploy` finds, and what it says about it."""

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from myspinbot.doctor import deploy, deploy_machine
from myspinbot.doctor.findings import Finding, Verdict
from myspinbot.provision import certificates
from myspinbot.provision.layout import Layout
from myspinbot.provision.making import Wanted, provision

from tests.support.broker import binary
from tests.support.ports import free_ports

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
DOMAIN = "bot.example.org"
NOW = datetime.now(UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "secrets")
    provision(made, Wanted(DOMAIN, NOW))
    return made


def the_one(findings: Iterator[Finding], check: str) -> Finding:
    [found] = [each for each in findings if each.check == check]
    return found


def test_a_fresh_deployment_has_all_it_rests_on(layout: Layout) -> None:
    for look in (deploy.complete, deploy.closed, deploy.broker_users, deploy.operator):
        assert look(layout).verdict is PASS, look(layout)
    assert list(deploy.in_git(layout)) == []
    assert deploy.certificate(layout, DOMAIN, NOW).verdict is PASS


def test_no_folder_at_all_is_told_with_what_makes_it(tmp_path: Path) -> None:
    [found] = deploy.check(Layout(tmp_path / "none"))
    assert (found.verdict, "myspinbot provision" in found.remedy) == (FAIL, True)


def test_a_missing_secret_is_named(layout: Layout) -> None:
    layout.word("postgres/password").unlink()
    found = deploy.complete(layout)
    assert (found.verdict, "postgres/password is missing" in found.detail) == (FAIL, True)


def test_an_empty_secret_is_as_good_as_none(layout: Layout) -> None:
    layout.word("gateway/secret").write_text("")
    assert deploy.complete(layout).verdict is FAIL


def test_a_certificate_from_elsewhere_needs_no_authority(layout: Layout) -> None:
    layout.authority.unlink()
    layout.authority_key.unlink()
    assert deploy.complete(layout).verdict is PASS
    assert deploy.certificate(layout, DOMAIN, NOW).verdict is PASS


def test_a_folder_that_others_can_read_is_found(layout: Layout) -> None:
    layout.root.chmod(0o750)
    found = deploy.closed(layout)
    assert (found.verdict, found.remedy) == (FAIL, f"Close it: chmod 700 {layout.root}")


def test_secrets_in_git_are_found(layout: Layout) -> None:
    for command in (["init", "-q"], ["add", "-f", "env"]):
        subprocess.run(["git", "-C", str(layout.root), *command], check=True)
    [found] = deploy.in_git(layout)
    assert (found.verdict, "make new ones" in found.remedy) == (FAIL, True)


def test_a_key_that_the_broker_was_not_told_of_is_found(layout: Layout) -> None:
    (layout.seeds / "planner.nk").unlink()
    before = layout.users.read_text()
    provision(layout, Wanted(DOMAIN, NOW))
    assert deploy.broker_users(layout).verdict is PASS
    layout.users.write_text(before)
    found = deploy.broker_users(layout)
    assert (found.verdict, "force-recreate nats" in found.remedy) == (FAIL, True)


def test_a_broken_seed_is_found(layout: Layout) -> None:
    (layout.seeds / "planner.nk").write_text("x")
    assert "holds no nkey seed" in deploy.broker_users(layout).detail


def test_an_operator_who_could_not_sign_in_is_found(layout: Layout) -> None:
    layout.basic_users.write_text("operator:$2b$10$nonsense\n")
    assert deploy.operator(layout).verdict is FAIL


def test_a_wrong_domain_is_found() -> None:
    found = deploy.domain({"MYSPINBOT_DOMAIN": "https://bot.example.org/"})
    assert (found.verdict, "--domain" in found.remedy) == (FAIL, True)


def test_a_certificate_of_another_domain_is_found(layout: Layout) -> None:
    found = deploy.certificate(layout, "other.example.org", NOW)
    assert (found.verdict, "not for other.example.org" in found.detail) == (FAIL, True)


@pytest.mark.parametrize(
    ("days", "verdict", "told"),
    [(300, PASS, "until"), (380, WARN, "ends soon"), (400, FAIL, "ended"), (-1, FAIL, "clock")],
)
def test_the_end_of_a_certificate_is_found(
    layout: Layout, days: int, verdict: Verdict, told: str
) -> None:
    found = deploy.certificate(layout, DOMAIN, NOW + timedelta(days=days))
    assert (found.verdict, told in found.detail + found.remedy) == (verdict, True)


def test_a_certificate_with_another_key_is_found(layout: Layout) -> None:
    layout.key.write_bytes(certificates.make_authority(DOMAIN, NOW).key_pem())
    assert "belongs to another certificate" in deploy.certificate(layout, DOMAIN, NOW).detail


def test_a_certificate_that_the_authority_did_not_sign_is_found(layout: Layout) -> None:
    layout.authority.write_bytes(certificates.make_authority(DOMAIN, NOW).chain_pem())
    assert "not signed by" in deploy.certificate(layout, DOMAIN, NOW).detail


def test_names_that_lead_nowhere_are_found() -> None:
    assert the_one(deploy_machine.resolved(["a.invalid", "b.invalid"], lambda _name: []), "names")
    [found] = deploy_machine.resolved(["a.invalid"], deploy_machine.addresses_of)
    assert (found.verdict, "hosts file" in found.remedy) == (WARN, True)
    [found] = deploy_machine.resolved(["localhost"], deploy_machine.addresses_of)
    assert (found.verdict, "127.0.0.1" in found.detail) == (PASS, True)


def settings(http: int, https: int) -> dict[str, str]:
    return {"MYSPINBOT_HTTP": str(http), "MYSPINBOT_HTTPS": str(https)}


def looked(layout: Layout, http: int, https: int) -> list[Finding]:
    found = deploy_machine.ports(settings(http, https), layout.certificate, f"app.{DOMAIN}")
    return list(found)


def test_free_ports_are_good(layout: Layout) -> None:
    http, https = free_ports(2)
    assert [each.verdict for each in looked(layout, http, https)] == [PASS, PASS]


def test_a_port_that_another_program_has_is_found(layout: Layout) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        for server in (one, two):
            threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
        found = looked(layout, one.getsockname()[1], two.getsockname()[1])
    assert [each.verdict for each in found] == [FAIL, FAIL]
    assert "MYSPINBOT_HTTP to another port" in found[0].remedy


def _hang_up(server: socket.socket) -> None:
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return


@contextmanager
def shown(layout: Layout) -> Iterator[int]:
    """Somebody who shows a certificate, as Traefik does; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(layout.certificate, layout.key)

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def test_the_certificate_that_is_shown_is_compared_with_the_one_that_is_there(
    layout: Layout, tmp_path: Path
) -> None:
    (http,) = free_ports(1)
    with shown(layout) as https:
        assert looked(layout, http, https)[1].verdict is PASS
        late = NOW + timedelta(days=390)
        provision(layout, Wanted(DOMAIN, late))
        earlier = looked(layout, http, https)[1]
        assert (earlier.verdict, "force-recreate traefik" in earlier.remedy) == (WARN, True)
    other = Layout(tmp_path / "other")
    provision(other, Wanted("elsewhere.example.org", NOW))
    with shown(other) as https:
        assert looked(layout, http, https)[1].verdict is FAIL


def test_what_is_no_port_is_found(layout: Layout) -> None:
    (http,) = free_ports(1)
    found = list(
        deploy_machine.ports(
            {"MYSPINBOT_HTTP": str(http), "MYSPINBOT_HTTPS": "https"}, layout.certificate, DOMAIN
        )
    )
    assert "is no port" in found[1].detail


def test_a_gpu_that_is_reserved_and_not_there_is_found() -> None:
    found = deploy_machine.graphics({}, None, None)
    assert (found.verdict, "compose.cpu.yml" in found.remedy) == (FAIL, True)
    without = {"COMPOSE_FILE": "compose.yml:compose.cpu.yml"}
    assert deploy_machine.graphics(without, None, None).verdict is PASS


def test_a_gpu_that_containers_cannot_use_is_found() -> None:
    found = deploy_machine.graphics({}, "580.1", None)
    assert (found.verdict, "Container Toolkit" in found.remedy) == (FAIL, True)
    assert deploy_machine.graphics({}, "580.1", "/usr/bin/it").verdict is PASS


@pytest.mark.parametrize(
    ("version", "verdict"), [("2.40.3", PASS), ("v2.24.0", PASS), ("2.20.1", FAIL), (None, WARN)]
)
def test_an_old_compose_is_found(version: str | None, verdict: Verdict) -> None:
    assert deploy_machine.compose(version).verdict is verdict


def test_a_clock_that_is_not_synchronised_is_found() -> None:
    assert deploy_machine.clock(is_synchronised=True).verdict is PASS
    assert deploy_machine.clock(is_synchronised=False).verdict is WARN
    assert deploy_machine.clock(is_synchronised=None).verdict is PASS


def test_the_command_tells_programs_too_and_ends_with_status_1(layout: Layout) -> None:
    layout.word("s3.json").unlink()
    command = [binary("myspinbot"), "doctor", "--deploy", "--json", "--secrets", str(layout.root)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["ok"]) == (1, False)
    failures = {each["check"] for each in told["findings"] if each["verdict"] == "fail"}
    assert "secrets" in failures
    assert all(each["remedy"] for each in told["findings"] if each["verdict"] != "pass")
