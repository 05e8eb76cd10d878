"""A small classifier of the target's look, learnt on the first frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CellClassifier(nn.Module):
    """Tells the target's cells from the background's by their features alone, wherever they are.

    Args:
        features: ``(T, C, h, w)``, of all frames.
        label: ``(cells,)`` in [0, 1], the target's share of the first frame's cells.
        hidden: units of a hidden layer; 0: logistic regression.
        seed: of the start.
    """

    @torch.inference_mode(False)  # an agent's program may step its environments in that mode, which forbids to learn
    def __init__(self, features: Tensor, label: Tensor, hidden: int, seed: int = 0) -> None:
        super().__init__()
        features, label = (x.clone() if x.is_inference() else x for x in (features, label))
        self._cells = features.flatten(2).transpose(1, 2)
        self._label = label
        channels = features.shape[1]
        # Not torch's own generator: several threads may begin episodes.
        generator = torch.Generator().manual_seed(seed)
        if hidden:
            layers: list[nn.Module] = [_linear(channels, hidden, generator), nn.GELU(), _linear(hidden, 1, generator)]
        else:
            layers = [_linear(channels, 1, generator)]
        self.layers = nn.Sequential(*layers).to(features.device)

    def logits(self) -> Tensor:
        """How likely each cell shows the target, ``(T, cells)``."""
        return self.layers(self._cells)[..., 0]

    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit(self, steps: int) -> None:
        """Learn the first frame; target and background count alike."""
        share = self._label.mean().clamp(1e-3, 1 - 1e-3)
        importance = self._label / share + (1 - self._label) / (1 - share)
        rate = 0.05 if len(self.layers) > 1 else 0.5
        optimiser = torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=0.02)
        for _ in range(steps):
            loss = F.binary_cross_entropy_with_logits(self.layers(self._cells[0])[:, 0], self._label, importance)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        self.zero_grad(set_to_none=True)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """With the start that `nn.Linear` has by default."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
    nn.init.uniform_(layer.bias, -(inputs**-0.5), inputs**-0.5, generator=generator)
    return layer
