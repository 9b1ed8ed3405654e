"""The order in which pictures are learned from, and the randomness of each step.

Both are pure functions of the seed and the step: nothing has to be kept of them in a checkpoint,
and nothing that happens between steps, such as a sample, can change them. Pictures come in
shuffled rounds, in each of which every one comes once: drawn with replacement, of 40 pictures
drawn 400 times some would come five times and others sixteen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch


def generator_for(seed: int, purpose: str, number: int) -> torch.Generator:
    """Random numbers of their own for one purpose and number, on the CPU."""
    return torch.Generator().manual_seed(_mixed(seed, purpose, number))


def seed_step(seed: int, step: int) -> None:
    """Make what draws from torch's own random state, such as dropout, the step's own too."""
    torch.manual_seed(_mixed(seed, "torch", step))


def _mixed(seed: int, purpose: str, number: int) -> int:
    # Torch's generator takes 32 bits, and near seeds shall not make alike numbers.
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return int.from_bytes(digest[:4])


def turn_of_step(seed: int, step: int, counts: Sequence[int]) -> tuple[int, int]:
    """Which of several kinds of pictures is learned in `step` (from 1), and the how manieth time.

    Of each kind there are so many pictures as `counts` says, and so often it comes in a round of
    as many steps as there are pictures. With one kind the turn is the step.
    """
    in_round = sum(counts)
    rounds, place = divmod(step - 1, in_round)
    kinds = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    order = torch.randperm(in_round, generator=generator_for(seed, "shapes", rounds))
    until_now = kinds[order][: place + 1]
    kind = int(until_now[-1])
    return kind, rounds * counts[kind] + int((until_now == kind).sum())


def pictures_of_step(seed: int, step: int, per_step: int, total: int) -> torch.Tensor:
    """Numbers [per_step] of the pictures of `step` (from 1), of `total` in all."""
    first = (step - 1) * per_step
    places = torch.arange(first, first + per_step)
    rounds = places // total
    orders = {
        number: torch.randperm(total, generator=generator_for(seed, "round", number))
        for number in rounds.unique().tolist()
    }
    numbers = [
        orders[number][place]
        for number, place in zip(rounds.tolist(), (places % total).tolist(), strict=True)
    ]
    return torch.stack(numbers)
