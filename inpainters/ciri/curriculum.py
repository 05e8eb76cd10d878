"""The dual curriculum: from true masks to inaccurate ones, one branch after the other (CIRI, Eq. 2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri.inactivation import Blend


@dataclass(frozen=True)
class Curriculum:
    """Epochs at which a branch begins to mix in inaccurate masks (n1), and relies on them alone (n2).

    Attributes:
        epochs: of the whole training (Section 4.1: 30).
        start: n1 of both branches (5).
        predicted: n2 of the predicted masks (15).
        attention: n2 of the complementary attention (20).

    Raises:
        InputError: they are not in order.
    """

    epochs: float = 30
    start: float = 5
    predicted: float = 15
    attention: float = 20

    def __post_init__(self) -> None:
        if not all(0 <= self.start < end <= self.epochs for end in (self.predicted, self.attention)):
            raise InputError(f"a curriculum needs 0 <= start < predicted, attention <= epochs, got {self}")

    def blend(self, share: float, truth: Tensor) -> Blend:
        """The state after ``share`` in [0, 1] of the training, with the true masks ``(B, T, 1, H, W)``."""
        epoch = share * self.epochs
        return Blend(self._alpha(epoch, self.predicted), self._alpha(epoch, self.attention), truth)

    def _alpha(self, epoch: float, end: float) -> float:
        """1 up to n1, 0 from n2, a straight line between."""
        return min(1.0, max(0.0, (end - epoch) / (end - self.start)))
