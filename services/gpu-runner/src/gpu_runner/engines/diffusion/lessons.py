"""What is learned in each step: a function of the seed and the step's number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from gpu_runner.engines.diffusion.config import TrainConfig
from gpu_runner.engines.diffusion.examples import Examples, Told
from gpu_runner.engines.diffusion.noise import Noising, Questions
from gpu_runner.engines.diffusion.order import generator_for, pictures_of_step, turn_of_step


@dataclass(frozen=True, slots=True)
class Lesson:
    """Pictures of one shape, and what the UNet is told of them."""

    questions: Questions
    told: Told

    def pieces(self, most: int) -> Iterator[Lesson]:
        """The same in pieces of at most so many pictures."""
        for chosen in torch.arange(len(self.told)).split(most):
            yield self.part(chosen)

    def part(self, chosen: torch.Tensor) -> Lesson:
        """Some of the pictures only."""
        return Lesson(self.questions.part(chosen), self.told.part(chosen))

    def share(self, rank: int, processes: int) -> Lesson:
        """What one of several processes, which all have the same lesson, computes of it."""
        return self.part(torch.arange(len(self.told))[rank::processes])


@dataclass(frozen=True, slots=True)
class Lessons:
    """Draws from `examples`, and as many from `prior`, if there is one and it weighs anything."""

    examples: Examples
    prior: Examples | None
    noising: Noising
    config: TrainConfig
    seed: int

    def of_step(self, step: int) -> tuple[Lesson, ...]:
        """All that is learned from in one step, on the device; drawn as a whole.

        So it is the same however many pictures are computed at once. The prior's pictures are a
        lesson of their own, as they may have another shape.
        """
        person = self._drawn(self.examples, "step", step, 1.0)
        if self.prior is None or not self.config.prior_weight:
            return (person,)
        return person, self._drawn(self.prior, "prior", step, self.config.prior_weight)

    def _drawn(self, examples: Examples, purpose: str, step: int, weight: float) -> Lesson:
        words, captions, counts = examples.words, examples.captions, examples.counts
        count = self.config.pictures_per_step
        generator = generator_for(self.seed, purpose, step)
        shape, turn = turn_of_step(self.seed, step, counts)
        chosen = pictures_of_step(self.seed, turn, count, counts[shape])
        pictures = chosen + sum(counts[:shape])
        choice = len(words) if captions is None else captions.shape[1]
        wording = torch.randint(choice, (count,), generator=generator)
        if captions is not None:
            wording = captions[pictures, wording]
        questions = self.noising.ask(examples.latents[shape][chosen], generator)
        return Lesson(questions.weighing(weight), examples.told(pictures, wording))
