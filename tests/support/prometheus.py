"""A real Prometheus with the configuration of a deployment, on loopback."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.ports import free_ports
from tests.support.programs import required
from tests.support.promql import DEPLOY, RULES

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server, and questions to it. Answers are as of now."""

    url: str

    def ask(self, promql: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        return list(self._get("query", {"query": promql})["result"])

    def exemplars(self, promql: str) -> list[dict[str, Any]]:
        """The traces beside the measurements of the last ten minutes."""
        now = time.time()
        query = {"query": promql, "start": now - 600, "end": now + 60}
        return [
            one for series in self._get("query_exemplars", query) for one in series["exemplars"]
        ]

    def rules(self) -> dict[str, dict[str, Any]]:
        """The alerting rules that it has loaded, with how they stand."""
        groups = self._get("rules", {})["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def await_true(self, promql: str) -> None:
        """Wait until a comparison holds for something."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self.ask(promql):
            if time.monotonic() > deadline:
                raise RuntimeError(f"it never came to be: {promql}")
            time.sleep(0.1)

    def _get(self, what: str, query: Mapping[str, Any]) -> Any:
        reply = httpx.get(f"{self.url}/api/v1/{what}", params=dict(query), trust_env=False)
        assert reply.status_code == 200, reply.text
        return reply.json()["data"]


@contextlib.contextmanager
def prometheus(folder: Path, targets: Mapping[str, int]) -> Iterator[Prometheus]:
    """A server that asks the jobs of the deployment at other addresses: ports of loopback.

    Jobs without a port are left out. All else, labels and rules, is as it is deployed.
    """
    program = required("prometheus", "prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    [port] = free_ports(1)
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] |= {
        "scrape_interval": "500ms",
        "scrape_timeout": "500ms",
        "evaluation_interval": "1s",
    }
    config["rule_files"] = [str(RULES)]
    del config["alerting"]
    kept = [job for job in config["scrape_configs"] if job["job_name"] in targets]
    for job in kept:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
    config["scrape_configs"] = kept
    written = folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(config))
    command = [
        program,
        f"--config.file={written}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    server = Prometheus(f"http://127.0.0.1:{port}")
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _await_ready(server, folder)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def _await_ready(server: Prometheus, folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/-/ready", trust_env=False).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError((folder / "prometheus.log").read_text()[-2000:])
