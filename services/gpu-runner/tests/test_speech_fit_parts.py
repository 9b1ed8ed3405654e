"""What makes a fit fast changes nothing of what it finds: speech spoken in advance, and halves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gpu_runner.speech.halves import in_halves
from gpu_runner.speech.kokoro import Kokoro, base_voices
from gpu_runner.speech.narrator import trimmed
from gpu_runner.speech.probes import LONG, SHORT
from gpu_runner.speech.sound import RATE


@pytest.fixture(scope="module")
def kokoro() -> Kokoro:
    return Kokoro()


@pytest.mark.parametrize(
    ("voice", "number"), [(voice, index % 6) for index, voice in enumerate(base_voices())]
)
def test_what_was_spoken_in_advance_is_what_the_voice_says(
    kokoro: Kokoro, voice: str, number: int
) -> None:
    probe = (SHORT, *LONG)[number]
    said = trimmed(kokoro.speak(probe.symbols, base_voices()[voice])).samples
    kept = probe.spoken_by(voice)
    assert kept.shape == said.shape
    # Processors differ in the last bits of what they compute.
    assert np.corrcoef(kept, said)[0, 1] > 0.999


def test_every_packaged_voice_says_every_sentence() -> None:
    seconds = {
        (voice, probe.name): probe.spoken_by(voice).size / RATE
        for voice in base_voices()
        for probe in (SHORT, *LONG)
    }
    assert len(seconds) == 30
    assert min(seconds.values()) > 1
    assert max(seconds.values()) < 7


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 4])
def test_halves_have_the_output_and_the_gradient_of_the_whole(rows: int, threads: int) -> None:
    torch.manual_seed(3)
    lstm = torch.nn.LSTM(4, 6, batch_first=True)

    def network(batch: torch.Tensor) -> torch.Tensor:
        return lstm(batch)[1][0][-1]

    batch = torch.rand(rows, 7, 4, requires_grad=True)
    weights = torch.rand(rows, 6)
    made = in_halves(network, batch, threads)
    (made * weights).sum().backward()
    halved, batch.grad = batch.grad, None
    expected = network(batch)
    (expected * weights).sum().backward()
    torch.testing.assert_close(made, expected)
    torch.testing.assert_close(halved, batch.grad)
