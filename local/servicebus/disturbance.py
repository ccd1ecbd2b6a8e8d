"""Disturbances that a queue's promises permit: delivery twice (at least once), and out of order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

SHUFFLE_SPAN = 1000
"""How many places a message can lose to later ones. Bounded, so that none waits for ever."""


@dataclass(slots=True)
class Disturbance:
    """`double`: the probability that a message is delivered twice. Reproducible for a seed."""

    double: float = 0.0
    shuffle: bool = False
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def seed(self, seed: int) -> None:
        """Restart the random numbers."""
        self._random.seed(seed)

    def clear(self) -> None:
        self.double, self.shuffle = 0.0, False

    def doubles(self) -> bool:
        """Whether the next message is delivered twice."""
        return self.double > 0 and self._random.random() < self.double

    def place(self, sequence: int) -> float:
        """Where a message stands among the others."""
        return sequence + self._random.random() * SHUFFLE_SPAN if self.shuffle else sequence
