"""What kubectl makes of our manifests, and how to read it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.broker import binary

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("single-node", "cluster")

Object = dict[str, Any]


def kustomize(folder: Path) -> list[Object]:
    """The objects of a folder with a kustomization. A warning is a failure."""
    command = [binary("kubectl"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@lru_cache
def rendered(overlay: str) -> list[Object]:
    """All objects of one of our overlays."""
    return kustomize(K8S / "overlays" / overlay)


def of(objects: list[Object], *kinds: str) -> Iterator[Object]:
    """Those of some kinds."""
    return (item for item in objects if item["kind"] in kinds)


def templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """The name of each workload and its pods."""
    for item in of(objects, "Deployment", "StatefulSet", "Job"):
        yield item["metadata"]["name"], item["spec"]["template"]


def name_of(template: Object) -> str:
    """Which program the pods run, such as `runner`, of which there may be several workloads."""
    return str(template["metadata"]["labels"]["app.kubernetes.io/name"])


def container(template: Object) -> Object:
    """The only container of the pods."""
    (only,) = template["spec"]["containers"]
    return dict(only)


def settings(template: Object, objects: list[Object]) -> dict[str, str]:
    """What the container's environment says, with what it takes from config maps."""
    maps = {item["metadata"]["name"]: item["data"] for item in of(objects, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container(template).get("envFrom", ()):
        if not source.get("secretRef", {}).get("optional"):
            found |= maps[source["configMapRef"]["name"]]
    for variable in container(template).get("env", ()):
        found[variable["name"]] = variable.get("value", "")
    return found


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a selector chooses what has these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True
