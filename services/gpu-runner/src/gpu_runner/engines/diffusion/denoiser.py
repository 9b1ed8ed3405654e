"""What is trained as one module: a UNet, and the text encoders that are trained with it."""

from __future__ import annotations

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

from gpu_runner.engines.diffusion.words import added_conditions, embed


class Denoiser(torch.nn.Module):
    """A UNet that is told what to draw by embeddings, or by tokens if it has text encoders."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel | None,
        text_encoder_2: CLIPTextModelWithProjection | None,
    ) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder
        self.text_encoder_2 = text_encoder_2

    def forward(
        self,
        noisy: torch.Tensor,
        times: torch.Tensor,
        words: torch.Tensor,
        pooled: torch.Tensor | None = None,
        sizes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if self.text_encoder is not None:
            told = embed(words, self.text_encoder, self.text_encoder_2)
            words, pooled = told.embeddings, told.pooled
        predicted: torch.Tensor = self.unet(
            noisy,
            times,
            words,
            added_cond_kwargs=added_conditions(pooled, sizes),
            return_dict=False,
        )[0]
        return predicted
