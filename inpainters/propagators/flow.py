"""Propagation by optical flow: what flow loses or drags along, the target's look corrects, and finds again."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.propagators.classifier import CellClassifier
from videoinpaint.inpainters.propagators.common import check_target
from videoinpaint.inpainters.propagators.matching import Matcher, Matches, Matching, joined
from videoinpaint.inpainters.propagators.redetection import GONE, LEAST, LOST, RETURNED, area, gaps, pieces
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
        search: look for a target that is lost over the whole frame, and go back from where it was found.
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
    search: bool = False


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


FINE = FlowSettings(classified=0.25, matching=Matching(cells=108, reach=0.1, tile=8, known=0.1), search=True)
"""Half the cell of `flow`, as masks have no finer detail than cells. The environments' `flow` stays as it is."""


@dataclass(frozen=True)
class _Step:
    """How a frame's mask is found.

    Attributes:
        now: the frame.
        before: its neighbour from which flow carries the mask: the earlier one, or in a pass backwards the later one.
        matches: what its cells resemble in frames whose masks are known by then.
    """

    now: int
    before: int
    matches: Matches


@dataclass
class _Course:
    """What is known of a clip so far.

    Attributes:
        masks: of each frame ``(1, H, W)``, zero until they are found.
        labels: the same on the grid, ``(cells,)``.
        opinions: the classifier's, ``(T, cells)`` in logits.
    """

    masks: list[Tensor]
    labels: list[Tensor]
    opinions: Tensor


class AppearancePropagator(FlowPropagator):
    """What `flow` does, on a grid twice as fine, and searching where the target is lost: slower, and better."""

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
        self._matcher = Matcher(frames, settings.matching, settings.backbone)
        label = self._coarse(target[None])
        self.classifier = CellClassifier(self._matcher.features, label, settings.hidden, settings.seed)
        self.classifier.fit(settings.steps)
        back, ahead = dis_flow(frames[1:], frames[:-1]), dis_flow(frames[:-1], frames[1:])
        self._flows = {-1: _with_trust(back, ahead), 1: _with_trust(ahead, back)}
        self._steps: list[_Step] = []
        with torch.no_grad():
            self._look()

    def masks(self) -> Tensor:
        """``(T, 1, H, W)`` in [0, 1]; see `videoinpaint.protocols.Tracker`."""
        course = self._course()
        for step in self._steps:
            self._take(step, course)
        return torch.stack(course.masks)

    def parameters(self, recurse: bool = True) -> list[nn.Parameter]:  # type: ignore[override]  # a list: what `Tracker` says
        """The classifier's, and how much each opinion counts."""
        return list(super().parameters(recurse))

    def _course(self) -> _Course:
        opinions = self.classifier.logits() if self._length > 1 else self.bias.new_zeros(1, 1)
        unknown = [torch.zeros_like(self._target)] * (self._length - 1)
        label = self._coarse(self._target[None])
        return _Course([self._target, *unknown], [label, *[torch.zeros_like(label)] * len(unknown)], opinions)

    def _take(self, step: _Step, course: _Course) -> None:
        """Find the mask of one frame; of two that were found for it, each pixel has what speaks more for the target."""
        mask = self._joined(step, course)
        if step.before > step.now:
            mask = torch.maximum(mask, course.masks[step.now])
        course.masks[step.now], course.labels[step.now] = mask, self._coarse(mask[None])

    def _look(self) -> None:
        """Plan the steps: frame by frame, searching where the target is lost, then back from where it was found."""
        course, context = self._course(), self._settings.matching.context
        seen, largest, lost = course.labels[0], area(course.labels[0]), [False]
        self._matcher.remember(0, seen)
        for now in range(1, self._length):
            step = _Step(now, now - 1, self._matcher.match(now, seen, range(max(0, now - context), now)))
            self._take(step, course)
            if self._settings.search and area(course.labels[now]) < LOST * largest:
                good = [frame for frame in range(now) if not lost[frame]]
                step = self._kept(self._searched(step, course, good, largest), course, largest)
            label = course.labels[now]
            lost.append(area(label) < LOST * largest)
            largest = max(largest, area(label))
            seen = label if (label > 0.5).any() else seen
            self._matcher.remember(now, label if (label > 0.1).any() else seen)
            self._steps.append(step)
        for first, last in gaps(lost) if self._settings.search else []:
            self._look_back(course, first, last, largest)

    def _look_back(self, course: _Course, first: int, last: int, largest: float) -> None:
        """From the frame after a gap, in which the target was found again, back through the gap."""
        for now in range(last, first - 1, -1):
            seen = course.labels[now + 1]
            if not (seen > 0.5).any():
                return
            asked = range(now + 1, min(self._length, now + 1 + self._settings.matching.context))
            step = self._kept(_Step(now, now + 1, self._matcher.match(now, seen, asked)), course, largest)
            self._matcher.remember(now, course.labels[now] if (course.labels[now] > 0.1).any() else seen)
            self._steps.append(step)

    def _kept(self, step: _Step, course: _Course, largest: float) -> _Step:
        """Take a step; where it leaves but a sliver of the ``largest`` mask, take one instead in which nothing asks."""
        self._take(step, course)
        if area(course.labels[step.now]) >= GONE * largest:
            return step
        course.masks[step.now] = torch.zeros_like(self._target)
        nothing = _Step(step.now, step.before, step.matches.without(step.matches.asking))
        self._take(nothing, course)
        return nothing

    def _searched(self, step: _Step, course: _Course, good: list[int], largest: float) -> _Step:
        """The step with a place of the whole frame that shows the target, if there is a better one than was found.

        Args:
            step, course: as far as is known.
            good: frames in which the target was not lost.
            largest: its largest mask in them, in cells.
        """
        opinion = course.opinions[step.now]
        asking = (opinion > 0).nonzero()[:, 0]
        if not len(asking):
            return step
        found = self._matcher.search(step.now, asking, good[-1:])
        said = self.weights[1] * _logit(found.vote(torch.stack(course.labels))) + self.weights[2] * opinion
        likely = torch.sigmoid(said + self.bias)
        likely = torch.zeros_like(likely).index_put((asking,), likely[asking])
        like = self._matcher.returned(step.now, good[-1], course.labels[good[-1]])
        for piece in pieces(likely, self._matcher.grid)[:3]:
            size = float(likely[piece].sum())
            near = self._matcher.around(torch.zeros_like(likely).index_fill(0, piece, 1.0), 0.2)
            if size < max(LEAST * largest, area(course.labels[step.now])):
                return step
            if float(torch.isin(like, near).float().mean()) >= RETURNED:
                there = self._matcher.search(step.now, near, good[-1:])
                return _Step(step.now, step.before, joined([step.matches.without(near), there]))
        return step

    def _joined(self, step: _Step, course: _Course) -> Tensor:
        """The mask of the step's frame, ``(1, H, W)``, from that before it and the coarse labels of others."""
        flows, trusts = self._flows[step.before - step.now]
        at = min(step.now, step.before)
        flow, trust = flows[at : at + 1], trusts[at : at + 1]
        carried = warp(course.masks[step.before][None], flow, padding="zeros")
        matched = self._fine(step.matches.vote(torch.stack(course.labels)))
        near = torch.zeros_like(course.labels[0])
        near[step.matches.asking] = 1.0
        said = (
            self.weights[0] * trust * _logit(carried)
            + self.weights[1] * _logit(matched)
            + self.weights[2] * self._fine(course.opinions[step.now])
            + self.weights[3] * (1 - trust)
            + self.bias
        )
        return (torch.sigmoid(said) * self._fine(near))[0]

    def _coarse(self, mask: Tensor) -> Tensor:
        """``(1, 1, H, W)`` to the grid's cells, ``(cells,)``."""
        return F.interpolate(mask, self._matcher.grid, mode="area").flatten()

    def _fine(self, cells: Tensor) -> Tensor:
        """``(cells,)`` to ``(1, 1, H, W)``."""
        return F.interpolate(cells.view(1, 1, *self._matcher.grid), self._size, mode="bilinear", align_corners=False)


def _logit(probability: Tensor) -> Tensor:
    return torch.logit(probability.clamp(_EPS, 1 - _EPS))


def _with_trust(flow: Tensor, opposite: Tensor) -> tuple[Tensor, Tensor]:
    """Flow ``(T-1, 2, H, W)`` and how far the opposite one agrees, ``(T-1, 1, H, W)`` in [0, 1]."""
    return flow, (torch.exp(-consistency(flow, opposite)) if len(flow) else flow[:, :1])
