"""Finding the target again by its look: each place of a frame asks the first frame and the last few what it resembles.

Label propagation over frozen features, as it is used to judge video representations (Jabri et al., NeurIPS 2020,
Section 4.1): local attention over a context of frames, the few most similar places vote.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.metrics.backbone import get_backbone, unit_length
from videoinpaint.motion.neighbourhoods import window_max, window_mean


@dataclass(frozen=True)
class Matching:
    """How places are described and compared.

    Attributes:
        cells: of the grid along the frame's longer side, about.
        enlarge: the longer side, in pixels, at which the backbone sees the frames.
        layers: of the backbone's five, from the first.
        colour: weight of a cell's mean colour beside a layer's (1).
        channels: kept of the description, those along which the clip varies most.
        voters: how many of the most similar places vote.
        temperature: of their softmax.
        reach: how far a place may have moved, as a share of the frame's diagonal.
        context: how many earlier frames are asked, beside the first.
        known: added to the similarity of the first frame's places, whose labels are given and not predicted.
        tile: side of the squares of cells that are compared together, which is faster on a fine grid; 0: all at once.
    """

    cells: int = 54
    enlarge: int = 432
    layers: int = 2
    colour: float = 1.0
    channels: int = 96
    voters: int = 10
    temperature: float = 0.1
    reach: float = 0.15
    context: int = 4
    known: float = 0.0
    tile: int = 0


@dataclass(frozen=True)
class Matches:
    """For one frame: which cells ask, whom, and how much each answer counts.

    Attributes:
        asking: ``(Q,)`` cells, int64.
        answering: ``(Q, K)``: frame times cells plus cell.
        weights: ``(Q, K)``, >= 0, sums of one.
    """

    asking: Tensor
    answering: Tensor
    weights: Tensor

    def vote(self, labels: Tensor) -> Tensor:
        """What the earlier frames' ``labels (t, cells)`` say of this one, ``(cells,)``; cells that do not ask get 0."""
        said = (labels.flatten()[self.answering] * self.weights).sum(1)
        return labels.new_zeros(labels.shape[1]).index_put((self.asking,), said)

    def without(self, cells: Tensor) -> Matches:
        """Those of all other cells."""
        kept = ~torch.isin(self.asking, cells)
        return Matches(self.asking[kept], self.answering[kept], self.weights[kept])


class Matcher:
    """Describes a clip's frames once, then finds matches frame by frame, as the masks before them are known.

    Args:
        frames: ``(T, 3, H, W)`` in [0, 1].
        config: see :class:`Matching`.
        backbone: "alex", "vgg16", or "colour" to do without a pretrained network.

    Attributes:
        features: ``(T, C, h, w)`` of unit length.
        grid: ``(h, w)``.

    Raises:
        MissingWeightsError: the backbone's weights are absent.
    """

    def __init__(self, frames: Tensor, config: Matching, backbone: str = "alex") -> None:
        height, width = frames.shape[-2:]
        scale = min(1.0, config.cells / max(height, width))
        self.grid = (max(2, round(height * scale)), max(2, round(width * scale)))
        self.config = config
        self.features = reduced(describe(frames, self.grid, config, backbone), config.channels)
        self._vectors = self.features.flatten(2).transpose(1, 2).contiguous()
        rows, columns = torch.meshgrid(*(torch.arange(n, device=frames.device) for n in self.grid), indexing="ij")
        self._places = torch.stack([rows.flatten(), columns.flatten()], 1).float()
        self.radius = config.reach * math.hypot(*self.grid)
        self._keys: dict[int, Tensor] = {}

    def remember(self, frame: int, label: Tensor) -> None:
        """Note which cells of a frame are worth asking: those around its ``label (cells,)``."""
        self._keys[frame] = self.around(label, 2)

    def around(self, label: Tensor, reaches: float = 1) -> Tensor:
        """Cells within so many reaches of the label, as indices; of a target smaller than a cell, of where most of it
        is."""
        radius = math.ceil(self.radius * reaches)
        marked = ((label > 0.1) | ((label == label.amax()) & (label > 0))).float().view(1, 1, *self.grid)
        return window_max(marked, radius).flatten().nonzero()[:, 0]

    def match(self, now: int, last: Tensor, asked: Iterable[int]) -> Matches:
        """Matches of frame ``now`` in remembered frames.

        Args:
            now: its number.
            last: ``(cells,)``, the target where it was seen last: only cells within reach of it ask.
            asked: numbers of frames that are remembered; the first frame is always asked.
        """
        keys = {frame: self._keys[frame] for frame in sorted({0, *asked})}
        return joined(self._best(now, asking, keys, self.radius) for asking in self._tiles(self.around(last)))

    def search(self, now: int, asking: Tensor, asked: Iterable[int]) -> Matches:
        """Matches of some cells of frame ``now`` anywhere in other frames, however far away.

        Args:
            now: its number.
            asking: ``(Q,)``, cells.
            asked: numbers of frames; the first frame is always asked.
        """
        everywhere = torch.arange(len(self._places), device=asking.device)
        keys = dict.fromkeys(sorted({0, *asked}), everywhere)
        return joined(self._best(now, part, keys, math.inf) for part in asking.split(256))

    def returned(self, now: int, frame: int, label: Tensor) -> Tensor:
        """For each of the target's cells in a frame, by its ``label (cells,)``: what it resembles most in frame
        ``now``, anywhere; ``(n,)`` cells."""
        return (self._vectors[frame, label > 0.5] @ self._vectors[now].T).argmax(1)

    def _best(self, now: int, asking: Tensor, keys: Mapping[int, Tensor], radius: float) -> Matches:
        """The matches of some cells that ask, among the ``keys`` of each frame."""
        cells = len(self._places)
        similar, who = [], []
        for frame, places in keys.items():
            kept = places[self._within(asking, places)] if self.config.tile and radius < math.inf else places
            found = self._vectors[now, asking] @ self._vectors[frame, kept].T
            if frame == 0:
                found += self.config.known
            if radius < math.inf:
                far = torch.cdist(self._places[asking], self._places[kept]) > radius
                found = found.masked_fill_(far, -1e4)
            similar.append(found)
            who.append(frame * cells + kept)
        scores, voters = torch.cat(similar, 1), torch.cat(who)
        short = max(0, self.config.voters - len(voters))  # all find as many, if need be ones that do not count
        scores, voters = F.pad(scores, (0, short), value=-1e4), F.pad(voters, (0, short))
        best, at = scores.topk(self.config.voters, 1)
        return Matches(asking, voters[at], (best / self.config.temperature).softmax(1))

    def _tiles(self, asking: Tensor) -> list[Tensor]:
        """The cells that ask, in squares if so wished."""
        if not self.config.tile or not len(asking):
            return [asking]
        rows, columns = (self._places[asking] // self.config.tile).long().T
        square = rows * len(self._places) + columns
        return [asking[square == one] for one in square.unique()]

    def _within(self, asking: Tensor, keys: Tensor) -> Tensor:
        """Which keys lie near the square of those that ask."""
        places, around = self._places[keys], self._places[asking]
        low, high = around.amin(0) - self.radius, around.amax(0) + self.radius
        return ((places >= low) & (places <= high)).all(1)


def joined(parts: Iterable[Matches]) -> Matches:
    """Matches of different cells of a frame, as one."""
    asking, answering, weights = zip(*((part.asking, part.answering, part.weights) for part in parts))
    return Matches(torch.cat(asking), torch.cat(answering), torch.cat(weights))


@torch.no_grad()
def describe(frames: Tensor, grid: tuple[int, int], config: Matching, backbone: str) -> Tensor:
    """What each cell looks like, ``(T, C, h, w)`` of unit length: a backbone's first layers and mean colour."""
    signed = 2 * F.interpolate(frames, grid, mode="area") - 1
    parts = [unit_length(torch.cat([signed, torch.full_like(signed[:, :1], 0.5)], 1)) * math.sqrt(config.colour)]
    if backbone != "colour":
        network = get_backbone(backbone, str(frames.device))
        height, width = frames.shape[-2:]
        scale = max(config.enlarge / max(height, width), network.min_size / min(height, width))
        size = (math.ceil(height * scale), math.ceil(width * scale))
        layers: list[list[Tensor]] = [[] for _ in range(config.layers)]
        for part in frames.split(8):
            seen = part if scale == 1 else F.interpolate(part, size, mode="bilinear", align_corners=False)
            for kept, made in zip(layers, network(seen, config.layers)):
                kept.append(F.interpolate(unit_length(made), grid, mode="bilinear", align_corners=False))
        parts += [unit_length(torch.cat(layer)) for layer in layers]
    else:
        parts += [_local_statistics(frames, grid)]
    return unit_length(torch.cat(parts, 1))


def reduced(features: Tensor, channels: int) -> Tensor:
    """Features ``(T, C, h, w)`` along their principal directions, ``(T, channels, h, w)`` of unit length.

    Without their mean, so that what all places share does not make them alike.
    """
    vectors = features.movedim(1, -1).reshape(-1, features.shape[1])
    sample = vectors[:: max(1, len(vectors) // 3000)]
    mean = sample.mean(0)
    centred = sample - mean
    _, directions = torch.linalg.eigh(centred.T @ centred)  # in ascending order of variance
    kept = directions[:, -channels:]
    projected = torch.einsum("tchw,ck->tkhw", features - mean.view(1, -1, 1, 1), kept)
    return unit_length(projected)


def _local_statistics(frames: Tensor, grid: tuple[int, int]) -> Tensor:
    """Where there is no backbone: contrast and mean colour in growing surroundings, ``(T, 9, h, w)``."""
    mean = F.interpolate(frames, grid, mode="area")
    spread = (F.interpolate(frames.square(), grid, mode="area") - mean.square()).clamp_min(0).sqrt()
    wide = window_mean(mean, 2, repeat_border=True)
    return unit_length(torch.cat([mean - wide, spread, 2 * wide - 1], 1))
