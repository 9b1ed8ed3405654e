"""The images: their Dockerfiles, and the locks that they are made of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packaging.utils import canonicalize_name

from tests.support.compose import ROOT, services
from tests.support.imports import locked

IMAGES = ("gateway", "planner", "projector", "runner", "cli")
PACKAGES = {
    "gateway": ("services/gateway", ["contracts", "eventlog", "servicekit", "gateway"]),
    "planner": ("services/planner", ["contracts", "eventlog", "planner"]),
    "projector": ("services/projector", ["contracts", "eventlog", "projector"]),
    "runner": ("services/gpu-runner", ["contracts", "eventlog", "servicekit", "gpu_runner"]),
    # Parquet is an extra that one installs oneself.
    "cli": (
        "cli",
        ["contracts", "eventlog", "servicekit", "myspinbot", "-myspinbot.exchange.parquet"],
    ),
}
"""The folder of each, and what of it must be importable with its lock."""

PYTORCH = re.compile(r"torch|triton|nvidia|cuda")
HEAVY = re.compile(rf"{PYTORCH.pattern}|diffusers|transformers|librosa|onnx|opencv|dlib")


def dockerfile(image: str) -> str:
    return (ROOT / f"deploy/images/{image}.Dockerfile").read_text()


def instructions(image: str) -> list[tuple[str, str]]:
    """Each instruction with its arguments, lines that go on joined."""
    text = re.sub(r"^#.*\n", "", dockerfile(image), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)
    ]


def shipped(image: str) -> list[tuple[str, str]]:
    """The instructions of the stage that is shipped."""
    stages: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for word, rest in instructions(image):
        if word == "FROM":
            source, _, name = rest.partition(" AS ")
            current = list(stages.get(source, []))
            stages[name] = current
        current.append((word, rest))
    return current


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_has_nothing_to_say(image: str) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    command = [hadolint, "--no-color", ROOT / f"deploy/images/{image}.Dockerfile"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_small_by_stages_and_runs_as_nobody(image: str) -> None:
    stages = [rest for word, rest in instructions(image) if word == "FROM"]
    assert stages[:2] == ["${BASE} AS build", "${BASE} AS service"]
    last = shipped(image)
    assert [rest for word, rest in last if word == "USER"] == ["10001:10001"]
    labels = " ".join(rest for word, rest in last if word == "LABEL")
    for name in ("title", "description", "licenses", "version", "revision", "created", "base.name"):
        assert f"org.opencontainers.image.{name}=" in labels
    copied = [rest for word, rest in last if word == "COPY"]
    assert copied == ["--from=build /opt/myspinbot /opt/myspinbot"]


def test_all_images_stand_on_the_same_base_by_its_digest() -> None:
    bases = {rest for image in IMAGES for word, rest in instructions(image) if rest[:5] == "BASE="}
    assert len(bases) == 1
    assert re.fullmatch(r"BASE=python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", bases.pop())


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_starts_a_command_that_its_package_has(image: str) -> None:
    folder, _ = PACKAGES[image]
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    (entry,) = (json.loads(rest) for word, rest in shipped(image) if word == "ENTRYPOINT")
    assert entry[0] in project["scripts"]
    (version,) = (rest for word, rest in shipped(image) if word == "ARG" and "VERSION" in rest)
    assert version == f"VERSION={project['version']}"


@pytest.mark.parametrize("image", sorted(set(IMAGES) - {"cli"}))
def test_the_health_check_of_an_image_is_the_one_of_compose(image: str) -> None:
    (check,) = (rest for word, rest in shipped(image) if word == "HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert ["CMD", *command] == services()[image]["healthcheck"]["test"]


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_is_there_and_is_sent_to_the_builder(image: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    for word, rest in instructions(image):
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(source == each or source.startswith(f"{each}/") for each in kept)
                assert not any(
                    fnmatch(source, each.removeprefix("**/")) for each in ignored if each != "*"
                )


def test_secrets_and_data_are_never_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if line and line[0] != "#") == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!contracts", "!services", "!cli", "!requirements", "!deploy/images",
    }  # fmt: skip


def test_pytorch_is_in_the_runner_only_and_of_the_version_that_developers_have() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (wanted,) = re.findall(r"^TORCH := (.+)$", makefile, re.MULTILINE)
    for image in IMAGES:
        assert (f"ARG TORCH={wanted}" in dockerfile(image)) == (image == "runner")
        assert ("torch" in dockerfile(image)) == (image == "runner")


@pytest.mark.parametrize("image", [*IMAGES, "build", "debug"])
def test_a_lock_holds_no_pytorch_and_nothing_heavy_outside_of_the_runner(image: str) -> None:
    names = locked(ROOT / f"requirements/{image}.txt")
    assert names
    unwanted = PYTORCH if image == "runner" else HEAVY
    assert [name for name in names if unwanted.search(name)] == []
    if image in ("planner", "projector"):
        assert not {"botocore", "aiobotocore"} & set(names), "only who works with objects needs it"


@pytest.mark.parametrize("image", [*IMAGES, "build"])
def test_a_lock_has_the_versions_that_developers_have(image: str) -> None:
    everything = locked(ROOT / "requirements/all.txt")
    for name, each in locked(ROOT / f"requirements/{image}.txt").items():
        assert name in everything, f"{name}: run requirements/compile"
        assert each.specifier == everything[name].specifier, f"{name}: run requirements/compile"


@pytest.mark.parametrize("image", [*IMAGES, "build", "debug"])
def test_a_lock_has_hashes_and_no_addresses(image: str) -> None:
    text = (ROOT / f"requirements/{image}.txt").read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|^-e| @ ", text, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("image", IMAGES)
def test_a_lock_has_all_that_its_image_imports(image: str) -> None:
    _, packages = PACKAGES[image]
    command = [sys.executable, "-m", "tests.support.imports", f"requirements/{image}.txt"]
    if image == "runner":
        # Stages need PyTorch, which is no part of the lock; the runner itself does without.
        packages = [name for name in packages if name != "gpu_runner"]
        program = "import gpu_runner.main, sys; assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", program], check=True)
    done = subprocess.run(
        [*command, *packages], cwd=ROOT, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 20


def test_the_import_check_finds_what_a_lock_lacks(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    text = (ROOT / "requirements/planner.txt").read_text()
    lock.write_text(re.sub(r"^structlog==(.*\\\n)*.*\n", "", text, flags=re.MULTILINE))
    assert canonicalize_name("structlog") not in locked(lock)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.imports", str(lock), "planner"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "No module named 'structlog'" in done.stderr


# From https://containers.dev/implementors/json_reference/ and the schema that it is published with
# (devContainer.base.schema.json of the specification): what one of a compose service may say.
DEV_CONTAINER: dict[str, Any] = {
    "type": "object",
    "required": ["dockerComposeFile", "service", "workspaceFolder"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "initializeCommand": {"type": ["string", "array", "object"]},
        "dockerComposeFile": {"type": "array", "items": {"type": "string"}},
        "service": {"type": "string"},
        "runServices": {"type": "array", "items": {"type": "string"}},
        "workspaceFolder": {"type": "string", "pattern": "^/"},
        "overrideCommand": {"type": "boolean"},
        "shutdownAction": {"enum": ["none", "stopCompose"]},
        "updateRemoteUserUID": {"type": "boolean"},
        "forwardPorts": {"type": "array", "items": {"type": "integer", "maximum": 65535}},
        "portsAttributes": {"type": "object"},
        "customizations": {"type": "object"},
    },
}


@pytest.mark.parametrize("service", ["gateway", "planner", "projector", "runner"])
def test_a_dev_container_opens_its_service(service: str) -> None:
    file = ROOT / f".devcontainer/{service}/devcontainer.json"
    container = json.loads(file.read_text())
    jsonschema.validate(container, DEV_CONTAINER)
    files = [(file.parent / name).resolve() for name in container["dockerComposeFile"]]
    assert all(each.exists() for each in files)
    assert files[0] == ROOT / "compose.yml"
    assert files[-1] == ROOT / "compose.dev.yml"
    overrides = tuple(each.name.split(".")[1] for each in files[1:])
    found = services(overrides)[container["service"]]
    assert (ROOT / container["initializeCommand"]).exists()
    mounted = {mount["target"]: Path(mount["source"]) for mount in found["volumes"]}
    assert mounted[container["workspaceFolder"]] == ROOT
    assert set(container["forwardPorts"]) == {port["target"] for port in found["ports"]}
    assert {port["host_ip"] for port in found["ports"]} == {"127.0.0.1"}
    assert found["build"]["target"] == "debug"
    settings = container["customizations"]["vscode"]["settings"]
    for folder in settings["python.analysis.extraPaths"] + settings["python.testing.pytestArgs"]:
        assert (ROOT / folder).is_dir()
    sources = found["environment"]["PYTHONPATH"].split(":")
    assert [f"/src/{each}" for each in settings["python.analysis.extraPaths"]] == sources
    assert found["entrypoint"][-2:] == sources
