"""What is learned in each step: a function of the seed and the step's number."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.examples import Examples, Told
from gpu_runner.engines.diffusion.noise import Noising, Questions
from gpu_runner.engines.diffusion.order import generator_for, pictures_of_step


@dataclass(frozen=True, slots=True)
class Lessons:
    """Draws from `examples`, and as many from `prior`, if there is one and it weighs anything."""

    examples: Examples
    prior: Examples | None
    noising: Noising
    config: TrainConfig
    seed: int

    def of_step(self, step: int) -> tuple[Questions, Told]:
        """All that is learned from in one step, on the device; drawn as a whole.

        So it is the same however many pictures are computed at once.
        """
        questions, told = self._drawn(self.examples, "step", step)
        if self.prior is None or not self.config.prior_weight:
            return questions, told
        others, told_of_others = self._drawn(self.prior, "prior", step)
        return (
            questions.followed_by(others, self.config.prior_weight),
            told.followed_by(told_of_others),
        )

    def _drawn(self, examples: Examples, purpose: str, step: int) -> tuple[Questions, Told]:
        latents, words, captions = examples.latents, examples.words, examples.captions
        count = self.config.pictures_per_step
        generator = generator_for(self.seed, purpose, step)
        chosen = pictures_of_step(self.seed, step, count, len(latents))
        choice = len(words) if captions is None else captions.shape[1]
        wording = torch.randint(choice, (count,), generator=generator)
        if captions is not None:
            wording = captions[chosen, wording]
        return self.noising.ask(latents[chosen], generator), examples.told(chosen, wording)
