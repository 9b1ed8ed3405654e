"""What a LoRA is trained on, once pictures and words are numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Examples:
    """What is learned: `latents` [n, c, h, w], scaled, and `words` of m wordings.

    Words are embeddings [m, tokens, width], or tokens [m, tokens] where the text encoder is
    trained as well. `captions` [n, k] says which of the wordings belong to each picture; a step
    draws one of them. Without it any picture meets any wording.
    """

    latents: torch.Tensor
    words: torch.Tensor
    captions: torch.Tensor | None = None
