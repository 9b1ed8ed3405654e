"""What `up` shows while it runs: figures from metrics, and how they are drawn."""

from __future__ import annotations

import io

from myspinbot.client.replies import JobItem
from myspinbot.dashboard import Dashboard, lasting
from myspinbot.embedded.metrics import merge, of_programs
from myspinbot.embedded.status import Figures, Status
from myspinbot.embedded.supervision import Phase, State
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from rich.console import Console

PORTS = {"http": 8787, "nats": 4222, "metrics": 9999}
PLANNER = """\
# TYPE myspinbot_planner_stages gauge
myspinbot_planner_stages{kind="train_lora",state="no_runner"} 1
myspinbot_planner_stages{kind="train_lora",state="scheduled"} 2
myspinbot_planner_stages{kind="train_lora",state="running"} 1
myspinbot_planner_stages{kind="render_video",state="scheduled"} 0
# TYPE myspinbot_planner_queue_age_seconds gauge
myspinbot_planner_queue_age_seconds{kind="train_lora"} 125.0
# TYPE myspinbot_broker_connected gauge
myspinbot_broker_connected 1
# EOF
"""
PROJECTOR = """\
# TYPE myspinbot_projector_lag_events gauge
myspinbot_projector_lag_events 7
# TYPE myspinbot_projector_lag_seconds gauge
myspinbot_projector_lag_seconds 3.0
# TYPE myspinbot_broker_connected gauge
myspinbot_broker_connected 0
# EOF
"""


def families(text: str) -> list:
    return list(text_string_to_metric_families(text))


def merged() -> list:
    return merge({"planner": families(PLANNER), "projector": families(PROJECTOR)})


def drawn(status: Status) -> str:
    out = io.StringIO()
    dashboard = Dashboard("http://127.0.0.1:8787", PORTS)
    dashboard.show(status)
    Console(file=out, width=100, no_color=True).print(dashboard)
    return out.getvalue()


def job(**fields: object) -> JobItem:
    begun = {"jobId": "k1", "type": "train", "status": "running", "progress": 0.25}
    return JobItem.model_validate({**begun, "createdAt": "2026-01-01T00:00:00Z", **fields})


def test_a_family_of_several_services_is_one_with_a_label() -> None:
    [connected] = [one for one in merged() if one.name == "myspinbot_broker_connected"]
    told = {sample.labels["service"]: sample.value for sample in connected.samples}
    assert told == {"planner": 1, "projector": 0}


def test_figures_are_read_from_metrics() -> None:
    figures = Figures.of(merged())
    assert figures.waiting == {"train_lora": 3}
    assert (figures.running, figures.oldest_s) == (1, 125.0)
    assert (figures.lag_events, figures.lag_s) == (7, 3.0)


def test_without_metrics_all_figures_are_nothing() -> None:
    assert Figures.of(merge({"planner": [], "projector": []})) == Figures()


def test_programs_tell_whether_they_work_and_how_often_they_died() -> None:
    states = {"nats": State(Phase.READY), "planner": State(Phase.PAUSED, deaths=3)}
    ready, deaths = of_programs(states)
    assert {s.labels["program"]: s.value for s in ready.samples} == {"nats": 1, "planner": 0}
    assert {s.labels["program"]: s.value for s in deaths.samples} == {"nats": 0, "planner": 3}


def test_the_screen_shows_services_queue_jobs_and_lag() -> None:
    states = {"nats": State(Phase.READY, since=10), "gateway": State(Phase.PAUSED, 60, deaths=2)}
    screen = drawn(Status(states, 130, Figures.of(merged()), (job(name="Mira"),)))
    lines = [" ".join(line.split()) for line in screen.splitlines()]
    assert "nats ready 2 min 4222" in lines
    assert "gateway paused 70 s 8787 2" in lines
    assert "Queue: 3 train_lora, for up to 2 min" in screen
    assert "lag of the views: 7 events, 3 s" in screen
    assert "Mira" in screen
    assert "25%" in screen


def test_a_name_cannot_draw_on_the_screen() -> None:
    assert "[red]Mira" in drawn(Status({}, 0, jobs=(job(name="[red]Mira"),)))


def test_the_screen_says_when_the_api_is_away_and_when_nothing_is_to_do() -> None:
    assert "The API does not answer." in drawn(Status({}, 0))
    assert "No job is waiting or running." in drawn(Status({}, 0, jobs=()))


def test_times_are_short() -> None:
    assert [lasting(s) for s in (0, 89, 120, 7200)] == ["0 s", "89 s", "2 min", "2.0 h"]
