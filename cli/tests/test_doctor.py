"""What the doctor finds, and what it says about it."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_support import Command
from myspinbot.client.replies import Capabilities, Session
from myspinbot.doctor import folder, installation, machine, system
from myspinbot.doctor.findings import Finding, Verdict
from myspinbot.embedded.home import Home, StackNote

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.mark.parametrize(
    ("found", "verdict"), [((3, 11, 7), PASS), ((3, 14), PASS), ((3, 10), FAIL)]
)
def test_an_old_python_is_found(found: tuple[int, ...], verdict: Verdict) -> None:
    assert installation.python(found).verdict is verdict


def test_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "all.txt"
    lock.write_text(
        "httpx==0.28.1 \\\n    --hash=sha256:0\nuvicorn[standard]==1.0\n"
        "old==1 ; python_version < '3'\n"
        "new==2 ; python_version >= '3' \\\n    --hash=sha256:1\n# a==b\n"
    )
    wanted = installation.locked(lock)
    assert wanted == {"httpx": "0.28.1", "uvicorn": "1.0", "new": "2"}
    del wanted["new"]
    assert (
        installation.packages(wanted, {"httpx": "0.28.1", "uvicorn": "1.0+cpu"}.get).verdict is PASS
    )
    other = installation.packages(wanted, {"httpx": "0.27", "uvicorn": "1.0"}.get)
    assert (other.verdict, "httpx 0.27 for 0.28.1" in other.detail) == (WARN, True)
    absent = installation.packages(wanted, {"httpx": "0.28.1"}.get)
    assert (absent.verdict, "uvicorn" in absent.detail) == (FAIL, True)


def test_this_installation_has_what_its_lock_names() -> None:
    assert len(installation.locked(installation.lock_file())) > 50


def test_a_server_that_is_not_installed_is_found() -> None:
    assert installation.server("nats-server").verdict is PASS
    assert installation.server("no-such-server").verdict is FAIL


@pytest.mark.parametrize(
    ("free", "verdict"), [(50 * machine.GB, PASS), (3 * machine.GB, WARN), (10_000, FAIL)]
)
def test_little_space_is_found(free: int, verdict: Verdict) -> None:
    assert machine.disk(Path("/"), free).verdict is verdict


@pytest.mark.parametrize(
    ("available", "verdict"), [(8 * machine.GB, PASS), (2 * machine.GB, WARN), (10_000, FAIL)]
)
def test_little_memory_is_found(available: int, verdict: Verdict) -> None:
    assert machine.memory(available, 2).verdict is verdict


def test_a_card_that_lies_idle_is_found() -> None:
    assert machine.graphics(None, None).verdict is PASS
    assert machine.graphics("580.1", "12.9").verdict is PASS
    assert machine.graphics("580.1", None).verdict is WARN


def test_the_driver_is_read_from_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "version"
    assert machine.nvidia_driver(path) is None
    path.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\n")
    assert machine.nvidia_driver(path) == "580.95.05"


@pytest.mark.parametrize(("late_s", "verdict"), [(0, PASS), (4, PASS), (90, WARN), (-90, WARN)])
def test_clocks_that_disagree_are_found(late_s: int, verdict: Verdict) -> None:
    served = NOON + timedelta(seconds=late_s)
    assert machine.clock(served, NOON, NOON + timedelta(seconds=1)).verdict is verdict


def test_a_clock_that_was_set_back_is_found(home: Home) -> None:
    home.write_note(StackNote())
    assert machine.newest(home.root, datetime.now(UTC)) is None
    found = machine.newest(home.root, datetime.now(UTC) - timedelta(days=1))
    assert found is not None
    assert found.verdict is WARN


def verdicts(findings: list[Finding]) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in findings}


def test_a_sound_folder_is_passed(home: Home) -> None:
    home.secret("secret")
    found = verdicts(list(folder.check(home)))
    assert found == {"home": PASS, "privacy": PASS, "stack": PASS, "ports": PASS}


def test_a_folder_that_is_not_there_is_made_later(tmp_path: Path) -> None:
    assert verdicts(list(folder.check(Home(tmp_path / "new" / "home")))) == {"home": PASS}


def test_keys_that_others_can_read_are_found(home: Home) -> None:
    home.secret("secret")
    (home.keys / "secret").chmod(0o644)
    found = folder.private(home)
    assert found.verdict is FAIL
    assert "keys/secret" in found.detail
    assert f"chmod -R go= {home.data}" in found.remedy


def test_who_holds_the_folder_is_told(home: Home) -> None:
    home.write_note(StackNote("s", os.getpid(), "noon", ready=True, ports={"http": 1}))
    with home.hold():
        [*_, stack] = folder.check(home)
    assert (stack.check, stack.verdict) == ("stack", PASS)
    assert str(os.getpid()) in stack.detail


def test_a_port_that_somebody_took_is_found(home: Home) -> None:
    home.write_note(StackNote(ports={"http": 8787, "nats": 4222}))
    assert folder.ports(home, lambda _port: True).verdict is PASS
    assert folder.ports(home, lambda port: port != 4222).verdict is PASS
    taken = folder.ports(home, lambda port: port != 8787)
    assert (taken.verdict, "--port" in taken.remedy) == (WARN, True)


def test_processes_of_a_killed_run_are_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    home.write_note(StackNote(stack="left-over"))
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        env={**os.environ, "MYSPINBOT_STACK": "left-over"},
        stdin=subprocess.PIPE,
    )
    try:
        [found] = folder.left(home)
    finally:
        child.kill()
        child.wait()
    assert found.verdict is WARN
    assert str(child.pid) in found.remedy


def test_who_waits_and_who_is_shut_out_is_told() -> None:
    assert system.ready("http://x", {"ready": True}).verdict is PASS
    waiting = system.ready("http://x", {"ready": False, "waitingFor": ["broker"]})
    assert (waiting.verdict, "broker" in waiting.detail) == (FAIL, True)
    assert system.access(Session(mode="token", signed_in=False)).verdict is FAIL
    assert system.access(Session(mode="token", signed_in=True, owner="ada")).verdict is PASS


def test_engines_without_runners_or_weights_are_found() -> None:
    weights = {"name": "W", "sizeBytes": 10, "licence": "MIT", "howToGet": "Fetch it."}
    lacking = {"kind": "train_lora", "engine": "sdxl", "available": False, "missing": [weights]}
    able = {"kind": "train_lora", "engine": "mini"}

    def found(*engines: dict) -> dict[str, Verdict]:
        kinds = {"train_lora": engines} if engines else {}
        return verdicts(list(system.engines(Capabilities.model_validate({"kinds": kinds}))))

    assert found() == {"engines": FAIL}
    assert found(lacking) == {"engines": WARN}
    assert found(lacking, able) == {"engines": PASS, "weights": PASS}


def test_a_remote_system_is_looked_at_through_its_gateway(api: str, command: Command) -> None:
    told = command("doctor", "--json")
    findings = {each["check"]: each for each in json.loads(told.out)["findings"]}
    assert findings["gateway"]["verdict"] == "pass"
    assert findings["clock"]["verdict"] == "pass"
    assert findings["access"]["verdict"] == "pass"
    # A gateway alone has no runner, and that is what is wrong with it.
    assert findings["engines"]["verdict"] == "fail"
    assert "home" not in findings
    assert told.status == 1
    assert "→" in command("doctor").out


def test_a_machine_without_a_system_is_looked_at(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MYSPINBOT_API", raising=False)
    told = command("doctor", "--home", str(tmp_path / "none"), "--json")
    checks = {each["check"]: each["verdict"] for each in json.loads(told.out)["findings"]}
    assert checks["python"] == checks["home"] == "pass"
    assert {"disk", "memory", "packages", "nats-server", "weed"} <= checks.keys()
    assert "gateway" not in checks
