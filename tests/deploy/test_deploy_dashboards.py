"""Dashboards: what lies in git is what the code makes, and what it speaks of is there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from deploy.grafana.dashboards import GENERATED, documents
from tests.support.promql import DEPLOY, metric, of_dashboards, panels, selectors

PROVISIONING = DEPLOY / "grafana" / "provisioning"


def datasources() -> dict[str, dict[str, Any]]:
    path = PROVISIONING / "datasources" / "datasources.yml"
    return {one["uid"]: one for one in yaml.safe_load(path.read_text())["datasources"]}


def test_the_files_are_what_the_code_makes() -> None:
    files = {path.name: path.read_text() for path in GENERATED.glob("*.json")}
    assert files == documents(), "run: make schemas"


def test_there_is_a_dashboard_for_each_part() -> None:
    titles = {json.loads(text)["title"] for text in documents().values()}
    parts = ("Overview", "Jobs", "Runners and GPUs", "Queue and log", "HTTP", "Traces by stage")
    assert titles == {f"MySpinBot / {part}" for part in parts}


@pytest.mark.parametrize("name", sorted(documents()))
def test_panels_ask_sources_that_are_provisioned(name: str) -> None:
    kinds = {uid: source["type"] for uid, source in datasources().items()}
    for panel in panels(json.loads(documents()[name])):
        for target in panel.get("targets", ()):
            source = target["datasource"]
            assert kinds[source["uid"]] == source["type"], panel["title"]


@pytest.mark.parametrize("name", sorted(documents()))
def test_panels_lie_beside_each_other_and_have_titles_of_their_own(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    titles = [panel["title"] for panel in panels(json.loads(documents()[name]))]
    assert len(titles) == len(set(titles))
    for panel in json.loads(documents()[name])["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


def test_every_query_speaks_of_a_metric() -> None:
    queries = list(of_dashboards())
    assert len(queries) > 60
    for where, promql in queries:
        assert selectors(promql), where


def test_our_metrics_are_those_that_are_documented() -> None:
    page = (DEPLOY.parent / "docs" / "metrics.md").read_text()
    known = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    for where, promql in of_dashboards():
        for name in map(metric, selectors(promql)):
            if name.startswith(("myspinbot_", "process_")):
                assert name in known or re.sub("_(bucket|count|sum)$", "", name) in known, where


def test_a_figure_leads_to_its_trace_and_a_trace_to_its_logs_and_back() -> None:
    sources = datasources()
    [exemplar] = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplar["name"], exemplar["datasourceUid"]) == ("trace_id", "tempo")
    assert sources["tempo"]["jsonData"]["tracesToLogsV2"]["datasourceUid"] == "loki"
    assert sources["tempo"]["jsonData"]["tracesToMetrics"]["datasourceUid"] == "prometheus"
    [field] = sources["loki"]["jsonData"]["derivedFields"]
    assert field["datasourceUid"] == "tempo"
    assert "trace_id" in (DEPLOY / "loki" / "config.alloy").read_text()


def test_grafana_finds_the_dashboards_where_compose_puts_them() -> None:
    path = PROVISIONING / "dashboards" / "dashboards.yml"
    [provider] = yaml.safe_load(path.read_text())["providers"]
    compose = yaml.safe_load((DEPLOY.parent / "compose.yml").read_text())
    volumes = compose["services"]["grafana"]["volumes"]
    folders = dict(volume.split(":")[1::-1] for volume in volumes if volume.startswith("./"))
    mounted = next(to for to in folders if provider["options"]["path"].startswith(f"{to}/"))
    inside = provider["options"]["path"].removeprefix(mounted).strip("/")
    assert (DEPLOY.parent / folders[mounted] / inside).resolve() == GENERATED
