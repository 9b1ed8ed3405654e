"""What a writer is given and what it makes, held within bounds. Pure, and nothing heavy imported.

A topic is a stranger's text and so is an endpoint's answer: of both only plain characters are
kept, and no more of them than a stage can use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.plain_text import decoded, without_controls
from gpu_runner.stage import StageError

Tone: TypeAlias = Literal["friendly", "professional", "playful", "calm"]

LONGEST_TOPIC = 2000
LONGEST_SCENE = 200
"""Characters of a scene; a text encoder hears no more."""
WORDS_PER_SECOND = 2.4
"""Of the packaged voices, pauses included."""
_CHARACTERS_PER_WORD = 12


class WriterParams(BaseModel):
    """What may be chosen for a script that is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tone: Tone = Field(default="friendly", description="How the words sound")
    seconds: int = Field(
        default=20, ge=5, le=120, description="About how long it takes to say them"
    )

    @property
    def words(self) -> int:
        """About how many words fill the time."""
        return round(self.seconds * WORDS_PER_SECOND)

    @property
    def most_characters(self) -> int:
        """More than this cannot be meant to fill the time: it would be spoken for much longer."""
        return 2 * self.words * _CHARACTERS_PER_WORD


@dataclass(frozen=True, slots=True)
class Draft:
    """What is said, and what is seen around who says it: a few words such as a prompt has."""

    narration: str
    scene: str


def read_topic(data: bytes) -> str:
    """A topic as one line of plain text.

    Raises:
        StageError: `topic-not-text`, `topic-empty` or `topic-too-long`.

    """
    text = decoded(data, "topic")
    if len(text) > LONGEST_TOPIC:
        raise StageError(
            "topic-too-long",
            f"the topic has {len(text):,} characters, at most {LONGEST_TOPIC:,} are taken",
            "Say in a sentence what it should be about",
        )
    topic = " ".join(without_controls(text).split())
    if not any(character.isalnum() for character in topic):
        raise StageError(
            "topic-empty", "the topic has no words", "Say what the script should be about"
        )
    return topic
