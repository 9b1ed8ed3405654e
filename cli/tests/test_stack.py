"""The whole stack as `myspinbot up` runs it, and the commands that talk to it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from myspinbot.client import Client
from myspinbot.embedded.home import Home
from myspinbot.errors import FAILED, HELD, NOT_ALLOWED, NOT_FOUND, REFUSED, UNREACHABLE

from tests.support.samples import SAYING
from tests.support.stack import RunningStack, running_stack

PHOTOS = Path(__file__).parents[2] / "samples" / "photos"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(autouse=True)
def _views_match_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test broke, the views are what the log makes of them."""
    yield
    stack = request.node.funcargs.get("stack")
    if stack is not None:
        stack.assert_views_match_log()


def command(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "myspinbot.main", *words, "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def submit_a_training(stack: RunningStack) -> str:
    done = command("submit", "--photos", str(PHOTOS), *SAYING, "--name", "Mira", home=stack.home)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_stack_is_reached_on_loopback_only(stack: RunningStack) -> None:
    addresses = set()
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                addresses.add(connection.laddr.ip)
    assert addresses == {"127.0.0.1"}


def test_up_tells_programs_where_it_is_on_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "myspinbot.main", "up", "--json", "--home", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        told = json.loads(up.stdout.readline())
        ready = httpx.get(f"{told['api']}/ready", trust_env=False)
        up.send_signal(signal.SIGINT)
        rest, _ = up.communicate(timeout=60)
    assert (ready.status_code, told["home"], rest) == (200, str(tmp_path), "")


def test_a_second_up_says_who_holds_the_data(stack: RunningStack) -> None:
    second = command("up", home=stack.home)
    assert second.returncode == HELD
    assert str(stack.process.pid) in second.stderr
    assert stack.api in second.stderr
    assert second.stdout == ""


def test_the_insides_of_the_object_store_are_closed_to_other_users(stack: RunningStack) -> None:
    ports = Home(stack.home).note().ports
    for name, path in (("filer", "/buckets/"), ("volume", "/1,01"), ("s3", "/myspinbot")):
        reply = httpx.get(f"http://127.0.0.1:{ports[name]}{path}")
        assert reply.status_code in (401, 403), name


def test_no_service_is_given_credentials_that_are_not_its_own(stack: RunningStack) -> None:
    needed = {
        "gateway": {"S3_SECRET_KEY", "NATS_SEED", "SECRET"},
        "planner": {"NATS_SEED"},
        "projector": {"NATS_SEED", "DATABASE_URL"},
        "gpu_runner": {"S3_SECRET_KEY", "NATS_SEED"},
    }
    secret = {"S3_SECRET_KEY", "NATS_SEED", "DATABASE_URL", "SECRET", "ADMIN_TOKEN", "TOKEN"}
    seeds = set()
    for service, names in needed.items():
        environment = psutil.Process(stack.pid_of(service)).environ()
        assert {name for name in secret if f"MYSPINBOT_{name}" in environment} == names
        seeds.add(environment["MYSPINBOT_NATS_SEED"])
    assert len(seeds) == len(needed)


def test_the_doctor_finds_nothing_wrong_with_a_stack_that_runs(stack: RunningStack) -> None:
    told = command("doctor", "--json", home=stack.home)
    findings = json.loads(told.stdout)["findings"]
    assert {each["check"] for each in findings if each["verdict"] == "fail"} <= {"memory", "disk"}
    checks = {each["check"]: each["verdict"] for each in findings}
    for part in ("broker", "objects", "planner", "projector", "runner", "gateway", "engines"):
        assert checks[part] == "pass", part


def test_what_can_be_made_is_told_with_its_time(stack: RunningStack) -> None:
    listed = command("models", "train_lora", home=stack.home)
    assert "--param train_lora." in listed.stdout
    pipelines = json.loads(command("pipelines", "list", "--json", home=stack.home).stdout)
    assert {each["pipelineId"] for each in pipelines["pipelines"]} >= {"train", "generate"}
    with Client(stack.api) as client:
        estimates = client.estimates("train", inputs=["photos"])
    assert {each.quality for each in estimates} == {"draft", "standard", "best"}


def test_a_job_is_submitted_listed_and_told_as_a_story(stack: RunningStack) -> None:
    job = submit_a_training(stack)
    listed = command("jobs", home=stack.home).stdout
    [line] = [line for line in listed.splitlines() if line.startswith(job)]
    assert "train" in line
    assert "Mira" in line
    told = command("events", "tail", job, "--no-follow", home=stack.home)
    assert told.returncode == 0, told.stderr
    assert (
        f"JobRequested: train with name, photo_names, {len(list(PHOTOS.glob('*.png')))} photos"
        in told.stdout
    )
    assert "Mira" not in told.stdout
    command("cancel", job, home=stack.home)


def test_a_cancelled_job_ends_a_watch_with_a_failure(stack: RunningStack) -> None:
    job = submit_a_training(stack)
    assert command("cancel", job, home=stack.home).returncode == 0
    watched = command("watch", job, home=stack.home)
    assert watched.returncode == FAILED
    assert "Job cancelled" in watched.stdout
    assert f"{job} was cancelled" in watched.stderr


def test_the_log_can_be_read_as_cloud_events(stack: RunningStack) -> None:
    job = submit_a_training(stack)
    command("cancel", job, home=stack.home)
    told = command("events", "tail", job, "--no-follow", "--json", home=stack.home)
    first = json.loads(told.stdout.splitlines()[0])
    assert (first["specversion"], first["type"]) == ("1.0", "myspinbot.JobRequested")


def test_what_the_gateway_refuses_is_shown_with_its_remedy(
    stack: RunningStack, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_text("this is not a picture")
    refused = command("submit", "--photos", str(tmp_path), *SAYING, home=stack.home)
    assert refused.returncode == REFUSED
    cause, remedy = refused.stderr.splitlines()
    assert "photo.png" in cause
    assert remedy


def test_a_job_that_nobody_knows_is_refused_by_every_command(stack: RunningStack) -> None:
    for name in ("watch", "cancel"):
        refused = command(name, "no-such-job", home=stack.home)
        assert refused.returncode == NOT_FOUND
        assert "No job of yours has this id." in refused.stderr


def test_commands_say_how_to_start_what_does_not_run(tmp_path: Path) -> None:
    for words in (("jobs",), ("events", "tail"), ("watch", "x")):
        refused = command(*words, home=tmp_path)
        assert refused.returncode == UNREACHABLE
        assert "myspinbot up" in refused.stderr


def test_an_address_where_nobody_answers_is_named() -> None:
    refused = command("jobs", "--api", "http://127.0.0.1:9", home=Path("/nowhere"))
    assert refused.returncode == UNREACHABLE
    assert "No MySpinBot answers at http://127.0.0.1:9." in refused.stderr


def test_a_stack_whose_supervisor_was_killed_goes_on_with_its_data(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("killed")
    with running_stack(home) as first:
        job = submit_a_training(first)
        command("cancel", job, home=home)
        children = psutil.Process(first.process.pid).children(recursive=True)
        first.kill_all()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    with running_stack(home) as second:
        assert second.api == first.api
        assert second.status(job)["jobId"] == job
        types = [event["type"] for event in second.history(job)]
        assert types[0] == "myspinbot.JobRequested"


def test_a_terminated_stack_stops_in_order_and_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("stopped")
    with running_stack(home) as stack:
        children = psutil.Process(stack.process.pid).children(recursive=True)
        os.kill(stack.process.pid, signal.SIGINT)
        assert stack.process.wait(timeout=60) == 0
    assert [child for child in children if child.is_running()] == []
    lines = (home / "logs" / "supervisor.log").read_text().splitlines()
    stopped = [e["program"] for e in map(json.loads, lines) if e["event"] == "process.stopped"]
    assert stopped.index("gateway") < stopped.index("weed")
    assert stopped.index("planner") < stopped.index("nats")
    assert len(stopped) == 6
    assert Home(home).running() is None


def test_a_broker_that_was_killed_comes_back_with_its_streams(stack: RunningStack) -> None:
    [broker] = [
        child
        for child in psutil.Process(stack.process.pid).children()
        if "nats-server" in child.name()
    ]
    broker.kill()
    psutil.wait_procs([broker], timeout=30)
    deadline = time.monotonic() + 60
    while command("jobs", home=stack.home).returncode != 0:
        assert time.monotonic() < deadline
    job = submit_a_training(stack)
    assert stack.status(job)["status"] in ("queued", "running")
    command("cancel", job, home=stack.home)


def test_a_stack_that_asks_for_tokens_knows_its_owner_and_those_who_were_let_in(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with running_stack(home, ["--access", "token", "--host", "127.0.0.2"]) as stack:
        assert stack.api.startswith("http://127.0.0.2:")
        secret = home / "data" / "keys" / "admin-token"
        assert secret.stat().st_mode & 0o077 == 0
        assert httpx.get(f"{stack.api}/api/jobs").status_code == 401
        owner = command("jobs", home=home)
        assert owner.returncode == 0, owner.stderr
        made = command("tokens", "create", "friend", "--owner", "friend", home=home)
        token = made.stdout.strip()
        elsewhere = tmp_path / "elsewhere"
        asked = command("jobs", "--api", stack.api, home=elsewhere)
        assert asked.returncode == NOT_ALLOWED
        (tmp_path / "token").write_text(token)
        with_token = ("--api", stack.api, "--token-file", str(tmp_path / "token"))
        assert command("jobs", *with_token, home=elsewhere).returncode == 0
        asked = command("tokens", "create", "more", "--owner", "other", *with_token, home=elsewhere)
        assert asked.returncode == NOT_ALLOWED
