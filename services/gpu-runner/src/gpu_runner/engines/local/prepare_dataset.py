"""`prepare_dataset`: a user's photos and voice clip, made ready to learn from.

Photos become square crops of one person's face, the best first, with words for their surroundings;
the clip becomes clean mono sound. Whatever cannot be used is refused here, with the number of the
photo and what to do about it, before any training spends time on it; whatever is doubtful is told.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contracts.stagelog import Level
from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.stage import StageContext, StageResult

if TYPE_CHECKING:
    from gpu_runner.faces.photos import PreparedPhoto


class Params(BaseModel):
    """How to look at the photos."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    same_person: bool = Field(
        default=False,
        description="Take the faces of all photos for one person's, however unlike they look.",
    )


def run(context: StageContext) -> StageResult:
    """Inputs `photos` (1..n) and `clip` (0..1); outputs `faces`, `captions`, `clip`, `report`.

    `captions` is one JSON file for all faces, read by `captions_of`.

    Raises:
        StageError: a photo or the clip cannot be used; see `prepare_photos`, `prepare_clip`.

    """
    photos = context.inputs.get("photos", ())
    clips = context.inputs.get("clip", ())
    total = len(photos) + len(clips)
    outputs = {}
    metrics: dict[str, Any] = {}
    told: dict[str, Any] = {}
    if photos:
        from gpu_runner.faces.captions import write_captions
        from gpu_runner.faces.photos import prepare_photos

        prepared = prepare_photos(
            photos,
            context.output,
            lambda done, _: context.report.progress(done, total, "file"),
            same_person=context.params.same_person,
        )
        outputs["faces"] = [photo.path for photo in prepared.photos]
        captions = context.output / "captions.json"
        phrases = [photo.phrases for photo in prepared.photos]
        outputs["captions"] = [write_captions(captions, phrases)]
        metrics["photos"] = {str(photo.number): photo.metrics() for photo in prepared.photos}
        if prepared.findings:
            metrics["findings"] = prepared.counts()
            told["findings"] = [asdict(finding) for finding in prepared.findings]
        for rank, photo in enumerate(prepared.photos, start=1):
            context.report.line(_about_photo(rank, photo))
        for finding in prepared.findings:
            context.report.line(finding.message, Level.WARNING)
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
    report.write_text(json.dumps(metrics | told, indent=2))
    outputs["report"] = [report]
    return StageResult(outputs, metrics)


def _about_photo(rank: int, photo: PreparedPhoto) -> str:
    quality = photo.quality
    return (
        f"photo {photo.number}: face {quality.width:.0f} px wide, turned by "
        f"{abs(quality.yaw):.0f}°, number {rank} in quality"
    )
