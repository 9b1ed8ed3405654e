"""A moving average of the adapter, which is often better than where training happens to end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch


class MovingAverage:
    """Follows `weights`; the first steps count more, so that it does not cling to the start."""

    def __init__(self, weights: Sequence[torch.nn.Parameter], decay: float) -> None:
        self._weights = [weight.detach() for weight in weights]
        self._decay = decay
        self.average = [weight.clone() for weight in self._weights]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the weights after `step` (from 1)."""
        decay = min(self._decay, step / (step + 9))
        torch._foreach_lerp_(self.average, self._weights, 1 - decay)

    @contextlib.contextmanager
    def worn(self) -> Iterator[None]:
        """The average in place of the weights, for as long as this lasts."""
        kept = [weight.clone() for weight in self._weights]
        self.wear()
        try:
            yield
        finally:
            torch._foreach_copy_(self._weights, kept)

    def wear(self) -> None:
        """The average in place of the weights, for good."""
        torch._foreach_copy_(self._weights, self.average)
