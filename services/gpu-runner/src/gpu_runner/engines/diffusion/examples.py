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

    def part(self, chosen: torch.Tensor) -> Told:
        """Of some of the pictures only."""
        return Told(
            self.words[chosen],
            None if self.pooled is None else self.pooled[chosen],
            None if self.sizes is None else self.sizes[chosen],
        )


@dataclass(frozen=True, slots=True)
class Examples:
    """What is learned: `latents`, scaled, and `words` of m wordings.

    Latents are one tensor [k, c, h, w] for each shape of pictures (see `buckets`); the n pictures
    of all are counted through, shape after shape.

    Words are embeddings [m, tokens, width], or tokens [m, tokens] where the text encoder is
    trained as well. `captions` [n, k] says which of the wordings belong to each picture; a step
    draws one of them. Without it any picture meets any wording.

    SDXL is told more: `pooled` [m, width] of each wording, unless it is made of tokens while
    training, and `sizes` [n, 6] of each picture (`words.added_conditions`).
    """

    latents: tuple[torch.Tensor, ...]
    words: torch.Tensor
    captions: torch.Tensor | None = None
    pooled: torch.Tensor | None = None
    sizes: torch.Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where all of them are."""
        return self.latents[0].device

    @property
    def counts(self) -> tuple[int, ...]:
        """Pictures of each shape."""
        return tuple(len(latents) for latents in self.latents)

    def told(self, pictures: torch.Tensor, wordings: torch.Tensor) -> Told:
        """What the UNet is told of these pictures under these wordings, both [k]."""
        return Told(
            self.words[wordings],
            None if self.pooled is None else self.pooled[wordings],
            None if self.sizes is None else self.sizes[pictures],
        )
