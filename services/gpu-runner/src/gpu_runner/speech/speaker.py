"""Whose voice is it? A speaker encoder turns sound into 256 numbers that say so.

The network and its weights are Resemblyzer's (Apache-2.0; generalised end-to-end loss, Wan
et al. 2018, arXiv:1710.10467). Its package also imports librosa and an audio front end that
take seconds to load, so the few lines that are needed stand here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpu_runner.speech.sound import RATE, Samples, amplify, level, resample
from gpu_runner.stage import StageError, processors

if TYPE_CHECKING:
    import torch

Embedding: TypeAlias = NDArray[np.float32]
"""Shape (256,), of length one, no negative entry."""

_RATE = 16_000
_WINDOW, _HOP, _BANDS = 400, 160, 40
SPECTRUM_HZ = np.linspace(0.0, _RATE / 2, _WINDOW // 2 + 1)
"""Frequencies of a power spectrum."""

FRAME_SECONDS = _HOP / _RATE
_PARTIAL = 160
_HIDDEN = 256
_LEVEL_DBFS = -30.0


class SpeakerEncoder:
    """The loaded encoder; about a second, most of it torch."""

    def __init__(self) -> None:
        """Load the weights.

        Raises:
            StageError: `speaker-encoder-absent` if the package is not installed.

        """
        import torch

        # Two threads wait for each other at every one of the 480 small steps: ten times slower.
        # Where it is worth while, each half of the windows has one of its own (`halves`).
        torch.set_num_threads(1)
        self._lstm = torch.nn.LSTM(_BANDS, _HIDDEN, num_layers=3, batch_first=True)
        self._linear = torch.nn.Linear(_HIDDEN, _HIDDEN)
        state = torch.load(_weights(), map_location="cpu", weights_only=True)["model_state"]
        for name, module in (("lstm", self._lstm), ("linear", self._linear)):
            prefix = f"{name}."
            module.load_state_dict(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )
            module.eval()

    def embed(self, samples: Samples, step_seconds: float = 0.4) -> Embedding:
        """The speaker of mono sound at 24 kHz: mean over windows of 1.6 s, every `step_seconds`.

        Raises:
            ValueError: the sound is silent.

        """
        return normalised(self.embed_windows(samples, step_seconds).mean(axis=0))

    def embed_spectra(self, spectra: Sequence[torch.Tensor], step_seconds: float) -> torch.Tensor:
        """The speaker of several sounds, as a tensor of shape (256,) that has a gradient.

        Each of `spectra` has shape (frames, 201), as `power_spectrogram` gives it.
        """
        from gpu_runner.speech.halves import in_halves

        windows = self._windows(spectra, step_seconds)
        mean = in_halves(self._forward, windows, processors()).mean(dim=0)
        return mean / mean.norm()

    def embed_windows(self, samples: Samples, step_seconds: float) -> NDArray[np.float32]:
        """The speaker of every window by itself, shape (windows, 256), each of length one."""
        import torch

        with torch.inference_mode():
            spectra = torch.from_numpy(power_spectrogram(samples))
            return np.asarray(self._forward(self._windows([spectra], step_seconds)).numpy())

    def _windows(self, spectra: Sequence[torch.Tensor], step_seconds: float) -> torch.Tensor:
        import torch

        filters = torch.from_numpy(_mel_filters().T).float()
        step = round(step_seconds * _RATE / _HOP)
        windows = []
        for power in spectra:
            mel = power @ filters
            if len(mel) < _PARTIAL:
                mel = torch.nn.functional.pad(mel, (0, 0, 0, _PARTIAL - len(mel)))
            starts = [*range(0, len(mel) - _PARTIAL, step), len(mel) - _PARTIAL]
            windows += [mel[start : start + _PARTIAL] for start in starts]
        return torch.stack(windows)

    def _forward(self, windows: torch.Tensor) -> torch.Tensor:
        import torch

        _, (hidden, _) = self._lstm(windows)
        raw = torch.relu(self._linear(hidden[-1]))
        return torch.nn.functional.normalize(raw, dim=1)


@cache
def encoder() -> SpeakerEncoder:
    """The encoder, loaded when first asked for."""
    return SpeakerEncoder()


def similarity(one: Embedding, other: Embedding) -> float:
    """Cosine of two embeddings: about 0.9 for one speaker, 0.5 to 0.7 for two."""
    return float(np.dot(one, other))


def normalised(vector: NDArray[np.float32]) -> Embedding:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def power_spectrogram(samples: Samples) -> NDArray[np.float32]:
    """Power every 10 ms of sound brought to the encoder's level, shape (frames, 201): 0 to 8 kHz.

    Raises:
        ValueError: the sound is silent.

    """
    loudness = level(samples)
    if loudness < -100:
        raise ValueError("silence has no speaker")
    heard = resample(amplify(samples, _LEVEL_DBFS - loudness), RATE, _RATE)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(heard, _WINDOW // 2), _WINDOW)[::_HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    return np.asarray(np.abs(np.fft.rfft(frames * window, axis=1)) ** 2, dtype=np.float32)


@cache
def _mel_filters() -> NDArray[np.float64]:
    """Triangles of equal area on Slaney's mel scale, shape (40, 201)."""
    edges = _mel_to_hertz(np.linspace(0.0, _hertz_to_mel(_RATE / 2), _BANDS + 2))
    rising = (SPECTRUM_HZ - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - SPECTRUM_HZ) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None])


# Slaney's scale is linear below 1 kHz and logarithmic above (Auditory Toolbox, 1998).
_LINEAR_STEP = 200.0 / 3
_LOG_STEP = np.log(6.4) / 27.0


def _hertz_to_mel(hertz: float) -> float:
    if hertz < 1000:
        return hertz / _LINEAR_STEP
    return 15.0 + float(np.log(hertz / 1000.0) / _LOG_STEP)


def _mel_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * _LINEAR_STEP, 1000.0 * np.exp((mel - 15.0) * _LOG_STEP))


def _weights() -> Path:
    found = importlib.util.find_spec("resemblyzer")
    if found is None or found.origin is None:
        raise StageError(
            "speaker-encoder-absent",
            "the speaker encoder is not installed",
            "Run `pip install Resemblyzer==0.1.4` (17 MB, Apache-2.0)",
        )
    return Path(found.origin).parent / "pretrained.pt"
