"""What a LoRA is trained on, once pictures and words are numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Told:
    """What the UNet is told of n pictures: see `Examples`."""

    words: torch.Tensor
    pooled: torch.Tensor | None
    sizes: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.words)

    def followed_by(self, other: Told) -> Told:
        """Of these pictures, then of those, which must be told the same kinds of things."""
        return Told(
            torch.cat([self.words, other.words]),
            _joined(self.pooled, other.pooled),
            _joined(self.sizes, other.sizes),
        )

    def part(self, chosen: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Words, pooled and sizes of some numbers only."""
        return tuple(
            None if each is None else each[chosen] for each in (self.words, self.pooled, self.sizes)
        )


def _joined(first: torch.Tensor | None, then: torch.Tensor | None) -> torch.Tensor | None:
    return None if first is None or then is None else torch.cat([first, then])


@dataclass(frozen=True, slots=True)
class Examples:
    """What is learned: `latents` [n, c, h, w], scaled, and `words` of m wordings.

    Words are embeddings [m, tokens, width], or tokens [m, tokens] where the text encoder is
    trained as well. `captions` [n, k] says which of the wordings belong to each picture; a step
    draws one of them. Without it any picture meets any wording.

    SDXL is told more: `pooled` [m, width] of each wording, unless it is made of tokens while
    training, and `sizes` [n, 6] of each picture (`words.added_conditions`).
    """

    latents: torch.Tensor
    words: torch.Tensor
    captions: torch.Tensor | None = None
    pooled: torch.Tensor | None = None
    sizes: torch.Tensor | None = None

    def told(self, pictures: torch.Tensor, wordings: torch.Tensor) -> Told:
        """What the UNet is told of these pictures under these wordings, both [k]."""
        return Told(
            self.words[wordings],
            None if self.pooled is None else self.pooled[wordings],
            None if self.sizes is None else self.sizes[pictures],
        )
