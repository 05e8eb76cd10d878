"""Propagation by optical flow with re-detection: what flow loses or drags along, the target's look corrects."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.propagators.classifier import CellClassifier
from videoinpaint.inpainters.propagators.common import check_target
from videoinpaint.inpainters.propagators.matching import Matcher, Matches, Matching
from videoinpaint.motion.flow import consistency, dis_flow, warp

_EPS = 1e-3


@dataclass(frozen=True)
class FlowSettings:
    """How the carried mask, the matches and the classifier are joined, in logits.

    Attributes:
        carried: weight of the mask that flow carries, where forward and backward flow agree.
        matched: weight of what similar places say.
        classified: weight of the classifier.
        revealed: how much speaks against a pixel that was hidden in the frame before: mostly it is background.
        hidden: units of the classifier's hidden layer; 0: it is linear.
        steps: of fitting the classifier.
        backbone: of the features: "alex", "vgg16", or "colour" to do without pretrained weights.
        matching: see :class:`~videoinpaint.inpainters.propagators.matching.Matching`.
        seed: of the classifier's start.
    """

    carried: float = 0.1
    matched: float = 1.0
    classified: float = 0.5
    revealed: float = 0.0
    hidden: int = 0
    steps: int = 60
    backbone: str = "alex"
    matching: Matching = field(default_factory=Matching)
    seed: int = 0


class FlowPropagator:
    """Flow, matching and a classifier of the target's look, joined frame by frame."""

    name = "flow"

    def __init__(self, device: str | torch.device = "cpu", settings: FlowSettings | None = None) -> None:
        """Args: device to compute on (flow is always estimated on the CPU); settings: see :class:`FlowSettings`."""
        self.device = torch.device(device)
        self.settings = settings or FlowSettings()

    def start(self, frames: Tensor, first: Tensor) -> FlowTracker:
        """Estimate flow, describe the frames, learn the target; see `videoinpaint.protocols.MaskPropagator`."""
        target = check_target(frames, first)
        return FlowTracker(frames.detach().float().to(self.device), target.float().to(self.device), self.settings)


FINE = FlowSettings(classified=0.25, matching=Matching(cells=108, reach=0.1, tile=8))
"""Half the cell of `flow`: its masks have no finer detail than its cells."""


class AppearancePropagator(FlowPropagator):
    """What `flow` does, on a grid twice as fine: slower, and better at what is thin or small."""

    name = "appearance"

    def __init__(self, device: str | torch.device = "cpu", settings: FlowSettings | None = None) -> None:
        """Args: see :class:`FlowPropagator`."""
        super().__init__(device, settings or FINE)


class FlowTracker(nn.Module):
    """The target of one clip; its parameters are the classifier's and the weights of the three opinions."""

    def __init__(self, frames: Tensor, target: Tensor, settings: FlowSettings) -> None:
        super().__init__()
        self._target, self._settings = target, settings
        self._length, self._size = len(frames), (frames.shape[-2], frames.shape[-1])
        opinions = [settings.carried, settings.matched, settings.classified, -settings.revealed]
        weights = torch.tensor(opinions, device=frames.device)
        self.weights = nn.Parameter(weights)
        self.bias = nn.Parameter(weights.new_zeros(()))
        self._matches: list[Matches] = []
        self._matcher = Matcher(frames, settings.matching, settings.backbone)
        label = self._coarse(target[None])
        self.classifier = CellClassifier(self._matcher.features, label, settings.hidden, settings.seed)
        self.classifier.fit(settings.steps)
        self._flow, self._trust = _backward_flow(frames)
        with torch.no_grad():
            self._follow(look=True)

    def masks(self) -> Tensor:
        """``(T, 1, H, W)`` in [0, 1]; see `videoinpaint.protocols.Tracker`."""
        return self._follow(look=False)

    def parameters(self, recurse: bool = True) -> list[nn.Parameter]:  # type: ignore[override]
        """The classifier's, and how much each opinion counts."""
        return list(super().parameters(recurse))

    def _follow(self, look: bool) -> Tensor:
        """Frame by frame; ``look``: find the matches on the way."""
        masks, labels = [self._target], [self._coarse(self._target[None])]
        seen = labels[0]
        opinions = self.classifier.logits() if self._length > 1 else None
        for now in range(1, self._length):
            if look:
                self._matcher.remember(labels[-1] if (labels[-1] > 0.1).any() else seen)
                self._matches.append(self._matcher.match(seen))
            assert opinions is not None
            masks.append(self._joined(now, masks[-1], torch.stack(labels), opinions[now]))
            labels.append(self._coarse(masks[-1][None]))
            if look and (labels[-1] > 0.5).any():
                seen = labels[-1]
        return torch.stack(masks)

    def _joined(self, now: int, before: Tensor, labels: Tensor, opinion: Tensor) -> Tensor:
        """The mask of frame ``now``, ``(1, H, W)``, from that before it and the earlier coarse ``labels``."""
        carried = warp(before[None], self._flow[now - 1 : now], padding="zeros")
        matches, trust = self._matches[now - 1], self._trust[now - 1 : now]
        matched = self._fine(matches.vote(labels))
        near = torch.zeros_like(labels[0])
        near[matches.asking] = 1.0
        joined = (
            self.weights[0] * trust * _logit(carried)
            + self.weights[1] * _logit(matched)
            + self.weights[2] * self._fine(opinion)
            + self.weights[3] * (1 - trust)
            + self.bias
        )
        return (torch.sigmoid(joined) * self._fine(near))[0]

    def _coarse(self, mask: Tensor) -> Tensor:
        """``(1, 1, H, W)`` to the grid's cells, ``(cells,)``."""
        return F.interpolate(mask, self._matcher.grid, mode="area").flatten()

    def _fine(self, cells: Tensor) -> Tensor:
        """``(cells,)`` to ``(1, 1, H, W)``."""
        return F.interpolate(cells.view(1, 1, *self._matcher.grid), self._size, mode="bilinear", align_corners=False)


def _logit(probability: Tensor) -> Tensor:
    return torch.logit(probability.clamp(_EPS, 1 - _EPS))


def _backward_flow(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Flow from each frame but the first to the one before, ``(T-1, 2, H, W)``, and trust in it ``(T-1, 1, H, W)``."""
    back, ahead = dis_flow(frames[1:], frames[:-1]), dis_flow(frames[:-1], frames[1:])
    if not len(back):
        return back, back[:, :1]
    return back, torch.exp(-consistency(back, ahead))
