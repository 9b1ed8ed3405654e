"""`prepare_dataset`: a user's photos and voice clip, made ready to learn from.

Photos become square crops of the one face in each, the best first; the clip becomes clean
mono sound. Whatever cannot be used is refused here, with the number of the photo and what
to do about it, before any training spends time on it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from contracts.stagelog import Level
from pydantic import BaseModel, ConfigDict

from gpu_runner.stage import StageContext, StageResult

if TYPE_CHECKING:
    from gpu_runner.faces.crops import PreparedPhoto


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
        for rank, photo in enumerate(prepared, start=1):
            context.report.line(_about_photo(rank, photo))
    if clips:
        from gpu_runner.speech.clip import prepare_clip

        clip = context.output / "clip.wav"
        recording = prepare_clip(clips[0], clip)
        metrics["clip"] = recording.metrics()
        context.report.line(
            f"clip: {recording.speech_seconds:.1f} s of speech in {recording.source_seconds:.1f} s,"
            f" {recording.signal_to_noise_db:.0f} dB above the noise"
        )
        for warning in recording.warnings:
            context.report.line(f"clip: {warning.replace('-', ' ')}", Level.WARNING)
        outputs["clip"] = [clip]
        context.report.progress(total, total, "file")
    report = context.output / "report.json"
    report.write_text(json.dumps(metrics, indent=2))
    outputs["report"] = [report]
    return StageResult(outputs, metrics)


def _about_photo(rank: int, photo: PreparedPhoto) -> str:
    quality = photo.quality
    return (
        f"photo {photo.number}: face {quality.width:.0f} px wide, turned by "
        f"{abs(quality.yaw):.0f}°, number {rank} in quality"
    )
