"""Prompts as a UNet is told them, by one text encoder or by SDXL's two.

SDXL (arXiv:2307.01952) joins the last hidden states but one of both encoders, and is told the
second one's projection of the whole prompt besides, with the sizes that a picture had.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

TextEncoder = CLIPTextModel | CLIPTextModelWithProjection


@dataclass(frozen=True, slots=True)
class Wordings:
    """What a UNet is told of prompts: embeddings [n, tokens, width], and SDXL's pooled [n, w]."""

    embeddings: torch.Tensor
    pooled: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, chosen: torch.Tensor) -> Wordings:
        """Those of some numbers only."""
        pooled = None if self.pooled is None else self.pooled[chosen]
        return Wordings(self.embeddings[chosen], pooled)

    def without(self, number: int) -> Wordings:
        """The same with nothing but zeros in one place."""
        kept = torch.ones(len(self), 1, device=self.embeddings.device, dtype=self.embeddings.dtype)
        kept[number] = 0
        pooled = None if self.pooled is None else self.pooled * kept
        return Wordings(self.embeddings * kept[..., None], pooled)

    def repeat_each(self, times: int) -> Wordings:
        """Each one so many times, one behind the other."""
        return self[torch.arange(len(self)).repeat_interleave(times)]


def embed(tokens: torch.Tensor, first: TextEncoder, second: TextEncoder | None = None) -> Wordings:
    """Wordings of tokens [n, tokens], or [n, 2, tokens] where there is a second text encoder."""
    if second is None:
        return Wordings(first(tokens)[0])
    one = first(tokens[:, 0], output_hidden_states=True)
    other = second(tokens[:, 1], output_hidden_states=True)
    joined = torch.cat([one.hidden_states[-2], other.hidden_states[-2]], dim=-1)
    return Wordings(joined, other[0])


def added_conditions(
    pooled: torch.Tensor | None, sizes: torch.Tensor | None
) -> dict[str, torch.Tensor] | None:
    """What SDXL's UNet is told besides; others are told nothing.

    `sizes` [n, 6] are height and width of the original picture, top and left of the part that was
    cut out, and height and width of what is wanted, in pixels.
    """
    if pooled is None or sizes is None:
        return None
    return {"text_embeds": pooled, "time_ids": sizes}
