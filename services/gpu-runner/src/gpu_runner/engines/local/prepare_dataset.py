"""`prepare_dataset`: a user's photos and voice clip, made ready to learn from.

Photos become square crops of the one face in each, the best first; the clip becomes clean
mono sound. Whatever cannot be used is refused here, with the number of the photo and what
to do about it, before any training spends time on it.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from gpu_runner.stage import StageContext, StageResult


class Params(BaseModel):
    """There is nothing to choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def run(context: StageContext) -> StageResult:
    """Inputs `photos` (1..n) and `clip` (0..1); outputs `faces`, `clip` and `report`.

    Raises:
        StageError: a photo or the clip cannot be used; see `prepare_photos`, `prepare_clip`.

    """
    photos = context.inputs.get("photos", ())
    clips = context.inputs.get("clip", ())
    total = len(photos) + len(clips)
    outputs = {}
    metrics: dict[str, Any] = {}
    if photos:
        from gpu_runner.faces.crops import prepare_photos

        prepared = prepare_photos(
            photos, context.output, lambda done, _: context.report.progress(done, total, "file")
        )
        outputs["faces"] = [photo.path for photo in prepared]
        metrics["photos"] = {str(photo.number): photo.metrics() for photo in prepared}
    if clips:
        from gpu_runner.speech.clip import prepare_clip

        clip = context.output / "clip.wav"
        metrics["clip"] = prepare_clip(clips[0], clip).metrics()
        outputs["clip"] = [clip]
        context.report.progress(total, total, "file")
    report = context.output / "report.json"
    report.write_text(json.dumps(metrics, indent=2))
    outputs["report"] = [report]
    return StageResult(outputs, metrics)
