"""The Secrets of an installation on Kubernetes: made from what provisioning has left."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml
from eventlog.server_config import ensure_seeds
from myspinbot.provision.layout import Layout

from tests.support.broker import binary
from tests.support.kubernetes import K8S, OVERLAYS, container, of, rendered, templates

SECRETS = {
    "nats/users.conf": "authorization {}",
    "nats/route_password": "word",
    "s3/access_key": "key",
    "s3/secret_key": "secret",
    "gateway/secret": "secret",
    "runner/credentials.pem": "key and certificates",
    "gateway/admin_token": "token",
}


def provisioned(folder: Path) -> Path:
    """As `deploy/provision` leaves it, as far as the cluster needs it."""
    ensure_seeds(Layout(folder).seeds)
    for name, text in SECRETS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "tls").mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=app.myspinbot.local", "-days", "1"]
    command += [
        "-keyout",
        str(folder / "tls/myspinbot.key"),
        "-out",
        str(folder / "tls/myspinbot.crt"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder


def make_secrets(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(K8S / "secrets.sh"), str(folder)],
        env={**os.environ, "KUBECTL": binary("kubectl")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_secrets_that_pods_need_are_made_with_the_keys_that_they_need(tmp_path: Path) -> None:
    done = make_secrets(provisioned(tmp_path / "secrets"))
    assert done.returncode == 0, done.stderr
    made = {
        item["metadata"]["name"]: set(item["data"])
        for item in yaml.safe_load_all(done.stdout)
        if item
    }
    for objects in map(rendered, OVERLAYS):
        (ingress,) = of(objects, "Ingress")
        assert made[ingress["spec"]["tls"][0]["secretName"]] == {"tls.crt", "tls.key"}
        for name, template in templates(objects):
            for volume in template["spec"].get("volumes", ()):
                if "secret" in volume:
                    secret = volume["secret"]["secretName"]
                    # That one is CloudNativePG's.
                    assert secret in made or secret == "postgres-app", name  # noqa: S105
            for variable in container(template).get("env", ()):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    assert reference["key"] in made[reference["name"]]
    assert made["nats-gateway"] == {"seed"}
    assert made["s3"] == {"access_key", "secret_key"}


def test_a_seed_that_an_older_provisioning_did_not_make_is_named(tmp_path: Path) -> None:
    folder = provisioned(tmp_path / "secrets")
    (folder / "nkeys/notary.nk").unlink()
    done = make_secrets(folder)
    assert done.returncode == 1
    assert "nkeys/notary.nk: run deploy/provision/provision.sh first" in done.stderr
    assert not done.stdout


def test_without_provisioning_there_are_no_secrets_and_a_word_about_it(tmp_path: Path) -> None:
    done = make_secrets(tmp_path)
    assert done.returncode == 1
    assert "provision.sh" in done.stderr
    assert not done.stdout
