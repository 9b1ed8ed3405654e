"""Pipelines: built in and one's own, drawn, checked, kept, run and forgotten."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from contracts.capabilities import (
    Capabilities,
    Device,
    EngineManifest,
    JobOffer,
    PlannerManifest,
    RunnerManifest,
)
from contracts.commands import Lane
from contracts.events import JobType, Quality
from contracts.graph import Binding, Edge, EdgeKind, Graph, Stage
from contracts.mermaid import mermaid
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.registry import announce
from gateway.pipelines.routes import built_in, check
from gateway.problems import Problem
from gateway_media import PHOTO, RECORDING

from tests.support.samples import CONSENT, CONSENT_FORM

# One kind for all: a runner of an earlier test may still be live, and be asked what it can do.
GRAPH = Graph(
    stages=(
        Stage(
            id="prepare",
            kind="train_lora",
            inputs={
                "photos": Binding(output="photos"),
                "clip": Binding(output="clip", optional=True),
            },
        ),
        Stage(
            id="train_lora",
            kind="train_lora",
            engine="mini",
            inputs={
                "faces": Binding(stage="prepare", output="faces"),
                "masks": Binding(stage="prepare", output="masks", optional=True),
            },
        ),
        Stage(id="end", kind="train_lora"),
    ),
    edges=(Edge(source="train_lora", target="end", kind=EdgeKind.ON_FAILURE),),
)


def as_json(graph: Graph = GRAPH) -> dict[str, Any]:
    return dict(json.loads(graph.to_json()))


def test_a_graph_is_drawn_with_what_its_arrows_carry() -> None:
    assert mermaid(GRAPH) == (
        "flowchart LR\n"
        "  in_clip([clip])\n"
        "  in_photos([photos])\n"
        '  st_prepare["prepare: train_lora"]\n'
        '  st_train_lora["train_lora (mini)"]\n'
        '  st_end["end: train_lora"]\n'
        "  in_clip -->|clip?| st_prepare\n"
        "  in_photos -->|photos| st_prepare\n"
        "  st_prepare -->|faces, masks?| st_train_lora\n"
        "  st_train_lora -.->|on failure| st_end\n"
    )


def offer(job_type: JobType, *needs: str) -> JobOffer:
    return JobOffer(type=job_type, needs=needs, may_have=("prompt",), graph=GRAPH)


OFFERS = (
    offer(JobType.TRAIN, "photos"),
    offer(JobType.GENERATE, "photos", "script"),
    offer(JobType.GENERATE, "lora", "faces", "script"),
)


def test_what_planners_offer_is_built_in_under_lasting_names() -> None:
    views = built_in(OFFERS)
    assert [view.pipeline_id for view in views] == ["train", "generate", "generate-from-profile"]
    assert all(view.built_in and view.mermaid == mermaid(GRAPH) for view in views)
    twice = built_in((*OFFERS, OFFERS[0]))
    assert len({view.pipeline_id for view in twice}) == 4


def engine(kind: str, name: str) -> EngineManifest:
    return EngineManifest(
        kind=kind,
        engine=name,
        version="1",
        title=name,
        lane=Lane.CPU,
        qualities=(Quality.DRAFT,),
        params_schema={"properties": {"steps": {"maximum": 9}}, "additionalProperties": False},
    )


RUNNER = RunnerManifest(
    runner="r1",
    devices=(Device(name="cpu", title="a processor", memory_bytes=1),),
    engines=(engine("prepare_dataset", "local"), engine("train_lora", "mini")),
    announced_at=datetime.now(UTC),
)
ABLE = Capabilities(
    runners=(RUNNER,), kinds={one.kind: (one,) for one in RUNNER.engines}, jobs=OFFERS
)


@pytest.mark.parametrize(
    ("stage", "where", "says"),
    [
        (Stage(id="cat", kind="train_cat"), "graph.stages.1", "No live runner can do train_cat"),
        (Stage(id="lora", kind="train_lora", engine="huge"), "graph.stages.1", "engine huge"),
        (
            Stage(id="lora", kind="train_lora", params={"steps": 10}),
            "graph.stages.1",
            "greater than the maximum of 9",
        ),
        (
            Stage(id="lora", kind="train_lora", inputs={"faces": Binding(output="phtos")}),
            "graph.stages.1.inputs.faces",
            "the request's phtos",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(stage: Stage, where: str, says: str) -> None:
    first = Stage(id="prepare", kind="prepare_dataset")
    check(Graph(stages=(first,)), ABLE)
    with pytest.raises(Problem) as refused:
        check(Graph(stages=(first, stage)), ABLE)
    assert refused.value.members["where"] == where
    assert says in refused.value.detail
    assert where in refused.value.detail


async def made(api: httpx.AsyncClient, graph: dict[str, Any] | None = None, **headers: str) -> Any:
    body = {"name": "My own", "graph": graph or as_json()}
    answer = await api.post("/api/pipelines", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_pipeline_is_kept_shown_drawn_and_forgotten(api: httpx.AsyncClient) -> None:
    pipeline = await made(api)
    assert (pipeline["builtIn"], pipeline["type"]) == (False, "pipeline")
    assert (pipeline["needs"], pipeline["mayHave"]) == (["photos"], ["clip"])
    path = f"/api/pipelines/{pipeline['pipelineId']}"
    assert (await api.get(path)).json() == pipeline
    assert pipeline in (await api.get("/api/pipelines")).json()["pipelines"]
    drawn = await api.get(f"{path}/mermaid")
    assert drawn.headers["content-type"].startswith("text/plain")
    assert drawn.text == pipeline["mermaid"] == mermaid(GRAPH)
    assert (await api.delete(path)).status_code == 204
    for gone in (path, f"{path}/mermaid", "/api/pipelines/a.b", "/api/pipelines/*"):
        answer = await api.get(gone)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-pipeline")
    assert (await api.delete(path)).status_code == 404


async def test_a_graph_that_is_none_is_refused_with_its_place(api: httpx.AsyncClient) -> None:
    loop = {"stage": "b", "output": "x"}, {"stage": "a", "output": "x"}
    for graph, says in (
        ({}, "graph.stages"),
        ({"stages": []}, "graph.stages"),
        ({"stages": [{"id": "a"}]}, "graph.stages.0.kind"),
        ({"stages": [{"id": "A", "kind": "k"}]}, "graph.stages.0.id"),
        ({"stages": [{"id": "a", "kind": "k"}] * 2}, "same id"),
        ({"stages": [{"id": "a", "kind": "k", "inputs": {"x": loop[0]}}]}, "unknown stage 'b'"),
        (
            {
                "stages": [
                    {"id": "a", "kind": "k", "inputs": {"x": loop[0]}},
                    {"id": "b", "kind": "k", "inputs": {"x": loop[1]}},
                ]
            },
            "wait for each other",
        ),
    ):
        answer = await api.post("/api/pipelines", json={"name": "x", "graph": graph})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
        assert says in answer.text
    nameless = await api.post("/api/pipelines", json={"name": " ", "graph": as_json()})
    assert nameless.status_code == 422


async def test_a_repeated_request_keeps_one_pipeline(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "pipeline-once"}
    first = await made(api, **key)
    assert await made(api, **key) == first
    body = {"name": "Another", "graph": as_json()}
    other = await api.post("/api/pipelines", json=body, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_a_job_is_made_of_a_pipeline(api: httpx.AsyncClient, log: EventLog) -> None:
    pipeline = (await made(api))["pipelineId"]
    data = {"type": "pipeline", "pipeline": pipeline}
    files = {"image": PHOTO, "voice": RECORDING}
    answer = await api.post("/api/jobs", data=CONSENT_FORM | data, files=files)
    assert answer.status_code == 202, answer.text
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    assert request.graph == GRAPH
    lacking = await api.post("/api/jobs", json=data)
    assert lacking.status_code == 422
    assert "photos" in lacking.json()["detail"]
    unknown = await api.post("/api/jobs", json=data | {"pipeline": "nobody"})
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/no-such-pipeline")
    both = await api.post("/api/jobs", json=data | {"graph": as_json()})
    neither = await api.post("/api/jobs", json={"type": "pipeline", "consent": CONSENT})
    wrong = await api.post("/api/jobs", json=data | {"type": "train"})
    assert {both.status_code, neither.status_code, wrong.status_code} == {422}


async def test_what_is_built_in_stays(api: httpx.AsyncClient, broker: Broker) -> None:
    manifest = PlannerManifest(
        planner="p1", offers=OFFERS, runner_grace_s=1, announced_at=datetime.now(UTC)
    )
    await announce(broker, manifest)
    while (await api.get("/api/pipelines/train")).status_code != 200:
        pass
    listed = (await api.get("/api/pipelines")).json()["pipelines"]
    assert [one["pipelineId"] for one in listed[:3]] == [
        "train",
        "generate",
        "generate-from-profile",
    ]
    refused = await api.delete("/api/pipelines/train")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/built-in-pipeline")
