"""What befalls a simulated world: how often what goes wrong, as its seed says.

Each world has a few kinds of trouble and not all of them, so that some have many of one kind.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

TROUBLES = (
    "crash",
    "fuse",
    "freeze",
    "cut",
    "broker",
    "clock",
    "store",
    "drain",
    "stop",
)


@dataclass
class Weather:
    """The troubles of one world, and the network between its processes."""

    chance: random.Random
    troubles: tuple[str, ...] = field(init=False)
    every_s: float = field(init=False)
    storm_s: float = field(init=False)
    room: int = field(init=False)
    calm: bool = False
    _usual_s: float = field(init=False)
    _slow: float = field(init=False)
    _lost: float = field(init=False)
    _twice: float = field(init=False)

    def __post_init__(self) -> None:
        chance = self.chance
        number = chance.choice((0, 1, 2, 2, 3, 4))
        self.troubles = tuple(chance.sample(TROUBLES, number))
        self.every_s = chance.choice((2.0, 6.0, 15.0))
        self.storm_s = chance.uniform(8.0, 35.0) if number else 1.0
        self._usual_s = chance.choice((0.0005, 0.005, 0.05))
        self._slow = chance.choice((0.0, 0.0, 0.02))
        self._lost = chance.choice((0.0, 0.0, 0.0, 0.01))
        self.room = chance.choice((10, 1000))
        self._twice = chance.choice((0.0, 0.1))

    def delay_s(self) -> float:
        """How long the next message takes on its way."""
        if self._slow and not self.calm and self.chance.random() < self._slow:
            return self.chance.uniform(0.1, 7.0)
        return self._usual_s * (0.5 + self.chance.random())

    def loses(self, _subject: str) -> bool:
        """Whether a message is lost, as with a server of a cluster that dies."""
        return bool(self._lost) and not self.calm and self.chance.random() < self._lost

    def repeats(self, _subject: str) -> bool:
        """Whether a message without a place in a stream comes twice."""
        return bool(self._twice) and self.chance.random() < self._twice
