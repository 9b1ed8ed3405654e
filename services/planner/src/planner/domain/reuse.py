"""When an earlier stage's outputs serve for a new one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.artifacts import Artifacts
from contracts.capabilities import EngineManifest


@dataclass(frozen=True, slots=True)
class Reusable:
    """A completed stage whose outputs may be used again."""

    job: str
    stage: str
    outputs: Artifacts
    metrics: Mapping[str, Any]


Lookup = Callable[[str], Reusable | None]
"""Finds a completed stage by its input hash."""


class ReusableStages:
    """The completed stages of all jobs that are not deleted, by input hash."""

    def __init__(self) -> None:
        self._by_hash: dict[str, dict[str, Reusable]] = {}
        self._hashes: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def add(self, digest: str, reusable: Reusable) -> None:
        """A stage has completed. One that took its outputs over holds them too."""
        self._by_hash.setdefault(digest, {})[reusable.job] = reusable
        self._hashes.setdefault(reusable.job, set()).add(digest)

    def drop(self, job: str) -> None:
        """The job was deleted: its outputs may be gone at any moment."""
        for digest in self._hashes.pop(job, ()):
            holders = self._by_hash[digest]
            del holders[job]
            if not holders:
                del self._by_hash[digest]

    def holders(self) -> dict[str, list[Reusable]]:
        """All that is known, by input hash; of each, the job that has had it longest first."""
        return {digest: list(jobs.values()) for digest, jobs in self._by_hash.items()}

    def find(self, digest: str) -> Reusable | None:
        """The stage with these outputs, of the job that has had them longest."""
        return next(iter(self._by_hash.get(digest, {}).values()), None)


def input_hash(
    owner: str, engine: EngineManifest, params: Mapping[str, Any], inputs: Artifacts, seed: int
) -> str:
    """SHA-256 over everything that a stage's outputs depend on, and whose they are.

    The owner is part of it, so that nobody learns what others have made by its speed.
    """
    identity = {
        "owner": owner,
        "kind": engine.kind,
        "engine": engine.engine,
        "version": engine.version,
        "params": params,
        "inputs": {name: [a.sha256 for a in artifacts] for name, artifacts in inputs.items()},
        "seed": seed,
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def stage_seed(job_seed: int, stage: str) -> int:
    """A stage's own seed: the same for the same job seed, different between stages."""
    digest = hashlib.sha256(f"{job_seed}/{stage}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
