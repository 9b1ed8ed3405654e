"""Puts the AsyncAPI document together (https://www.asyncapi.com/docs/reference/specification/v3.0.0).

It tells of every subject: what is sent there, who may send it, who hears it, and which
stream keeps it. All of it comes from the models, and from the permissions that the broker
holds the services to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.capabilities import PlannerManifest, RunnerManifest
from contracts.checkpoints import LogCheckpoint
from contracts.commands import StageCommand, StopCommand
from contracts.envelope import TYPE_PREFIX, dataschema
from contracts.events import EVENTS
from contracts.examples import JOB, Examples
from contracts.progress import StageProgress
from contracts.queries import QUERIES, RESULTS, Answer
from contracts.spans import SpanBatch
from contracts.stagelog import StageLine
from eventlog.broker import API
from eventlog.permissions import ROLES
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from contracts import subjects

_REFERENCE = "#/components/schemas/{model}"
_INFO = {
    "title": "MySpinBot over NATS",
    "version": "1",
    "description": "Everything that MySpinBot's services say to each other. Bodies are JSON; what "
    "they mean to a job is in its events, and all else can be derived from those.",
    "license": {"name": "Apache-2.0"},
}
_TAGS = {
    "log": "What happened. Events are CloudEvents in NATS headers, kept for ever, never changed.",
    "checkpoints": "What the log was: its hash at some length, signed. Kept for ever.",
    "work": "What is to be done. Derived from the log, and taken by one runner at a time.",
    "boards": "How it stands. Only the latest message of each subject counts.",
    "lines": "What attempts say while they run. Kept for a while.",
    "spans": "What services did for a job, and how long it took. Kept for a day, in memory.",
    "queries": "Questions to the projector, answered by request and reply.",
}
_WORDS: dict[str, Any] = {
    "at": "2026-11-22T18:56:11Z",
    "attributes": {"myspinbot.stage.id": "train_lora"},
    "attempt": 1,
    "becauseOf": "train_lora",
    "by": "ada",
    "caption": "step 120",
    "cause": "photo 2 shows no face",
    "code": "no-face",
    "device": "cuda:0",
    "done": 120,
    "engine": "diffusers",
    "engineVersion": "3",
    "etaS": 31.5,
    "failedAttempt": 1,
    "fraction": 0.3,
    "graph": {
        "stages": [
            {"id": "prepare_dataset", "kind": "prepare_dataset"},
            {
                "id": "train_lora",
                "kind": "train_lora",
                "inputs": {"faces": {"stage": "prepare_dataset", "output": "faces"}},
            },
        ]
    },
    "high": 0.3,
    "key": f"jobs/{JOB}/train_lora/lora.safetensors",
    "keyId": "UC7OVSBUECQJDQNA4QP54FLJVGKFFWUWYLZCCM7RPSB2GPGATST3UX2B",
    "kind": "train_lora",
    "lastSequence": 1804,
    "mediaType": "application/x-safetensors",
    "message": "loss 0.507",
    "metrics": {"identity_after": 0.31},
    "name": "stage train_lora",
    "owner": "ada",
    "parentId": "b7ad6b7169203331",
    "params": {"steps": 400},
    "rate": 3.8,
    "remedy": "Use a photo that shows one face, from the front.",
    "previous": "01m82rd37235mwm0h5eefks5xc",
    "result": {},
    "runner": "workshop-1",
    "sequence": 1804,
    "service": "gpu-runner",
    "signature": 86 * "A" + "==",
    "size": 1_482_003,
    "spanId": "00f067aa0ba902b7",
    "stage": "train_lora",
    "step": 120,
    "total": 400,
    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    "type": "pipeline",
    "unit": "step",
    "values": {"loss": 0.507, "lr": 0.0001},
    "version": 1,
}
_TOKENS = {"job": JOB, "stage": "train_lora", "kind": "train_lora", "lane": "gpu", "attempt": "1"}
_PARAMETERS = {
    "job": "the id of the job",
    "stage": "the id of the stage in the job's graph",
    "kind": "the kind of the stage",
    "lane": "what it runs on: `gpu` or `cpu`",
    "attempt": "counts the attempts at the stage, from 1",
    "runner": "the id of the runner",
    "planner": "the id of the planner",
}


@dataclass(frozen=True, slots=True)
class _Channel:
    """One subject, with the model of what is sent there."""

    address: str
    model: type[BaseModel]
    tag: str
    stream: str | None = None

    @property
    def name(self) -> str:
        return self.model.__name__

    @property
    def subject(self) -> str:
        """The subject as it might be."""
        return re.sub(r"\{(\w+)\}", lambda match: _TOKENS.get(match[1], match[1]), self.address)

    @property
    def says(self) -> str:
        """The first paragraph of what its model says of itself."""
        return " ".join((self.model.__doc__ or "").split("\n\n")[0].split())


def _channels() -> Iterator[_Channel]:
    for name, event in sorted(EVENTS.items()):
        yield _Channel(subjects.event("{job}", name), event, "log", subjects.JOBS)
    yield _Channel(subjects.LOG_CHECKPOINTS, LogCheckpoint, "checkpoints", subjects.CHECKPOINTS)
    command = "cmd.stage.{kind}.{lane}.{job}.{stage}.{attempt}"
    yield _Channel(command, StageCommand, "work", subjects.COMMANDS)
    stop = "control.stop.{job}.{stage}.{attempt}"
    yield _Channel(stop, StopCommand, "work", subjects.CONTROL)
    progress = subjects.progress("{job}", "{stage}")
    yield _Channel(progress, StageProgress, "boards", subjects.PROGRESS)
    yield _Channel(subjects.runner("{runner}"), RunnerManifest, "boards", subjects.RUNNERS)
    yield _Channel(subjects.planner("{planner}"), PlannerManifest, "boards", subjects.RUNNERS)
    yield _Channel("logs.{job}.{stage}.{attempt}", StageLine, "lines", subjects.STAGE_LOGS)
    yield _Channel(subjects.job_spans("{job}"), SpanBatch, "spans", subjects.SPANS)
    for name, query in sorted(QUERIES.items()):
        yield _Channel(subjects.query(name), query, "queries")


def document() -> dict[str, Any]:
    """The document, with everything that it refers to in it."""
    channels = tuple(_channels())
    models = dict.fromkeys((*(one.model for one in channels), Answer, *RESULTS.values()))
    _, bundle = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template=_REFERENCE
    )
    schemas: dict[str, Any] = dict(sorted(bundle["$defs"].items()))
    examples = Examples(schemas, _WORDS)
    return {
        "asyncapi": "3.0.0",
        "id": "urn:myspinbot",
        "info": {**_INFO, "tags": [{"name": tag, "description": it} for tag, it in _TAGS.items()]},
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "`myspinbot up` prints the address; clients have an NKey each.",
            }
        },
        "channels": {one.name: _channel(one) for one in channels} | {"Answer": _answers()},
        "operations": {f"tell{one.name}": _operation(one) for one in channels},
        "components": {
            "messages": {
                **{one.name: _message(one, examples) for one in channels},
                "Answer": _body(Answer, examples, "The reply to any question."),
            },
            "schemas": schemas,
        },
    }


def _channel(one: _Channel) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", one.address)
    made: dict[str, Any] = {
        "address": one.address,
        "title": one.name,
        "description": one.says,
        "messages": {one.name: {"$ref": f"#/components/messages/{one.name}"}},
        "parameters": {name: {"description": _PARAMETERS[name]} for name in names},
        "tags": [{"name": one.tag}],
        "x-told-by": _tellers(one),
        "x-heard-by": _hearers(one),
    }
    return made | ({"x-stream": one.stream} if one.stream else {})


def _operation(one: _Channel) -> dict[str, Any]:
    made: dict[str, Any] = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{one.name}"},
        "summary": one.says,
    }
    if one.tag == "queries":
        made["reply"] = {
            "address": {"location": "$message.header#/reply"},
            "channel": {"$ref": "#/channels/Answer"},
        }
        result = RESULTS[one.model.subject].__name__  # type: ignore[attr-defined]
        made["x-result"] = {"$ref": _REFERENCE.format(model=result)}
    return made


def _answers() -> dict[str, Any]:
    return {
        "address": None,
        "title": "Answer",
        "description": "Where the one who asked a question listens for the answer.",
        "messages": {"Answer": {"$ref": "#/components/messages/Answer"}},
        "tags": [{"name": "queries"}],
        "x-told-by": ["projector"],
        "x-heard-by": ["gateway"],
    }


def _message(one: _Channel, examples: Examples) -> dict[str, Any]:
    message = _body(one.model, examples, one.says)
    headers: dict[str, Any] = {
        "traceparent": {"type": "string", "description": "the trace it belongs to (W3C)"}
    }
    example = message["examples"][0]
    if one.name in EVENTS:
        event = EVENTS[one.name]
        headers = {
            "ce-specversion": {"const": "1.0"},
            "ce-id": {"type": "string", "description": "unique; told twice, it is kept once"},
            "ce-source": {"type": "string", "description": "the service that told it"},
            "ce-type": {"const": TYPE_PREFIX + event.type_name()},
            "ce-subject": {"type": "string", "description": "the job"},
            "ce-time": {"type": "string", "format": "date-time"},
            "ce-dataschema": {"const": dataschema(event)},
            "ce-chain": {
                "type": "string",
                "description": "SHA-256 that links it to the job's event before it",
            },
            **headers,
        }
        example["headers"] = {
            "ce-specversion": "1.0",
            "ce-id": "01jbz3k9n0000000000000000a",
            "ce-source": f"/myspinbot/{_tellers(one)[0]}",
            "ce-type": TYPE_PREFIX + event.type_name(),
            "ce-subject": JOB,
            "ce-time": "2026-11-22T18:55:04Z",
            "ce-dataschema": dataschema(event),
        }
    return {**message, "headers": {"type": "object", "properties": headers}}


def _body(model: type[BaseModel], examples: Examples, says: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {
        "name": model.__name__,
        "summary": says,
        "contentType": "application/json",
        "payload": schema,
        "examples": [{"payload": examples.of(schema)}],
    }


def _tellers(one: _Channel) -> list[str]:
    """Who may send it: those whom the broker lets."""
    if one.name in EVENTS:
        return sorted(teller.value for teller in EVENTS[one.name].told_by)
    return [role for role, may in _services().items() if any(_takes(it, one) for it in may.publish)]


def _hearers(one: _Channel) -> list[str]:
    """Who takes it in: by reading the stream where that is the way, else by subscription."""
    if one.stream in (subjects.JOBS, subjects.CHECKPOINTS, subjects.SPANS):
        read = f"{API}DIRECT.GET.{one.stream}"
        return [role for role, may in _services().items() if read in may.publish]
    return [
        role for role, may in _services().items() if any(_takes(it, one) for it in may.subscribe)
    ]


def _services() -> Mapping[str, Any]:
    return {role: may for role, may in ROLES.items() if role != "admin"}


def _takes(pattern: str, one: _Channel) -> bool:
    """Whether a pattern of NATS takes the channel's subject."""
    wanted, given = pattern.split("."), one.subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or part not in ("*", given[place]):
            return False
    return len(wanted) == len(given)
