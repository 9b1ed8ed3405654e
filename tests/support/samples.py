"""The sample input that the project ships, as a client sends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from contracts.consent import Statement

SAMPLES = Path(__file__).parents[2] / "samples"
SCRIPT = "Hello there. My name is Robin. Peter packed a big blue map."

# Whose face and voice the samples are: nobody's, as they say beside them.
CONSENT = {
    "who": "Robin",
    "basis": "nobody",
    "purpose": "a test",
    "covers": ["face", "voice"],
}
CONSENT_FORM = {"consent": json.dumps(CONSENT)}
"""The same as the field of a form."""
SAID = Statement.model_validate(CONSENT)
SAYING = ("--consent", "nobody", "--purpose", "a test")
"""The same in words of the command."""

# Real work, only less of it: enough to see every stage do its part.
QUICK: dict[str, dict[str, Any]] = {
    "train_lora": {"steps": 24, "checkpoint_every": 8, "sample_every": 12},
    "train_voice": {"effort": "draft"},
}
# The same with as little as there can be, for tests of all that is around the engines.
LITTLE: dict[str, dict[str, Any]] = {
    "train_lora": {"steps": 24, "checkpoint_every": 2, "sample_every": 0, "batch_size": 1},
    "train_voice": {"effort": "draft", "style_tries": 5, "conversion_tries": 3},
    "synthesize_speech": {"check_words": False},
    "generate_portrait": {"steps": 4, "samples": 1},
    "render_video": {"size": 256},
}


def sample_photos() -> list[Path]:
    return sorted((SAMPLES / "photos").glob("*.png"))


def sample_clip() -> Path:
    [clip] = [p for p in SAMPLES.glob("voice.*") if p.suffix in (".ogg", ".flac", ".wav")]
    return clip


def post_generate(
    api: str,
    *,
    script: str = SCRIPT,
    params: dict[str, Any] | None = None,
    photos: int | None = None,
    **fields: str,
) -> httpx.Response:
    """`POST /api/generate` with the sample's clip and its photos, or the first few of them."""
    pictures = sample_photos()[:photos]
    files = [("image", (p.name, p.read_bytes(), "image/png")) for p in pictures]
    clip = sample_clip()
    files.append(("voice", (clip.name, clip.read_bytes(), "application/octet-stream")))
    data = {
        "script": script,
        "params": json.dumps(QUICK if params is None else params),
        **CONSENT_FORM,
        **fields,
    }
    return httpx.post(f"{api}/api/generate", files=files, data=data, timeout=60)
