"""The live runners as the planner sees them, and the choice of an engine among theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from contracts.capabilities import EngineManifest, RunnerManifest
from contracts.events import Quality

NO_RUNNER = "no-runner"
WEIGHTS_ABSENT = "weights-absent"
"""Codes of the failure of a job whose stage no live runner can do."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The live runners' manifests. `known_since` is when the planner began to watch them."""

    manifests: tuple[RunnerManifest, ...]
    known_since: datetime

    def engines(self, kind: str) -> Iterable[EngineManifest]:
        """Every live engine for a kind of stage."""
        for manifest in self.manifests:
            yield from (engine for engine in manifest.engines if engine.kind == kind)

    def choose(
        self,
        kind: str,
        engine: str | None,
        quality: Quality,
        makers: frozenset[str] = frozenset(),
    ) -> EngineManifest | None:
        """The engine to use: the one asked for, or the best fit for the quality.

        One named as the `makers` of its inputs comes first: what one engine trains, another of its
        kind may not be able to use.
        """
        usable = [
            candidate
            for candidate in self.engines(kind)
            if candidate.available and engine in (None, candidate.engine)
        ]
        return min(usable, key=lambda candidate: _misfit(candidate, quality, makers), default=None)

    def why_none(self, kind: str, engine: str | None) -> tuple[str, str, str]:
        """(code, cause, remedy) for a stage that `choose` finds no engine for."""
        for candidate in self.engines(kind):
            if engine in (None, candidate.engine) and candidate.missing:
                lacking = "; ".join(
                    f"{w.name}, {w.size_bytes / 1e9:.1f} GB, licence {w.licence}: {w.how_to_get}"
                    for w in candidate.missing
                )
                cause = f"the engine {candidate.engine} for {kind} has no weights"
                return WEIGHTS_ABSENT, cause, f"Provide {lacking}, or choose another engine"
        offered = sorted({candidate.engine for candidate in self.engines(kind)})
        if engine is not None and offered:
            cause = f"no live runner has the engine {engine} for {kind}"
            return NO_RUNNER, cause, f"Choose one of {', '.join(offered)}, or start such a runner"
        cause = f"no live runner can do {kind}"
        return NO_RUNNER, cause, "Start a gpu-runner that can, then retry the job"


def _misfit(
    candidate: EngineManifest, quality: Quality, makers: frozenset[str]
) -> tuple[bool, int, str]:
    """A stranger is farther than any namesake; then how far from the quality; then by name."""
    order = list(Quality)
    distances = [abs(order.index(quality) - order.index(own)) for own in candidate.qualities]
    distance = min(distances, default=len(order))
    return candidate.engine not in makers, distance, candidate.engine
