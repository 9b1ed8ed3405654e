"""The compose files, read by the real Compose: what they must hold for every service."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway.access.principal import Mode
from gateway.settings import Settings
from myspinbot.provision.layout import Layout
from myspinbot.provision.making import Wanted, provision
from projector.database import open_database
from projector.settings import database_url
from servicekit.objects import StoreAddress
from servicekit.settings import Environment

from tests.support.compose import OVERRIDES, PROFILES, ROOT, Service, compose, parsed, services

DEPLOYED = [(), ("cpu",), ("minio",), ("cpu", "minio")]
"""What is meant to be reached by others; compose.dev.yml is for one's own machine."""

RUNS_ONCE = {"prepare", "streams", "cli"}
NO_PROBE = {"notary", "otel-collector", "tempo"}
"""The notary answers nobody; the images of the others hold no program that could ask them."""
ROOTS = {"prepare", "cadvisor", "dcgm-exporter"}
CAPABILITIES = {"prepare": ["CHOWN"], "dcgm-exporter": ["SYS_ADMIN"]}

EVERY = [
    pytest.param(overrides, name, id="+".join(("base", *overrides)) + f"-{name}")
    for overrides in DEPLOYED
    for name in sorted(services(overrides))
]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A real folder of secrets."""
    layout = Layout(tmp_path_factory.mktemp("deployment") / "secrets")
    provision(layout, Wanted("myspinbot.local", datetime.now(UTC)))
    return layout


@pytest.mark.parametrize("count", range(len(OVERRIDES) + 1))
def test_compose_accepts_every_combination_of_files_and_profiles(count: int) -> None:
    for overrides in itertools.combinations(OVERRIDES, count):
        for profiles in ((), PROFILES):
            done = compose("config", "--quiet", overrides=overrides, profiles=profiles)
            assert done.returncode == 0, (overrides, profiles, done.stderr)
            assert not done.stderr, (overrides, profiles, done.stderr)


def test_compose_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("services: {gateway: {helthcheck: {}}}")
    done = compose("--file", str(wrong), "config", "--quiet")
    assert done.returncode != 0
    assert "helthcheck" in done.stderr


@pytest.mark.parametrize(("overrides", "name"), EVERY)
def test_a_service_has_no_more_rights_than_it_needs(overrides: tuple[str, ...], name: str) -> None:
    service = services(overrides)[name]
    uid = int(service["user"].split(":")[0])
    assert (uid == 0) == (name in ROOTS)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == CAPABILITIES.get(name, [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name == "prepare":
        assert service["network_mode"] == "none"
    else:
        assert list(service["networks"]) == ["internal-network"]


@pytest.mark.parametrize(("overrides", "name"), EVERY)
def test_a_service_can_take_no_more_than_its_share(overrides: tuple[str, ...], name: str) -> None:
    service = services(overrides)[name]
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert int(limits["memory"]) >= 32 << 20
    assert limits["pids"] > 0
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    in_memory = sum(_tmpfs_bytes(each) for each in service.get("tmpfs", []))
    assert in_memory <= int(limits["memory"]), "what is in tmpfs counts as memory"


def _tmpfs_bytes(mount: str) -> int:
    found = re.search(r"size=(\d+)([mg])", mount)
    return int(found[1]) << {"m": 20, "g": 30}[found[2]] if found else 0


@pytest.mark.parametrize(("overrides", "name"), EVERY)
def test_an_image_is_of_one_version(overrides: tuple[str, ...], name: str) -> None:
    image = services(overrides)[name]["image"]
    assert re.fullmatch(
        r"[a-z0-9./-]+:[A-Za-z0-9_.-]*\d[A-Za-z0-9_.-]*(@sha256:[0-9a-f]{64})?", image
    )
    if image.startswith("myspinbot/"):
        assert "build" in services(overrides)[name]


@pytest.mark.parametrize(("overrides", "name"), EVERY)
def test_a_service_says_whether_it_is_healthy(overrides: tuple[str, ...], name: str) -> None:
    service = services(overrides)[name]
    check = service["healthcheck"]
    assert check.get("disable", False) == (name in RUNS_ONCE | NO_PROBE)
    if name not in RUNS_ONCE | NO_PROBE:
        assert check["test"][0] == "CMD"
        assert check["retries"] > 1
    assert service["restart"] == ("no" if name in RUNS_ONCE else "unless-stopped")


@pytest.mark.parametrize("overrides", DEPLOYED)
def test_nobody_waits_for_health_that_is_never_told(overrides: tuple[str, ...]) -> None:
    found = services(overrides)
    for name, service in found.items():
        for other, how in service.get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            assert ends == (other in RUNS_ONCE), (name, other)
            assert ends or other not in NO_PROBE, (name, other)
    # `up --wait` fails over what ends, unless something that stays has waited for its end.
    staying = [service for name, service in found.items() if name not in RUNS_ONCE]
    awaited = {other for service in staying for other in service.get("depends_on", {})}
    assert RUNS_ONCE - {"cli"} <= awaited


def test_a_runner_has_time_to_finish_what_it_may_finish() -> None:
    runner = services()["runner"]
    grace = re.fullmatch(r"(\d+)m(\d+)s", runner["stop_grace_period"])
    assert grace
    finishing_s = float(runner["environment"]["MYSPINBOT_DRAIN_S"])
    assert int(grace[1]) * 60 + int(grace[2]) >= finishing_s + 60
    assert services(("dev",))["runner"]["environment"]["MYSPINBOT_DRAIN_S"] == "0"


@pytest.mark.parametrize("overrides", DEPLOYED)
def test_traefik_alone_is_reached_from_outside_and_only_from_this_machine_by_default(
    overrides: tuple[str, ...],
) -> None:
    found = services(overrides)
    assert [name for name, service in found.items() if service.get("ports")] == ["traefik"]
    ports = found["traefik"]["ports"]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    static = yaml.safe_load((ROOT / "deploy/traefik/traefik.yml").read_text())
    listening = {
        static["entryPoints"][name]["address"].lstrip(":"): published
        for name, published in (("web", "80"), ("websecure", "443"))
    }
    assert {str(port["target"]): port["published"] for port in ports} == listening


@pytest.mark.parametrize("overrides", [(), ("cpu",), ("minio",), ("dev",)])
def test_no_secret_is_in_the_environment(overrides: tuple[str, ...]) -> None:
    for name, service in services(overrides).items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search(r"SECRET|PASSWORD|TOKEN|ACCESS_KEY|_PASS\b", variable):
                assert variable.endswith("_FILE") or not value, (name, variable)
            assert not re.search(r"://[^/]*:[^/]*@", value or ""), (name, variable)


@pytest.mark.parametrize("overrides", DEPLOYED)
def test_every_secret_is_made_by_provisioning_and_given_to_who_needs_it(
    overrides: tuple[str, ...], secrets: Layout
) -> None:
    made = {str(path.relative_to(secrets.root)): path for path in secrets.expected()}
    declared = parsed(overrides)["secrets"]
    files = {
        name: str(Path(secret["file"]).relative_to(ROOT / "deploy/secrets"))
        for name, secret in declared.items()
    }
    assert set(files.values()) <= set(made)
    for file in files.values():
        # Whoever runs in a container is nobody that the host knows.
        assert made[file].stat().st_mode & 0o004, file
    given = {
        name: {files[secret["source"]] for secret in service.get("secrets", [])}
        for name, service in services(overrides).items()
    }
    seeds = {
        name: {file for file in has if file.startswith("nkeys/")} for name, has in given.items()
    }
    assert {name: has for name, has in seeds.items() if has} == {
        "streams": {"nkeys/admin.nk"},
        "gateway": {"nkeys/gateway.nk"},
        "planner": {"nkeys/planner.nk"},
        "projector": {"nkeys/projector.nk"},
        "runner": {"nkeys/runner.nk"},
        "notary": {"nkeys/notary.nk"},
        "nui": {"nkeys/observer.nk"},
    }
    assert {name for name, has in given.items() if "postgres/password" in has} == {
        "postgres", "projector", "postgres-exporter", "pgweb",
    }  # fmt: skip
    assert [name for name, has in given.items() if "runner/credentials.pem" in has] == ["runner"]
    unused = set(files.values()) - set().union(*given.values())
    assert unused <= ({"s3.json"} if "minio" in overrides else set())


def test_what_was_asked_for_is_there() -> None:
    expected = {
        (): {
            "traefik", "nats", "seaweedfs", "postgres", "gateway", "planner", "projector",
            "runner", "notary", "prepare", "streams",
        },
        ("observability",): {
            "prometheus", "grafana", "tempo", "loki", "alloy", "otel-collector", "nats-exporter",
            "postgres-exporter", "node-exporter", "cadvisor", "dcgm-exporter", "alertmanager",
        },
        ("inspect",): {"nui", "pgweb", "s3-console"},
        ("llm",): {"ollama"},
        ("tools",): {"cli"},
    }  # fmt: skip
    core = set(services((), ()))
    assert core == expected[()]
    for profile in PROFILES:
        assert set(services((), (profile,))) - core == expected[profile,]


def _gpus(service: Service) -> list[Any]:
    reserved = service["deploy"]["resources"].get("reservations") or {}
    return [device for device in reserved.get("devices") or [] if "gpu" in device["capabilities"]]


def test_a_gpu_is_reserved_where_there_is_one_and_nowhere_else() -> None:
    assert {name for name, each in services().items() if _gpus(each)} == {
        "runner", "dcgm-exporter", "ollama",
    }  # fmt: skip
    without = services(("cpu",))
    assert not any(_gpus(each) for each in without.values())
    assert "dcgm-exporter" not in without
    assert without["runner"]["build"]["args"]["VARIANT"] == "cpu"
    assert without["runner"]["image"].endswith("-cpu")


def test_minio_answers_where_seaweedfs_did() -> None:
    found = services(("minio",))
    store = found["seaweedfs"]
    assert "minio" in store["image"]
    assert store["command"][-3:] == [":8333", "--console-address", ":23646"]
    assert store["networks"]["internal-network"]["aliases"] == ["s3-console"]
    assert "s3-console" not in found
    assert "seaweedfs" not in parsed(("minio",))["volumes"]
    changed = {name for name in found if found[name] != services()[name]}
    assert changed == {"seaweedfs", "prepare"}


@pytest.mark.parametrize("overrides", [*DEPLOYED, ("dev",)])
def test_every_file_that_is_mounted_is_in_the_repository(overrides: tuple[str, ...]) -> None:
    for name, service in services(overrides).items():
        for mount in service.get("volumes", []):
            source = Path(mount["source"])
            if mount["type"] == "bind" and source.is_relative_to(ROOT):
                assert source.exists(), (name, source)
            if mount["type"] == "bind" and "dev" not in overrides:
                assert mount.get("read_only"), (name, source)


@pytest.mark.parametrize("overrides", DEPLOYED)
def test_every_volume_is_used_and_its_owner_is_who_writes_there(overrides: tuple[str, ...]) -> None:
    found = services(overrides)
    used = {
        mount["source"]
        for service in found.values()
        for mount in service.get("volumes", [])
        if mount["type"] == "volume"
    }
    assert used == set(parsed(overrides)["volumes"])
    prepared = {mount["source"] for mount in found["prepare"]["volumes"]}
    for name, service in found.items():
        for mount in service.get("volumes", []):
            if mount["type"] == "volume" and mount["source"] in prepared and name != "prepare":
                assert service["user"] == "1000:1000", (name, mount["source"])


def _environment(name: str, secrets: Layout, overrides: tuple[str, ...] = ()) -> Environment:
    """What a container is told, with the paths of its secrets as they are here."""
    service = services(overrides)[name]
    where = {}
    for secret in service.get("secrets", []):
        file = Path(parsed(overrides)["secrets"][secret["source"]]["file"])
        inside = Path("/run/secrets") / secret.get("target", secret["source"])
        where[str(inside)] = str(secrets.root / file.relative_to(ROOT / "deploy/secrets"))
    told = service["environment"]
    return Environment({key: where.get(value, value) for key, value in told.items()})


def test_the_gateway_starts_with_what_it_is_told(secrets: Layout) -> None:
    environment = _environment("gateway", secrets)
    settings = Settings.of(environment)
    assert settings.access.mode is Mode.TOKEN
    assert settings.access.lasting
    assert settings.access.admin_token == secrets.word("gateway/admin_token").read_text()
    assert "app.myspinbot.local" in settings.hosts
    assert settings.public_store == "https://s3.myspinbot.local"
    subnet = parsed()["networks"]["internal-network"]["ipam"]["config"][0]["subnet"]
    assert settings.proxies == {subnet}


@pytest.mark.parametrize("name", ["gateway", "runner"])
def test_who_works_with_objects_signs_in_with_the_keys_that_the_store_knows(
    name: str, secrets: Layout
) -> None:
    address = StoreAddress.of(_environment(name, secrets))
    assert address.endpoint == "http://seaweedfs:8333"
    identities = secrets.store_identities.read_text()
    assert f'"{address.access_key}"' in identities
    assert f'"{address.secret_key}"' in identities


async def test_the_projector_finds_its_database(secrets: Layout) -> None:
    environment = _environment("projector", secrets)
    database = open_database(database_url(environment))
    await database.close()
    told = services()["postgres"]["environment"]
    assert f"{told['POSTGRES_USER']}@postgres/{told['POSTGRES_DB']}" in environment.text(
        "DATABASE_URL"
    )


@pytest.mark.parametrize("name", ["gateway", "planner", "projector", "runner", "streams"])
def test_every_service_signs_in_at_the_broker_with_a_key_that_it_was_given(
    name: str, secrets: Layout
) -> None:
    address = _environment(name, secrets).broker(name)
    assert address.url == "nats://nats:4222"
    assert address.seed_file is not None
    assert address.seed_file.read_bytes().startswith(b"SU")


def test_no_setting_is_named_that_nobody_reads() -> None:
    folders = [ROOT / "contracts/src", ROOT / "cli/src", *(ROOT / "services").glob("*/src")]
    code = "\n".join(file.read_text() for folder in folders for file in folder.rglob("*.py"))
    for overrides in ((), ("cpu",)):
        for name, service in services(overrides).items():
            if not service["image"].startswith("myspinbot/"):
                continue
            for variable in service["environment"]:
                setting = variable.removesuffix("_FILE").removeprefix("MYSPINBOT_")
                if variable.startswith("MYSPINBOT_"):
                    # Some names are put together, as OIDC_ and RATE_ ones are.
                    assert re.search(rf'"(MYSPINBOT_)?{setting}"', code), (name, variable)


def test_traefik_leads_to_services_that_are_there() -> None:
    dynamic = (ROOT / "deploy/traefik/dynamic/myspinbot.yml").read_text()
    targets = set(re.findall(r"http://([a-z0-9-]+):\d+", dynamic))
    assert targets <= set(services())
    mounted = {secret["source"] for secret in services()["traefik"]["secrets"]}
    assert set(re.findall(r"\$secrets \}\}/([\w.]+)", dynamic)) == mounted
