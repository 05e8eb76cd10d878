"""Random numbers that stay the same: NumPy promises that of bit generators, not of `Generator`'s methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Floats = NDArray[np.float64]


class Draws:
    """Draws from the raw 64-bit words of a generator, which it moves on.

    Args:
        generator: where the words come from. Its own methods are never called.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    @staticmethod
    def seeded(*words: int) -> Draws:
        """Draws that are a function of these numbers, 0 or more each."""
        return Draws(np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(words)))))

    def spawn(self, count: int) -> list[Draws]:
        """Streams that do not depend on how much is drawn from one another."""
        seed = [int(word) for word in self._words(2)]
        return [Draws.seeded(*seed, index) for index in range(count)]

    def random(self) -> float:
        """A number in [0, 1)."""
        return float(self.randoms(1)[0])

    def randoms(self, count: int) -> Floats:
        """Numbers in [0, 1), ``(count,)``."""
        return (self._words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def uniform(self, low: float, high: float) -> float:
        """A number between two numbers."""
        return low + self.random() * (high - low)

    def uniforms(self, low: float, high: float, count: int) -> Floats:
        """Numbers between two numbers, ``(count,)``."""
        return low + self.randoms(count) * (high - low)

    def below(self, count: int) -> int:
        """A whole number in ``0 .. count - 1``."""
        return (int(self._words(1)[0]) * count) >> 64

    def whole(self, low: int, high: int) -> int:
        """A whole number in ``low .. high - 1``."""
        return low + self.below(high - low)

    def pick(self, choices: Sequence[T]) -> T:
        """One of several, all with equal chance."""
        return choices[self.below(len(choices))]

    def normals(self, count: int) -> Floats:
        """Nearly normal numbers ``(count,)`` of mean 0 and deviation 1: sums of twelve even ones, never beyond 6."""
        words = (self._words(12 * count) >> np.uint64(16)).astype(np.int64)
        return words.reshape(count, 12).sum(axis=1).astype(np.float64) * 2.0**-48 - 6.0

    def _words(self, count: int) -> NDArray[np.uint64]:
        bits = self.generator.bit_generator
        words = np.asarray(bits.random_raw(count), np.uint64)
        if isinstance(bits, np.random.MT19937):  # its words have 32 bits
            words = words << np.uint64(32) | np.asarray(bits.random_raw(count), np.uint64)
        return words
