"""Which stages a request needs: the graph that the planner writes into the log."""

from __future__ import annotations

from functools import cache

from contracts.artifacts import Artifact
from contracts.capabilities import JobOffer
from contracts.events import JobRequested, JobType
from contracts.graph import Binding, Graph, Stage

_HOUR = 3600.0


class IncompleteRequestError(Exception):
    """The request lacks something that its type of job cannot do without."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}. {remedy}")
        self.cause = cause
        self.remedy = remedy


def build(request: JobRequested) -> Graph:
    """The graph of a job; IncompleteRequestError if the request has none."""
    if request.graph is not None:
        return request.graph
    match request.type:
        case JobType.TRAIN:
            return Graph(stages=tuple(_training(request)))
        case JobType.GENERATE if "photos" in request.inputs:
            return Graph(stages=(*_training(request), *_generation(request)))
        case JobType.GENERATE:
            return Graph(stages=tuple(_generation(request)))
    raise IncompleteRequestError("a pipeline job has no graph", "Send the graph with the request")


@cache
def offers() -> tuple[JobOffer, ...]:
    """Every way of asking for a job, with the graph that it leads to.

    Made once, as a planner announces itself every few seconds.
    """
    return tuple(
        JobOffer(type=job_type, needs=needs, may_have=may_have, graph=_example(job_type, names))
        for job_type, needs, may_have in _WAYS
        if (names := (*needs, *may_have))
    )


_WAYS: tuple[tuple[JobType, tuple[str, ...], tuple[str, ...]], ...] = (
    (JobType.TRAIN, ("photos",), ("clip", "name")),
    (JobType.GENERATE, ("photos", "script"), ("clip", "prompt", "name", "music")),
    (JobType.GENERATE, ("photos", "topic"), ("clip", "prompt", "name", "music")),
    (JobType.GENERATE, ("lora", "faces", "topic"), ("voice", "prompt", "music")),
    (JobType.GENERATE, ("lora", "faces", "script"), ("voice", "prompt", "music")),
)


def _example(job_type: JobType, inputs: tuple[str, ...]) -> Graph:
    some = Artifact(key="some", size=0, sha256="0" * 64, media_type="application/octet-stream")
    return build(JobRequested(type=job_type, owner="any", inputs=dict.fromkeys(inputs, (some,))))


def _training(request: JobRequested) -> list[Stage]:
    _require(request, "photos", "Send at least one photo of the person")
    has_clip = "clip" in request.inputs
    prepare = {"photos": Binding(output="photos")}
    if has_clip:
        prepare["clip"] = Binding(output="clip")
    stages = [
        _stage(request, "prepare_dataset", prepare, weight=1),
        _stage(request, "train_lora", {"faces": _from("prepare_dataset", "faces")}, weight=8),
    ]
    if has_clip:
        clip = {"clip": _from("prepare_dataset", "clip")}
        stages.append(_stage(request, "train_voice", clip, weight=4))
    return stages


def _generation(request: JobRequested) -> list[Stage]:
    # Somebody's own words are spoken as they are.
    writes = "script" not in request.inputs and "topic" in request.inputs
    if not writes:
        _require(request, "script", "Send the words that the person should say, or a topic")
    trains = "photos" in request.inputs
    if not trains:
        for name in ("lora", "faces"):
            _require(request, name, "Name a profile that was trained, or send photos")
    speech = {"script": _from("write_script", "script") if writes else Binding(output="script")}
    if "clip" in request.inputs:
        speech["voice"] = _from("train_voice", "voice")
    elif "voice" in request.inputs:
        speech["voice"] = Binding(output="voice")
    portrait = {
        "lora": _from("train_lora", "lora") if trains else Binding(output="lora"),
        "faces": _from("prepare_dataset", "faces") if trains else Binding(output="faces"),
    }
    if "prompt" in request.inputs:
        portrait["prompt"] = Binding(output="prompt")
    elif writes:
        portrait["prompt"] = Binding(stage="write_script", output="scene", optional=True)
    upscales = "upscale" in {*request.params, *request.engines}
    drawn = _from("generate_portrait", "portrait")
    video = {
        "portrait": _from("upscale", "picture") if upscales else drawn,
        "speech": _from("synthesize_speech", "speech"),
        "timings": _from("synthesize_speech", "timings"),
    }
    if "music" in request.inputs:
        video["music"] = Binding(output="music")
    if request.params.get("render_video", {}).get("burn_subtitles"):
        # Bound only where they are drawn: no render need be done anew for what it does not use,
        # and every job in the log would be planned as it was.
        video["subtitles"] = Binding(stage="synthesize_speech", output="subtitles", optional=True)
    topic = {"topic": Binding(output="topic")}
    return [
        *([_stage(request, "write_script", topic, weight=0.5)] if writes else []),
        _stage(request, "synthesize_speech", speech, weight=2),
        _stage(request, "generate_portrait", portrait, weight=2),
        *([_stage(request, "upscale", {"picture": drawn}, weight=0.5)] if upscales else []),
        _stage(request, "render_video", video, weight=3),
    ]


def _stage(request: JobRequested, kind: str, inputs: dict[str, Binding], *, weight: float) -> Stage:
    return Stage(
        id=kind,
        kind=kind,
        inputs=inputs,
        params=request.params.get(kind, {}),
        engine=request.engines.get(kind),
        weight=weight,
        deadline_s=12 * _HOUR if kind.startswith("train_") else 3 * _HOUR,
    )


def _from(stage: str, output: str) -> Binding:
    return Binding(stage=stage, output=output)


def _require(request: JobRequested, name: str, remedy: str) -> None:
    if not request.inputs.get(name):
        raise IncompleteRequestError(f"a {request.type} job needs {name}", remedy)
