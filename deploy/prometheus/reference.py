"""Writes docs/metrics.md from what the services themselves say that they measure.

    python -m deploy.prometheus.reference

Each service is imported in a process of its own, as all of them together would register each
metric for all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.core import Metric

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
SERVICES = {
    "gateway": "gateway.main",
    "planner": "planner.main",
    "projector": "projector.main",
    "runner": "gpu_runner.main",
}
_OURS = "myspinbot_"


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as it is looked for in Prometheus: its name with the suffix of counters."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


def registered() -> Iterator[Described]:
    """The metrics of this process, in the order of their names."""
    found: dict[str, Described] = {}
    # The registry has no public way to its collectors; labels are known to them alone.
    for collector in REGISTRY._collector_to_names:  # noqa: SLF001
        describe = getattr(collector, "describe", None)
        families = tuple(describe() if describe else collector.collect())
        for family in families:
            labels = getattr(collector, "_labelnames", None) or _labels(family)
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = Described(name, family.type, tuple(labels), family.documentation)
    yield from (found[name] for name in sorted(found))


def _labels(family: Metric) -> tuple[str, ...]:
    own = getattr(family, "_labelnames", ())
    return tuple(own) or tuple(sorted({label for s in family.samples for label in s.labels}))


def of_services() -> dict[str, list[Described]]:
    """The metrics of each service."""
    described = {}
    for service, module in SERVICES.items():
        command = [sys.executable, "-m", "deploy.prometheus.reference", "--describe", module]
        told = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        rows = json.loads(told.stdout)
        described[service] = [Described(n, t, tuple(labels), m) for n, t, labels, m in rows]
    return described


def document(services: dict[str, list[Described]]) -> str:
    """The page."""
    makers: dict[Described, list[str]] = {}
    for service, metrics in services.items():
        for metric in metrics:
            makers.setdefault(metric, []).append(service)
    ours = sorted((m for m in makers if m.name.startswith(_OURS)), key=lambda m: m.name)
    others = sorted((m for m in makers if not m.name.startswith(_OURS)), key=lambda m: m.name)
    lines = [_HEAD]
    lines += _table(ours, makers)
    lines += ["", "## Of each process", "", _PROCESS, ""]
    lines += _table(others, makers)
    return "\n".join(lines) + "\n"


def _table(metrics: list[Described], makers: dict[Described, list[str]]) -> list[str]:
    lines = ["| name | type | labels | of | meaning |", "|---|---|---|---|---|"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        of = "all" if len(makers[metric]) == len(SERVICES) else ", ".join(makers[metric])
        meaning = metric.meaning.rstrip(".").replace("|", "\\|")
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {of} | {meaning} |")
    return lines


_HEAD = """# Metrics

Every service answers `GET /metrics` at its port for operators (9100 in a deployment), in
Prometheus' text format and, for who asks for it, as OpenMetrics with exemplars: the trace of a
measurement beside it. `myspinbot up` tells those of all services at one address, each with the
label `service`; Prometheus adds the same label (deploy/prometheus/prometheus.yml).

Names follow Prometheus' conventions: times in seconds, sizes in bytes, counters end with `_total`.
A histogram `x` is stored as `x_bucket`, `x_sum` and `x_count`. Labels have few values: owners, jobs
and names that people choose are never labels, and a kind of stage that no live runner can do and
that our own jobs do not have counts as `other`.

This page is made from the services' own registries (`make schemas`), and a test compares it with
services that run.

What is asked of these metrics: [dashboards](../deploy/grafana/boards) and
[alerts](../deploy/prometheus/rules/alerts.yml), each of which has a [runbook](runbooks).

## Of MySpinBot
"""
_PROCESS = "As Prometheus' own client for Python tells them; `process_…` on Linux only."


def main() -> None:
    """Write the page, or describe one service for who writes it."""
    if "--describe" in sys.argv:
        __import__(sys.argv[-1])
        rows = [(m.name, m.type, m.labels, m.meaning) for m in registered()]
        sys.stdout.write(json.dumps(rows))
    else:
        DOCUMENT.write_text(document(of_services()))


if __name__ == "__main__":
    main()
