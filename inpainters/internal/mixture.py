"""What a hole starts from with start "compact": carried content, the compact network's repair and the smooth fill,
weighed as suits this clip.

The weights are learnt as the network's are, from known pixels that a translation of the clip's own mask hides, but
there are four of them, and least squares finds them at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from videoinpaint.composition import GREY
from videoinpaint.inpainters.flow_propagation import propagate

WINDOW = 12  # frames the compact network repairs together
RIDGE = 0.1
"""How much :data:`PRIOR` counts beside what a translation of the mask teaches, as a share of it: other places' best
weights are not quite the hole's."""

PRIOR = (0.5, 0.0, 0.0, 0.0)
"""Half of what was carried in, half of the network's repair."""


@dataclass(frozen=True)
class Candidates:
    """Fills of the same holes; each equals the frames where these are known.

    Attributes:
        carried: brought in along the motion, ``(T, 3, H, W)`` in [0, 1].
        repair: by the compact network, likewise.
        smooth: each frame's own surroundings continued, likewise.
        trust: of what was carried in, ``(T, 1, H, W)`` in [0, 1].
    """

    carried: Tensor
    repair: Tensor
    smooth: Tensor
    trust: Tensor

    def steps(self) -> Tensor:
        """Four directions away from ``carried``: to the others, everywhere and as trusted, ``(4, T, 3, H, W)``."""
        away = torch.stack([self.repair - self.carried, self.smooth - self.carried])
        return torch.cat([away, away * self.trust])

    def mixed(self, weights: Tensor) -> Tensor:
        """``carried`` plus the steps times ``weights (4,)``, ``(T, 3, H, W)`` in [0, 1]."""
        return (self.carried + torch.tensordot(weights.to(self.carried), self.steps(), 1)).clamp(0, 1)


@torch.no_grad()
def candidates(frames: Tensor, holes: Tensor) -> Candidates:
    """All fills of ``holes (T, 1, H, W)`` in ``frames (T, 3, H, W)``; what these hold in the holes is not read."""
    carried, trust, smooth = propagate(frames[None], holes[None])
    return Candidates(carried[0], compact_repair(frames, holes), torch.where(holes > 0, smooth[0], frames), trust[0])


class Fit:
    """Weights for :meth:`Candidates.mixed` by least squares, from one translation of the mask after another."""

    def __init__(self) -> None:
        self._products = torch.zeros(4, 4, dtype=torch.float64)
        self._targets = torch.zeros(4, dtype=torch.float64)

    def add(self, found: Candidates, truth: Tensor, hidden: Tensor) -> None:
        """Learn from pixels whose truth ``(T, 3, H, W)`` is known although ``hidden (T, 1, H, W)`` marks them."""
        marked = hidden.expand_as(truth) > 0
        steps = found.steps()[:, marked].double().cpu()
        missed = (truth - found.carried)[marked].double().cpu()
        self._products += steps @ steps.T
        self._targets += steps @ missed

    def weights(self) -> Tensor:
        """The four weights; :data:`PRIOR` where nothing was learnt from."""
        prior = torch.tensor(PRIOR, dtype=torch.float64)
        ridge = torch.diag(RIDGE * self._products.diagonal() + 1e-6)
        return torch.linalg.solve(self._products + ridge, self._targets + ridge @ prior).float()


@torch.no_grad()
def compact_repair(frames: Tensor, holes: Tensor) -> Tensor:
    """The compact network's repair, all heads, neutral controls, a window of frames at a time."""
    from videoinpaint.controls import DEFAULT
    from videoinpaint.inpainters.compact import CompactInpainter

    inpainter = CompactInpainter(frames.device)
    controls = DEFAULT.to_array()[None]
    parts = []
    for cut, hole in zip(frames.split(WINDOW), holes.split(WINDOW)):
        shown = torch.where(hole > 0, torch.full_like(cut, GREY), cut)[None]
        parts.append(inpainter.refine(inpainter.begin(shown, hole[None]), shown, hole[None], controls).frames[0])
    return torch.where(holes > 0, torch.cat(parts), frames)
