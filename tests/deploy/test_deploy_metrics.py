"""Metrics of services that really run, asked for by a real Prometheus while they do real work.

One stack trains a small adapter, speaks a sentence and refuses a picture without a face. Then every
query of every dashboard and alert must find something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from myspinbot.client import Client
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.support.exporters import node_exporter, postgres_exporter
from tests.support.prometheus import Prometheus, prometheus
from tests.support.promql import DEPLOY, alerts, metric, of_dashboards, selectors
from tests.support.samples import SAID
from tests.support.stack import RunningStack, running_stack
from tests.support.traefik import DOMAIN, Traefik, traefik

PHOTOS = Path(__file__).parents[2] / "samples" / "photos"
NOBODY = "http://127.0.0.1:9/v1/traces"
DOCUMENT = DEPLOY.parent / "docs" / "metrics.md"
SERVICES = ("gateway", "planner", "projector", "runner")

SPEECH = {
    "stages": [
        {
            "id": "speak",
            "kind": "synthesize_speech",
            "params": {"check_words": False},
            "inputs": {"script": {"output": "script"}},
        }
    ]
}

# What no program here tells, by who does in a deployment. The names are those that its makers
# document or, for the broker's exporter, those of its collector (collector/jsz.go, 0.17).
ELSEWHERE = {
    "NVIDIA's DCGM exporter needs a GPU": {
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_DEV_FB_USED",
        "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_DEV_POWER_USAGE",
        "DCGM_FI_DEV_XID_ERRORS",
    },
    "cAdvisor needs containers": {"container_memory_working_set_bytes"},
    "there is no package of the exporter of NATS": {
        "jetstream_consumer_num_pending",
        "jetstream_consumer_num_ack_pending",
        "jetstream_consumer_num_redelivered",
        "jetstream_server_total_message_bytes",
        "jetstream_server_max_storage",
        "jetstream_stream_total_bytes",
        "jetstream_stream_last_seq",
    },
}
ABSENT = frozenset[str]().union(*ELSEWHERE.values())


@dataclass(frozen=True, slots=True)
class Observed:
    """A stack that has done its work, and a Prometheus that has seen it."""

    running: RunningStack
    ports: dict[str, int]
    prometheus: Prometheus
    traces: dict[str, str]
    """The trace of each job, by what it was."""

    def text(self, port: str, accept: str = "text/plain") -> str:
        url = f"http://127.0.0.1:{self.ports[port]}/metrics"
        reply = httpx.get(url, headers={"Accept": accept}, trust_env=False)
        assert reply.status_code == 200
        return reply.text


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("observed")
    with (
        node_exporter() as node,
        postgres_exporter(folder / "postgres") as database,
        running_stack(folder / "home") as running,
    ):
        ports = json.loads((running.home / "stack.json").read_text())["ports"]
        entrance = traefik(folder / "traefik", collector=NOBODY, MYSPINBOT_GATEWAY_URL=running.api)
        targets = {service: ports[f"{service}_admin"] for service in SERVICES}
        targets |= {"node": node, "postgres": database}
        with (
            entrance as proxy,
            prometheus(folder / "prometheus", targets | {"traefik": proxy.metrics_port}) as server,
        ):
            server.await_true("sum(myspinbot_service_ready) == 4")
            server.await_true("pg_up == 1")
            _come_in(proxy)
            traces = _work(running, folder)
            # A rate takes two answers after the last thing that happened.
            server.await_true("sum(myspinbot_planner_jobs_ended_total) == 3")
            server.await_true("max(myspinbot_projector_lag_events) == 0")
            server.await_true('min(count_over_time(up{job="runner"}[2s])) >= 3')
            yield Observed(running, ports, server, traces)


def _come_in(proxy: Traefik) -> None:
    """One request from outside, over TLS."""
    host = f"app.{DOMAIN}"
    with httpx.Client(verify=proxy.trust, trust_env=False) as client:
        url = f"https://127.0.0.1:{proxy.https_port}/health"
        client.get(url, headers={"Host": host}, extensions={"sni_hostname": host})


def _work(running: RunningStack, folder: Path) -> dict[str, str]:
    faceless = folder / "wall.png"
    Image.new("RGB", (512, 512), (180, 170, 160)).save(faceless)
    photos = sorted(PHOTOS.glob("*.png"))[:1]
    with Client(running.api) as client:
        jobs = {
            "training": client.jobs.create(
                photos=photos,
                consent=SAID,
                quality="draft",
                params={"train_lora": {"steps": 2, "batch_size": 1, "rank": 1}},
            ),
            "refused": client.jobs.create(photos=[faceless], consent=SAID, quality="draft"),
            "speech": client.jobs.create(script="Hello there.", graph=SPEECH),
        }
        ends = {}
        for what, job in jobs.items():
            for update in client.jobs.watch(job.job_id):
                ends[what] = update.status
    assert ends == {"training": "completed", "refused": "failed", "speech": "completed"}
    return {what: _trace_of(running, job.job_id) for what, job in jobs.items()}


def _trace_of(running: RunningStack, job: str) -> str:
    return str(running.history(job)[0]["traceparent"]).split("-")[1]


def documented(service: str) -> dict[str, tuple[str, str]]:
    """(type, meaning) by name of what the page says that a service tells."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| .*? \| ([\w, ]+) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE
    )
    return {
        name: (kind, meaning)
        for name, kind, of, meaning in rows
        if of == "all" or service in of.split(", ")
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_tells_what_is_documented_and_nothing_else(
    observed: Observed, service: str
) -> None:
    told = {}
    for family in text_string_to_metric_families(observed.text(f"{service}_admin")):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        told[name] = (family.type, family.documentation.rstrip("."))
    assert told == documented(service), "run: make schemas"


@pytest.mark.parametrize("service", SERVICES)
def test_labels_are_those_that_are_documented(observed: Observed, service: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| (.*?) \|", DOCUMENT.read_text(), re.MULTILINE)
    labels = {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows}
    for family in text_string_to_metric_families(observed.text(f"{service}_admin")):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} <= labels[name], name


def test_no_label_tells_of_a_job_or_a_person(observed: Observed) -> None:
    text = observed.text("metrics")
    assert "name=" not in re.sub(r'program="[^"]*"', "", text)
    assert not re.search(r'="[0-9a-z]{26}"', text)
    series = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(series) < 2500


@pytest.mark.parametrize("board", sorted({where.split(":")[0] for where, _ in of_dashboards()}))
def test_every_panel_shows_something(observed: Observed, board: str) -> None:
    empty = []
    for where, promql in of_dashboards():
        names = {metric(selector) for selector in selectors(promql)}
        if not where.startswith(f"{board}:") or names <= ABSENT:
            continue
        assert not names & ABSENT, f"{where} mixes what is here with what is not"
        if not observed.prometheus.ask(promql.replace("$__rate_interval", "5m")):
            empty.append((where, promql))
    assert empty == []


@pytest.mark.parametrize("name", sorted(alerts()))
def test_what_an_alert_asks_for_is_there(observed: Observed, name: str) -> None:
    for selector in selectors(alerts()[name]["expr"]):
        if metric(selector) not in ABSENT:
            assert observed.prometheus.ask(f"last_over_time({_any(selector)}[5m])"), selector


def _any(selector: str) -> str:
    """The same metric whatever its status: that nothing has failed is well."""
    return re.sub(r'status=~?"[^"]*"', 'status!=""', selector)


def test_prometheus_has_all_alerts_and_none_fires_when_all_is_well(observed: Observed) -> None:
    rules = observed.prometheus.rules()
    assert set(rules) == set(alerts())
    assert {name: rule["lastError"] for name, rule in rules.items() if rule.get("lastError")} == {}
    firing = {name for name, rule in rules.items() if rule["state"] == "firing"}
    # The disk of the machine that tests is not ours to judge.
    assert firing <= {"DiskNearlyFull"}


def test_what_is_absent_is_asked_for(observed: Observed) -> None:
    asked = [promql for _, promql in of_dashboards()] + [a["expr"] for a in alerts().values()]
    assert {metric(selector) for promql in asked for selector in selectors(promql)} >= ABSENT


@pytest.mark.parametrize(
    ("measured", "job"),
    [
        ('myspinbot_runner_stage_seconds_bucket{kind="train_lora"}', "training"),
        ('myspinbot_planner_stage_wait_seconds_bucket{kind="synthesize_speech"}', "speech"),
    ],
)
def test_a_measurement_leads_to_the_trace_of_its_job(
    observed: Observed, measured: str, job: str
) -> None:
    found = observed.prometheus.exemplars(measured)
    assert {one["labels"]["trace_id"] for one in found} == {observed.traces[job]}


def test_figures_are_those_of_the_work_that_was_done(observed: Observed) -> None:
    ask = observed.prometheus.ask
    ended = ask("sum by (type, status) (myspinbot_planner_jobs_ended_total) > 0")
    told = {(one["metric"]["type"], one["metric"]["status"]): one["value"][1] for one in ended}
    wanted = [("train", "completed"), ("train", "failed"), ("pipeline", "completed")]
    assert told == dict.fromkeys(wanted, "1")
    [failure] = ask("myspinbot_planner_stage_failures_total")
    assert (failure["metric"]["kind"], failure["metric"]["code"]) == ("prepare_dataset", "no-face")
    [steps] = ask("myspinbot_runner_training_steps_per_second")
    assert float(steps["value"][1]) > 0
    [factor] = ask("myspinbot_runner_real_time_factor")
    assert factor["metric"]["kind"] == "synthesize_speech"
    assert ask("sum(myspinbot_planner_jobs) + sum(myspinbot_planner_stages)")[0]["value"][1] == "0"


def test_the_metrics_of_all_services_are_told_at_one_address(observed: Observed) -> None:
    merged = {
        family.name: family for family in text_string_to_metric_families(observed.text("metrics"))
    }
    ready = {s.labels["service"]: s.value for s in merged["myspinbot_service_ready"].samples}
    assert ready == dict.fromkeys(SERVICES, 1)
    programs = merged["myspinbot_stack_program_ready"].samples
    assert {sample.labels["program"] for sample in programs} >= {"nats", "weed", "gpu-runner"}
    assert "# EOF" in observed.text("metrics", "application/openmetrics-text; version=1.0.0")
    assert "trace_id=" in observed.text("metrics", "application/openmetrics-text; version=1.0.0")


def test_one_address_answers_nothing_but_metrics(observed: Observed) -> None:
    url = f"http://127.0.0.1:{observed.ports['metrics']}"
    assert httpx.get(f"{url}/", trust_env=False).status_code == 404
    assert httpx.post(f"{url}/metrics", trust_env=False).status_code == 404
