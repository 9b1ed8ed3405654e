"""Which metrics PromQL speaks of, as far as our own dashboards and alerts write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules" / "alerts.yml"
# Functions are followed by a bracket, words like `by` and labels never look like this.
_SELECTOR = re.compile(
    r"\b(?:(?:myspinbot|process|node|jetstream|traefik|pg|container)_\w+|DCGM_\w+|up)\b"
    r"(?:\{[^}]*\})?"
)
_METRIC = re.compile(r"^\w+")


def selectors(promql: str) -> list[str]:
    """Each metric with its matchers, such as `up{job="runner"}`, without their time ranges."""
    return _SELECTOR.findall(promql)


def metric(selector: str) -> str:
    """The name of the metric of a selector."""
    found = _METRIC.match(selector)
    assert found is not None
    return found[0]


def of_dashboards() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every panel that asks Prometheus."""
    for path in sorted((DEPLOY / "grafana" / "generated").glob("*.json")):
        for panel in panels(json.loads(path.read_text())):
            for target in panel.get("targets", ()):
                if target["datasource"]["type"] == "prometheus":
                    yield f"{path.stem}: {panel['title']}", target["expr"]


def panels(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels of a dashboard, also those within rows."""
    for panel in document["panels"]:
        yield panel
        yield from panel.get("panels", ())


def alerts() -> dict[str, dict[str, Any]]:
    """The alerting rules by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}
