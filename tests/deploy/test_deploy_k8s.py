"""The manifests for Kubernetes: rendered by kubectl, checked against the API's own schemas.

What no schema knows is checked against the code: that probes ask for what is there, that settings
are read, that queues have these names, and that policies let through what the architecture says.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from contracts.commands import Lane
from eventlog.permissions import ROLES
from gpu_runner.engines import ENGINES

from contracts import subjects
from tests.support.compose import services
from tests.support.kubernetes import (
    K8S,
    OVERLAYS,
    ROOT,
    Object,
    container,
    kustomize,
    matches,
    name_of,
    of,
    rendered,
    settings,
    templates,
)

API = "1.34"
"""The oldest Kubernetes that is supported upstream, and so the strictest to write for."""
FOREIGN = {"keda.sh", "postgresql.cnpg.io", "monitoring.coreos.com"}
OURS = {"gateway", "planner", "projector", "runner", "notary", "streams"}
UNASKED = {"notary", "streams"}
"""What answers nobody: a Job that ends, and what sleeps for an hour."""
SOURCES = [
    *(ROOT / "contracts/src").rglob("*.py"),
    *(ROOT / "cli/src").rglob("*.py"),
    *(ROOT / "services").glob("*/src/**/*.py"),
]


def test_every_object_is_one_that_kubernetes_takes(objects: list[Object]) -> None:
    for item in objects:
        if item["apiVersion"].split("/")[0] not in FOREIGN:
            kubernetes_validate.validate(item, API, strict=True)


def test_a_wrong_field_is_found(objects: list[Object]) -> None:
    deployment = next(of(objects, "Deployment"))
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, API, strict=True)


def test_all_is_in_one_namespace_that_enforces_the_restricted_standard(
    objects: list[Object],
) -> None:
    (namespace,) = of(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    spaces = {item["metadata"].get("namespace") for item in objects if item is not namespace}
    assert spaces == {namespace["metadata"]["name"]}


def test_no_pod_runs_as_root_writes_to_its_image_or_keeps_privileges(objects: list[Object]) -> None:
    for name, template in templates(objects):
        pod, own = template["spec"]["securityContext"], container(template)["securityContext"]
        assert pod["runAsNonRoot"] is True, name
        assert pod["runAsUser"] >= 1000, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert own["readOnlyRootFilesystem"] is True, name
        assert own["allowPrivilegeEscalation"] is False, name
        assert own["capabilities"] == {"drop": ["ALL"]}, name
        assert template["spec"]["automountServiceAccountToken"] is False, name


def test_every_pod_says_what_it_needs_and_how_much_it_may_take(objects: list[Object]) -> None:
    for name, template in templates(objects):
        resources = container(template)["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), name
        assert "memory" in resources["limits"], name


def test_no_image_is_the_latest_of_anything(objects: list[Object]) -> None:
    for _, template in templates(objects):
        assert re.search(r":\d[\w.-]*(@sha256:[0-9a-f]{64})?$", container(template)["image"])


def test_images_are_those_that_compose_runs(objects: list[Object]) -> None:
    known = {each["image"] for each in services().values()}
    names = {image.split(":")[0] for image in known}
    for _, template in templates(objects):
        image = container(template)["image"].removeprefix("registry.example.org/")
        assert image in known or image.split(":")[0] in names - {"nats"}, image


def test_all_that_compose_always_runs_of_ours_runs_here_too(objects: list[Object]) -> None:
    always = services((), ()).items()
    ours = {name for name, each in always if each["image"].startswith("myspinbot/")}
    assert ours == OURS
    assert {name_of(template) for _, template in templates(objects)} == OURS | {"nats"}


def test_probes_ask_a_port_that_is_open_for_a_path_that_is_answered(objects: list[Object]) -> None:
    admin = (ROOT / "contracts/src/servicekit/admin.py").read_text()
    gateway = (ROOT / "services/gateway/src/gateway/operations.py").read_text()
    for name, template in templates(objects):
        own = container(template)
        if name in UNASKED:
            assert not any(word.endswith("Probe") for word in own), name
            continue
        ports = {port["name"]: port["containerPort"] for port in own["ports"]}
        values = settings(template, objects)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = own[kind]["httpGet"]
            listening = ports[probe["port"]]
            if name == "nats":
                assert (listening, probe["path"].split("?")[0]) == (8222, "/healthz")
            elif name == "gateway":
                assert str(listening) == values["MYSPINBOT_HTTP_PORT"]
                assert f'"{probe["path"]}"' in gateway
            else:
                assert str(listening) == values["MYSPINBOT_ADMIN_PORT"]
                assert values["MYSPINBOT_ADMIN_HOST"] == "0.0.0.0"  # noqa: S104
                assert f'"{probe["path"]}"' in admin
        assert own["livenessProbe"]["httpGet"]["path"] != own["readinessProbe"]["httpGet"][
            "path"
        ] or (name == "nats")


def test_every_setting_is_one_that_some_service_reads(objects: list[Object]) -> None:
    source = "\n".join(path.read_text() for path in SOURCES)
    for name, template in templates(objects):
        for variable in settings(template, objects):
            if variable.startswith("MYSPINBOT_"):
                plain = variable.removeprefix("MYSPINBOT_").removesuffix("_FILE")
                read = f'"{plain}"' in source or f'"{variable}"' in source
                assert read, f"{name} is told {variable}, which nobody reads"


def test_each_service_has_the_seed_of_its_own_role_and_no_other(objects: list[Object]) -> None:
    for name, template in templates(objects):
        if name == "nats":
            continue
        secrets = {
            volume["secret"]["secretName"]
            for volume in template["spec"]["volumes"]
            if "secret" in volume
        }
        role = {"streams": "admin"}.get(name_of(template), name_of(template))
        assert role in ROLES
        assert {each for each in secrets if each.startswith("nats-")} == {f"nats-{role}"}
        assert ("gateway" in secrets) == (role == "gateway")
        assert ("s3" in secrets) == (role in ("gateway", "runner"))


def test_files_that_settings_name_are_mounted(objects: list[Object]) -> None:
    for name, template in templates(objects):
        mounts = [mount["mountPath"] for mount in container(template).get("volumeMounts", ())]
        for variable, value in settings(template, objects).items():
            if value.startswith("/") and value != "/scratch":
                assert any(value.startswith(f"{mount}/") for mount in mounts), (name, variable)


def test_a_runner_gets_more_time_to_stop_than_it_takes(objects: list[Object]) -> None:
    runners = [each for _, each in templates(objects) if name_of(each) == "runner"]
    assert runners
    for template in runners:
        values = settings(template, objects)
        takes = float(values["MYSPINBOT_DRAIN_S"]) + 2 * float(
            values["MYSPINBOT_CHECKPOINT_WAIT_S"]
        )
        assert template["spec"]["terminationGracePeriodSeconds"] > takes


def test_the_broker_is_configured_as_under_compose() -> None:
    assert (K8S / "base/nats/nats.conf").read_text() == (ROOT / "deploy/nats/nats.conf").read_text()


def test_streams_are_kept_on_as_many_servers_as_there_are(objects: list[Object]) -> None:
    (broker,) = of(objects, "StatefulSet")
    replicas = str(broker["spec"]["replicas"])
    told = {
        name: settings(template, objects)["MYSPINBOT_STREAM_REPLICAS"]
        for name, template in templates(objects)
        if name in ("streams", "planner")
    }
    assert told == {"streams": replicas, "planner": replicas}


def test_runners_are_scaled_by_queues_that_exist() -> None:
    objects = rendered("cluster")
    deployments = {item["metadata"]["name"]: item for item in of(objects, "Deployment")}
    queues = {f"{engine.kind}-{Lane.GPU}" for engine in ENGINES if engine.lane is Lane.GPU}
    scaled = list(of(objects, "ScaledObject"))
    assert scaled
    for item in scaled:
        spec = item["spec"]
        target = deployments[spec["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]
        triggers = spec["triggers"]
        assert {trigger["metadata"]["consumer"] for trigger in triggers} == queues
        for trigger in triggers:
            assert trigger["type"] == "nats-jetstream"
            # The names of https://keda.sh/docs/latest/scalers/nats-jetstream/, all of them text.
            assert trigger["metadata"].keys() == {
                "natsServerMonitoringEndpoint",
                "account",
                "stream",
                "consumer",
                "lagThreshold",
                "activationLagThreshold",
            }
            assert all(isinstance(value, str) for value in trigger["metadata"].values())
            assert trigger["metadata"]["stream"] == subjects.COMMANDS
            host = trigger["metadata"]["natsServerMonitoringEndpoint"]
            assert host == "nats.myspinbot.svc.cluster.local:8222"
    assert any(item["spec"]["minReplicaCount"] >= 1 for item in scaled)


def test_every_lane_is_worked_off_by_somebody(objects: list[Object]) -> None:
    lanes: set[str] = set()
    for _, template in templates(objects):
        if name_of(template) == "runner":
            values = settings(template, objects)
            lanes |= set(values.get("MYSPINBOT_LANES", ",".join(Lane)).split(","))
    assert lanes == set(Lane)


def test_services_and_budgets_select_pods_that_are_there(objects: list[Object]) -> None:
    labels = [template["metadata"]["labels"] for _, template in templates(objects)]
    for service in of(objects, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        chosen = [
            template
            for _, template in templates(objects)
            if matches(selector, template["metadata"]["labels"])
        ]
        assert chosen, service["metadata"]["name"]
        names = {port["name"] for each in chosen for port in container(each)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    for budget in of(objects, "PodDisruptionBudget"):
        assert any(matches(budget["spec"]["selector"], each) for each in labels)


def test_workloads_select_their_own_pods_alone(objects: list[Object]) -> None:
    workloads = list(of(objects, "Deployment", "StatefulSet"))
    for item in workloads:
        own = [
            other["metadata"]["name"]
            for other in workloads
            if matches(item["spec"]["selector"], other["spec"]["template"]["metadata"]["labels"])
        ]
        assert own == [item["metadata"]["name"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_of_ones_own_can_add_monitoring_and_its_own_store(
    overlay: str, tmp_path: Path
) -> None:
    def beside(folder: Path) -> str:
        return os.path.relpath(folder.resolve(), tmp_path.resolve())

    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "myspinbot",
        "resources": [beside(K8S / "overlays" / overlay)],
        "components": [beside(K8S / "components/monitoring")],
        "configMapGenerator": [
            {
                "name": "object-store",
                "behavior": "merge",
                "literals": ["MYSPINBOT_S3_ENDPOINT=https://s3.eu-central-1.amazonaws.com"],
            }
        ],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    objects = kustomize(tmp_path)
    pods = dict(templates(objects))
    gateway = settings(pods["gateway"], objects)
    assert gateway["MYSPINBOT_S3_ENDPOINT"] == "https://s3.eu-central-1.amazonaws.com"
    assert gateway["MYSPINBOT_S3_BUCKET"] == "myspinbot"
    assert gateway["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(":4318")
    scraped: set[str] = set()
    for monitor in of(objects, "PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        for template in pods.values():
            if matches(monitor["spec"]["selector"], template["metadata"]["labels"]):
                ports = {port["name"] for port in container(template)["ports"]}
                assert endpoint["port"] in ports
                scraped.add(name_of(template))
    assert scraped == OURS - UNASKED
