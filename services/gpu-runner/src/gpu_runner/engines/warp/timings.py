"""When each phoneme of the speech sounds, as the synthesiser reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from pathlib import Path


class Phoneme(BaseModel):
    """One sounding segment; `symbol` is IPA as Kokoro writes it, "" is silence. Seconds."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    start: float = Field(ge=0)
    end: float


class Word(BaseModel):
    """One spoken word. Seconds."""

    model_config = ConfigDict(frozen=True)

    text: str
    start: float = Field(ge=0)
    end: float


class Timings(BaseModel):
    """The timing file that comes with synthesised speech."""

    model_config = ConfigDict(frozen=True)

    sample_rate: int
    duration: float = Field(gt=0)
    phonemes: tuple[Phoneme, ...] = Field(min_length=1)
    words: tuple[Word, ...] = ()

    def pauses(self, longer_than: float) -> list[tuple[float, float]]:
        """Spans without a phoneme that last longer than `longer_than` seconds, in order."""
        spans = []
        silent_since = 0.0
        for phoneme in sorted(self.phonemes, key=lambda each: each.start):
            if not phoneme.symbol:
                continue
            if phoneme.start - silent_since > longer_than:
                spans.append((silent_since, phoneme.start))
            silent_since = max(silent_since, phoneme.end)
        if self.duration - silent_since > longer_than:
            spans.append((silent_since, self.duration))
        return spans


def read_timings(path: Path) -> Timings:
    """Read a timing file.

    Raises:
        StageError: `timings-unreadable` when it does not have the agreed form.

    """
    try:
        return Timings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fields = sorted({".".join(map(str, each["loc"])) or "file" for each in error.errors()})
        raise StageError(
            "timings-unreadable",
            f"the speech timings have {error.error_count()} errors ({', '.join(fields[:4])})",
            "Make the speech again; its timings are written beside it.",
        ) from error
