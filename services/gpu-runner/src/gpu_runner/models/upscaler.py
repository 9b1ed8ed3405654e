"""The model that enlarges pictures: a file of the operator's, named where the runner is."""

from __future__ import annotations

import os
from pathlib import Path

from contracts.capabilities import Weights

from gpu_runner.models.own import fingerprint
from gpu_runner.stage import StageError

SETTING = "MYSPINBOT_UPSCALER"
REMEDY = f"Let {SETTING} name an ONNX model for super-resolution where the runner is"


def require_model() -> Path:
    """The model's file.

    Raises:
        StageError: `upscaler-absent`.

    """
    model = _model()
    if model is None:
        raise StageError("upscaler-absent", "there is no model that enlarges pictures", REMEDY)
    return model


def lacking() -> tuple[Weights, ...]:
    """What the runner announces to be missing: the model, if its file is not there."""
    if _model() is not None:
        return ()
    name = "a super-resolution model (ONNX)"
    return (Weights(name=name, size_bytes=0, licence="of the model", how_to_get=REMEDY),)


def variant() -> str:
    """What tells one model's results from another's; empty without a model."""
    model = _model()
    return "" if model is None else fingerprint(model)


def _model() -> Path | None:
    named = os.environ.get(SETTING, "")
    path = Path(named).expanduser()
    return path if named and path.is_file() else None
