"""What can be asked for now: the merge of what live runners announce, and checks against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.base import Contract
from contracts.capabilities import Capabilities, EngineManifest
from contracts.events import Quality
from fastapi import APIRouter

from gateway.context import TheGateway
from gateway.jobs.drafts import JobDraft
from gateway.problems import Problem, ProblemKind
from gateway.settings import Limits

router = APIRouter(tags=["capabilities"])


class LimitsView(Contract):
    """How much one request may bring."""

    photo_bytes: int
    photos: int
    photo_pixels: int
    clip_bytes: int
    music_bytes: int
    script_chars: int
    prompt_chars: int
    name_chars: int

    @staticmethod
    def of(limits: Limits) -> LimitsView:
        """As the settings have them."""
        return LimitsView(**{name: getattr(limits, name) for name in LimitsView.model_fields})


class CapabilitiesView(Capabilities):
    """What runners and planner can do, and what the gateway takes in."""

    qualities: tuple[Quality, ...] = tuple(Quality)
    limits: LimitsView


@router.get("/api/capabilities", summary="What can be done now")
async def get_capabilities(gateway: TheGateway) -> CapabilitiesView:
    """Jobs and their graphs, stage kinds, engines and their parameters, devices, limits."""
    merged = gateway.capabilities()
    return CapabilitiesView(
        runners=merged.runners,
        kinds=merged.kinds,
        jobs=merged.jobs,
        limits=LimitsView.of(gateway.settings.limits),
    )


def check(draft: JobDraft, capabilities: Capabilities) -> None:
    """Problem if the draft asks for what no live runner has.

    While no runner lives at all nothing can be said, and the job may wait for one.
    """
    if not capabilities.runners:
        return
    for kind, engine, params in _wishes(draft):
        engines = capabilities.kinds.get(kind, ())
        if not engines:
            raise Problem(
                ProblemKind.UNKNOWN_ENGINE,
                f"No live runner can do {kind}.",
                f"Choose among {', '.join(sorted(capabilities.kinds))}, or start a runner "
                "that can do it.",
                allowed=sorted(capabilities.kinds),
            )
        _check_params(kind, params, _chosen(kind, engine, engines))


def _wishes(draft: JobDraft) -> Iterator[tuple[str, str | None, Mapping[str, Any]]]:
    """(kind, engine, parameters) of everything that the draft names."""
    for stage in draft.graph.stages if draft.graph else ():
        yield stage.kind, stage.engine, stage.params
    for kind in sorted({*draft.engines, *draft.params}):
        yield kind, draft.engines.get(kind), draft.params.get(kind, {})


def _chosen(
    kind: str, engine: str | None, engines: tuple[EngineManifest, ...]
) -> tuple[EngineManifest, ...]:
    """The engines that may do it: the one that was named, or all that are available."""
    named = tuple(one for one in engines if engine in (None, one.engine))
    if not named:
        raise Problem(
            ProblemKind.UNKNOWN_ENGINE,
            f"No live runner has the engine {engine} for {kind}.",
            f"Choose one of {', '.join(one.engine for one in engines)}, or leave it out.",
            allowed=[one.engine for one in engines],
        )
    available = tuple(one for one in named if one.available)
    if not available:
        lacking = [weights for one in named for weights in one.missing]
        told = "; ".join(
            f"{w.name} ({w.size_bytes / 1e9:.1f} GB, licence {w.licence}): {w.how_to_get}"
            for w in lacking
        )
        others = [one.engine for one in engines if one.available]
        raise Problem(
            ProblemKind.MISSING_WEIGHTS,
            f"The engine {named[0].engine} for {kind} is there, but not its weights.",
            f"Provide {told or 'its weights'}"
            + (f", or choose {' or '.join(others)}." if others else "."),
            missing=[weights.model_dump(by_alias=True) for weights in lacking],
            allowed=others,
        )
    return available


def _check_params(
    kind: str, params: Mapping[str, Any], engines: tuple[EngineManifest, ...]
) -> None:
    """Problem if no engine takes the parameters; told by the engine that the first is."""
    if not params:
        return
    # Imported where it is used: most jobs carry no parameters.
    from jsonschema import Draft202012Validator

    errors = [
        list(Draft202012Validator(engine.params_schema).iter_errors(dict(params)))
        for engine in engines
    ]
    if not all(errors):
        return
    listed = [
        {
            "where": ".".join(("params", kind, *(str(part) for part in error.absolute_path))),
            "message": error.message,
        }
        for error in errors[0]
    ]
    properties = engines[0].params_schema.get("properties", {})
    raise Problem(
        ProblemKind.INVALID_PARAMS,
        f"{listed[0]['where']}: {listed[0]['message']}",
        f"The engine {engines[0].engine} takes: {', '.join(sorted(properties)) or 'nothing'}. "
        "`allowed` has their schema.",
        errors=listed,
        allowed=engines[0].params_schema,
    )
