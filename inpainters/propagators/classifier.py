"""A small classifier of the target's look, learnt on the first frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CellClassifier(nn.Module):
    """Logistic regression on the cells' features.

    Args:
        features: ``(T, C, h, w)``, of all frames.
        label: ``(cells,)`` in [0, 1], the target's share of the first frame's cells.
        seed: of the start.
    """

    def __init__(self, features: Tensor, label: Tensor, seed: int = 0) -> None:
        super().__init__()
        self._cells = features.flatten(2).transpose(1, 2)
        self._label = label
        self.weight = nn.Parameter(features.new_zeros(features.shape[1]))
        self.bias = nn.Parameter(features.new_zeros(()))

    def logits(self) -> Tensor:
        """How likely each cell shows the target, ``(T, cells)``."""
        return self._cells @ self.weight + self.bias

    @torch.enable_grad()
    def fit(self, steps: int) -> None:
        """Learn the first frame: target and background count alike."""
        share = self._label.mean().clamp(1e-3, 1 - 1e-3)
        importance = self._label / share + (1 - self._label) / (1 - share)
        optimiser = torch.optim.Adam(self.parameters(), lr=0.5, weight_decay=1e-4)
        for _ in range(steps):
            made = self._cells[0] @ self.weight + self.bias
            loss = F.binary_cross_entropy_with_logits(made, self._label, importance)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
