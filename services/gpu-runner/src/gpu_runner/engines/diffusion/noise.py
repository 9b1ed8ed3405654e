"""What a denoiser is asked, and how much each answer weighs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler


@dataclass(frozen=True, slots=True)
class Questions:
    """Noisy latents [n, c, h, w] at `times` [n], the answers wanted, and their weights [n]."""

    noisy: torch.Tensor
    times: torch.Tensor
    target: torch.Tensor
    weights: torch.Tensor

    def weighing(self, weight: float) -> Questions:
        """The same, which weigh `weight` times what they weighed."""
        return replace(self, weights=weight * self.weights)

    def part(self, chosen: torch.Tensor) -> Questions:
        """Those of some numbers only."""
        return Questions(
            self.noisy[chosen], self.times[chosen], self.target[chosen], self.weights[chosen]
        )


@dataclass(frozen=True, slots=True)
class Noising:
    """How noise is put on: by `schedule`, with an offset, weighed by min-SNR if `gamma` is set."""

    schedule: DDIMScheduler
    gamma: float
    offset: float

    def ask(self, latents: torch.Tensor, generator: torch.Generator) -> Questions:
        """Noise of random strength upon `latents`; drawn on the CPU, so alike on every device."""
        device, count = latents.device, len(latents)
        levels = len(self.schedule.alphas_cumprod)
        times = torch.randint(levels, (count,), generator=generator).to(device)
        noise = torch.randn(latents.shape, generator=generator)
        if self.offset:
            noise += self.offset * torch.randn(*latents.shape[:2], 1, 1, generator=generator)
        noise = noise.to(device)
        # diffusers' annotations ask for a tensor class that torch makes only in its old way.
        noisy = self.schedule.add_noise(latents, noise, times)  # type: ignore[arg-type]
        target = (
            self.schedule.get_velocity(latents, noise, times)  # type: ignore[arg-type]
            if self._is_velocity
            else noise
        )
        return Questions(noisy, times, target, self.weights(times))

    def weights(self, times: torch.Tensor) -> torch.Tensor:
        """Loss weights [n] of noise levels: min-SNR (arXiv:2303.09556), for v or for noise."""
        if not self.gamma:
            return torch.ones(len(times), device=times.device)
        kept = self.schedule.alphas_cumprod.to(times.device)[times]
        snr = kept / (1 - kept).clamp(min=1e-8)
        capped = snr.clamp(max=self.gamma)
        return capped / (snr + 1) if self._is_velocity else capped / snr.clamp(min=1e-8)

    @property
    def _is_velocity(self) -> bool:
        return bool(self.schedule.config["prediction_type"] == "v_prediction")
