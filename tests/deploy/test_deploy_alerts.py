"""Alerts: each fires when it should and not when it should not, and each has a page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.programs import required
from tests.support.promql import DEPLOY, RULES, alerts

ROOT = DEPLOY.parent
PROMETHEUS = DEPLOY / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
TESTS = PROMETHEUS / "alerts.test.yml"


def run(program: str, package: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [required(program, package), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_its_configuration() -> None:
    run(
        "promtool",
        "prometheus",
        "check",
        "config",
        "--syntax-only",
        PROMETHEUS / "prometheus.yml",
    )


def test_prometheus_takes_the_rules() -> None:
    run("promtool", "prometheus", "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_alerts_fire_when_they_should_and_not_when_they_should_not() -> None:
    run("promtool", "prometheus", "test", "rules", TESTS)


def test_the_alertmanager_takes_its_configuration() -> None:
    run(
        "amtool",
        "prometheus-alertmanager",
        "check-config",
        DEPLOY / "alertmanager" / "alertmanager.yml",
    )


def test_relabelling_in_kubernetes_makes_the_same_labels(tmp_path: Path) -> None:
    """Debian's Prometheus has no discovery in Kubernetes: all the rest of the job is checked."""
    config = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())
    [job] = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"
    targets = {rule.get("target_label") for rule in job["relabel_configs"]}
    assert {"service", "job", "instance"} <= targets
    rest = tmp_path / "prometheus.yml"
    rest.write_text(yaml.safe_dump(config))
    run("promtool", "prometheus", "check", "config", "--syntax-only", rest)


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_is_tested_both_ways(name: str) -> None:
    expected = [
        (check["expr"], bool(check["exp_samples"]))
        for group in yaml.safe_load(TESTS.read_text())["tests"]
        for check in group["promql_expr_test"]
    ]
    ways = {fires for expr, fires in expected if f'alertname="{name}"' in expr}
    assert ways == {True, False}


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_has_a_page_that_says_what_to_do(name: str) -> None:
    rule = alerts()[name]
    page = ROOT / rule["annotations"]["runbook"]
    assert page == RUNBOOKS / f"{name}.md"
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == ["What it means", "Look", "Do"]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]


def test_every_page_is_of_an_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == set(alerts())


def test_pages_speak_of_metrics_that_there_are() -> None:
    known = set(
        re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    )
    for page in RUNBOOKS.glob("*.md"):
        spoken_of = set(re.findall(r"`(myspinbot_\w+)", page.read_text()))
        assert spoken_of <= known, page.name
