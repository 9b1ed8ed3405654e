"""What a user may choose about a video. Read without loading what renders it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.media.mark_text import MarkText

Aspect: TypeAlias = Literal["1:1", "9:16", "16:9"]


class VideoParams(BaseModel):
    """What a user may choose about every talking video, whatever makes its pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fps: Literal[25, 30] = Field(default=25, description="Frames per second")
    aspect: Aspect = Field(default="1:1", description="Shape: width to height")
    size: int = Field(
        default=512,
        ge=256,
        le=1080,
        multiple_of=8,
        description="Shorter side in pixels: 720 at 16:9 is 1280 by 720",
    )
    burn_subtitles: bool = Field(
        default=False, description="Whether subtitles are drawn into the picture"
    )
    mark: MarkText = ""
    fade_s: float = Field(
        default=0.0,
        ge=0.0,
        le=3.0,
        description="Seconds of fading in and out; the sound fades only where nobody speaks",
    )
    music_level: float = Field(
        default=-20.0,
        ge=-40.0,
        le=0.0,
        description="Level of the music under the speech, in dB relative to it",
    )
    crf: int = Field(
        default=18, ge=12, le=32, description="Compression: 18 looks lossless, 28 is small"
    )


class Params(VideoParams):
    """What a user may choose about the warped portrait."""

    background_blur: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="How far the background is out of focus; 0 leaves it as it is",
    )
    motion: float = Field(
        default=1.0, ge=0.0, le=1.5, description="Head movement; 0 holds the head still"
    )
    blink: bool = Field(default=True, description="Whether the eyes blink")
