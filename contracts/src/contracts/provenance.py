"""What Content Credentials say of a picture, a sound or a video that a stage made.

They lie in the file itself, signed (C2PA 2.2, Coalition for Content Provenance and Authenticity),
so they go with it wherever it is copied.
"""

from __future__ import annotations

from typing import Final

from contracts.base import Contract, Name, Timestamp

GENERATION: Final = "local.myspinbot.generation"
"""The label of the assertion that holds a `Generation`."""

GENERATOR: Final = "MySpinBot"
"""Who made the claim."""

MEDIA_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".mp4": "video/mp4",
}
"""The files that carry credentials, by the end of their names."""


class Generation(Contract):
    """Which stage of which job made a file, and by what engine."""

    job: str
    stage: Name
    attempt: int
    kind: Name
    engine: Name
    engine_version: str
    created_at: Timestamp
