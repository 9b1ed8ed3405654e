"""Colours a converted voice so that the speaker encoder hears the target: by its gradient.

The encoder is differentiable, and an equaliser only multiplies the power of what it hears. So the
gains need no trying out: they follow the gradient, a step costs about as much as one synthesis,
and a hundred numbers are fitted as easily as sixteen. Pitch and formants are not fitted here,
since the vocoder has no gradient. What is found on one sentence misleads on the next, so several
are coloured at once; strong and ragged gains cost, because they can be heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gpu_runner.speech import conversion as world
from gpu_runner.speech.conversion import BANDS_HZ, LIMIT_DB, SHAPES, Analysis, Conversion
from gpu_runner.speech.speaker import (
    FRAME_SECONDS,
    SPECTRUM_HZ,
    Embedding,
    SpeakerEncoder,
    power_spectrogram,
)

_STEP_DB = 1.0
_WINDOW_STEP_SECONDS = 1.6
_RAGGED_COST = 5e-4
"""Similarity that a square decibel between neighbouring bands must bring."""

_SHADING_COST = 1e-3
"""Similarity that a square decibel of shading, averaged over the bands, must bring."""


def coloured(
    probes: Sequence[Analysis],
    start: Conversion,
    wanted: Embedding,
    encoder: SpeakerEncoder,
    *,
    steps: int,
    stepped: Callable[[float], None],
) -> Conversion:
    """`start` with the equaliser and shading that make the probes sound like `wanted` most.

    `stepped` is told the similarity before each of the `steps` (Adam: Kingma and Ba 2015), less
    what its gains cost.
    """
    import torch

    plain = replace(start, equaliser_db=(0.0,) * len(BANDS_HZ), shading_db=Conversion().shading_db)
    spectra = [torch.from_numpy(power_spectrogram(world.synthesise(p, plain))) for p in probes]
    raw = [
        _at_spectra(world.shapes(probe), len(power))
        for probe, power in zip(probes, spectra, strict=True)
    ]
    # Steps of one size suit coefficients of one size: they are brought to mean 0 and deviation 1.
    every = np.concatenate(raw)
    mean, deviation = every.mean(axis=0), every.std(axis=0)
    shapes = [torch.from_numpy((one - mean) / deviation).float() for one in raw]
    to_hertz = torch.from_numpy(world.between_bands(SPECTRUM_HZ)).float()
    target = torch.from_numpy(wanted)

    equaliser = torch.tensor(start.equaliser_db, dtype=torch.float32, requires_grad=True)
    shading = torch.zeros(SHAPES, len(BANDS_HZ), requires_grad=True)
    best = (float("-inf"), equaliser.detach().clone(), shading.detach().clone())
    adam = torch.optim.Adam([equaliser, shading], lr=_STEP_DB)
    for _ in range(steps):
        heard = []
        for power, shape in zip(spectra, shapes, strict=True):
            gains = (equaliser + shape @ shading).clamp(-LIMIT_DB, LIMIT_DB)
            louder = power * 10.0 ** (gains @ to_hertz / 10.0)
            heard.append(louder * (power.sum() / louder.sum()))
        score = (
            encoder.embed_spectra(heard, _WINDOW_STEP_SECONDS) @ target
            - _RAGGED_COST * equaliser.diff().square().mean()
            - _SHADING_COST * shading.square().mean(dim=1).sum()
        )
        if score.item() > best[0]:
            best = (score.item(), equaliser.detach().clone(), shading.detach().clone())
        adam.zero_grad()
        (-score).backward()
        adam.step()
        stepped(score.item())
    _, even, uneven = best
    scaled = uneven.double().numpy() / deviation[:, None]
    flat = even.double().numpy() - mean @ scaled
    return replace(
        start,
        equaliser_db=tuple(flat.tolist()),
        shading_db=tuple(tuple(row) for row in scaled.tolist()),
    )


def _at_spectra(shapes: np.ndarray, count: int) -> np.ndarray:
    """The shapes of WORLD's frames at the times of `count` spectra."""
    frames = np.arange(count) * FRAME_SECONDS * 1000.0 / world.FRAME_MILLISECONDS
    return shapes[np.minimum(np.round(frames).astype(np.int64), len(shapes) - 1)]
