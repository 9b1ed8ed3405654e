"""What can go wrong with weights."""

from __future__ import annotations

from gpu_runner.faults import Fault, ToldError

__all__ = ["Fault", "ModelError"]


class ModelError(ToldError):
    """Weights cannot be had or used: why, and what to do next."""
