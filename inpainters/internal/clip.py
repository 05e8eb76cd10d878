"""What is learnt from: the clip's own frames under its own masks, moved (Section 3.1), and what holes start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from videoinpaint.clips.studio import shapes
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.errors import InputError
from videoinpaint.inpainters.flow_propagation import propagate
from videoinpaint.inpainters.internal.mixture import Fit, candidates
from videoinpaint.motion.flow import smooth_fill

Start = Literal["none", "smooth", "propagation", "compact"]
STARTS: tuple[Start, ...] = ("none", "smooth", "propagation", "compact")
"""What a hole holds at the network's input. "none" is the paper's: nothing, and the network paints the picture. With
the others it corrects a fill: the smooth fill of each frame, content carried in along the motion, or ("compact") a
mixture of both with the compact network's repair, see :mod:`videoinpaint.inpainters.internal.mixture`."""

HIDDEN = ("moved", "free-form")
"""What hides known pixels in training: the clip's own masks moved, or random brush strokes."""

HELD_OUT_FRAMES = 8
STROKES = (0.05, 0.2)
"""Share of the frame that brush strokes take."""

Shift = tuple[int, int]


@dataclass(frozen=True)
class Examples:
    """A training batch of N frames, or crops of them.

    Attributes:
        frames: X_i, ``(N, 3, h, w)`` in [0, 1]; its holes hold nothing meaningful.
        holes: M_i, ``(N, 1, h, w)`` in {0, 1}: where the truth is unknown.
        union: M_i and the moved mask M'_t together: what the network is not shown.
        start: what the network sees instead, ``(N, 3, h, w)`` in [0, 1], equal to X_i outside ``union``.
        trust: how far the start can be trusted, ``(N, 1, h, w)`` in [0, 1].
        focus: ``(N, 1, h, w)`` in {0, 1}: hidden known pixels that matter most (what is flagged, moved along).
        other: a random frame X_t of the clip at the same place, for the ambiguity loss, zero in its hole.
        other_holes: M_t.
    """

    frames: Tensor
    holes: Tensor
    union: Tensor
    start: Tensor
    trust: Tensor
    focus: Tensor
    other: Tensor
    other_holes: Tensor


class Source(Protocol):
    """Where training examples come from."""

    def draw(
        self,
        rng: np.random.Generator,
        count: int,
        flagged: Tensor | None = None,
        crop: tuple[int, int] | None = None,
        mirror: bool = False,
    ) -> Examples:
        """See :meth:`TrainingClip.draw`."""
        ...


class TrainingClip:
    """One clip, ready to be learnt from.

    Args:
        frames: ``(T, 3, H, W)`` in [0, 1]; what holes hold is not read.
        holes: ``(T, 1, H, W)`` in {0, 1}.
        start: one of ``STARTS``.
        pool: how many translations of the masks are prepared, where starts must be computed beforehand.
        seed: decides the translations.
        hidden: one of ``HIDDEN``. Brush strokes belong to a translation as a moved mask does; held-out pixels are
            always under a moved mask, so that both can be compared.

    Attributes:
        held_out: the translation that training never uses.
    """

    def __init__(
        self,
        frames: Tensor,
        holes: Tensor,
        start: str = "propagation",
        pool: int = 8,
        seed: int = 0,
        hidden: str = "moved",
    ) -> None:
        if start not in STARTS:
            raise InputError(f"unknown start {start!r}: use one of {', '.join(STARTS)}")
        if pool < 1:
            raise InputError(f"the pool needs at least one translation, got {pool}")
        if hidden not in HIDDEN:
            raise InputError(f"hidden is one of {', '.join(HIDDEN)}, got {hidden!r}")
        self.frames, self.holes, self.kind, self.hidden = frames * (1 - holes), holes, start, hidden
        height, width = frames.shape[-2:]
        rng = np.random.default_rng([seed, height, width])
        self.shifts = [draw_shift(rng, height, width) for _ in range(pool + 1)]
        self.held_out = self.shifts.pop()
        if len({(0, 0), *self.shifts}) == height * width:
            raise InputError(f"frames of {height}x{width} have no translation besides the pool's {pool}: take fewer")
        while self.held_out in self.shifts:
            self.held_out = draw_shift(rng, height, width)
        self._starts: dict[Shift, tuple[Tensor, Tensor]] = {}
        self._mixture: Tensor | None = None

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.frames)

    def started(self, shift: Shift | None) -> tuple[Tensor, Tensor]:
        """Start ``(T, 3, H, W)`` and trust ``(T, 1, H, W)`` under the holes and, unless None, their translation."""
        key = shift or (0, 0)
        if self.kind == "compact" and self._mixture is None and key not in self._starts:
            self._mixture = self._mix_pool()
        if key not in self._starts:
            self._keep(key, *first_fill(self.frames, self._union(shift), self.kind, self._mixture))
        start, trust = (stored.float() / 255 for stored in self._starts[key])
        return torch.where(self._union(shift) > 0, start, self.frames), trust

    def pooled(self) -> dict[str, Tensor]:
        """Every start that training and painting need, as bytes: ``starts`` and ``trusts``, both ``(K, T, ., H, W)``.

        The last of the K belongs to the holes alone, the others to the translations; with start "none", K is one.
        """
        keys = self._pool_keys()
        for key in keys:
            self.started(key)
        stored = [self._starts[key or (0, 0)] for key in keys]
        return {"starts": torch.stack([s for s, _ in stored]), "trusts": torch.stack([t for _, t in stored])}

    def load_pool(self, pooled: dict[str, Tensor]) -> None:
        """Take over what :meth:`pooled` gave."""
        for key, start, trust in zip(self._pool_keys(), pooled["starts"], pooled["trusts"]):
            self._starts[key or (0, 0)] = (start, trust)

    def _pool_keys(self) -> list[Shift | None]:
        return [None] if self.kind == "none" else [*self.shifts, None]

    def held_out_examples(self) -> Examples:
        """At most `HELD_OUT_FRAMES` frames, evenly spread, under the translation that training never uses."""
        count = min(HELD_OUT_FRAMES, len(self))
        index = np.linspace(0, len(self) - 1, count).round().astype(int)
        return self._examples(index, index, self.held_out, self.holes, index)

    def draw(
        self,
        rng: np.random.Generator,
        count: int,
        flagged: Tensor | None = None,
        crop: tuple[int, int] | None = None,
        mirror: bool = False,
    ) -> Examples:
        """A batch for one step.

        Args:
            rng: everything random.
            count: frames.
            flagged: M_{n-1} in {0, 1} inside the holes, ``(T, 1, H, W)``: frames are drawn by how much of them is
                flagged, and its translation is the focus. None for the holes.
            crop: cut this height and width around a point in focus; None for whole frames.
            mirror: turn left and right round, half of the time.
        """
        focus = self.holes if flagged is None or not flagged.any() else flagged
        area = focus.flatten(1).sum(1).double().cpu().numpy()
        chances = (area + 0.1 * area.mean()) / (1.1 * area.sum())
        index = rng.choice(len(self), count, p=chances)
        other = rng.integers(len(self), size=count)
        if self.kind == "none":
            height, width = self.frames.shape[-2:]
            shift = draw_shift(rng, height, width, avoid=self.held_out)
            source = rng.choice(len(self), count, p=chances)
        else:
            shift = self.shifts[int(rng.integers(len(self.shifts)))]
            source = index
        batch = self._examples(index, source, shift, focus, other)
        batch = batch if crop is None else _cropped(batch, rng, crop)
        if mirror and rng.random() < 0.5:
            return Examples(**{name: values.flip(-1) for name, values in vars(batch).items()})
        return batch

    def _keep(self, key: Shift, start: Tensor, trust: Tensor) -> None:
        # Bytes: a pool of translations is several times the clip.
        self._starts[key] = (_bytes(start), _bytes(trust))

    def _mix_pool(self) -> Tensor:
        """The mixture's weights, learnt from the pool's translations, whose starts are then known."""
        fit, found = Fit(), []
        for shift in self.shifts:
            found.append(candidates(self.frames, self._union(shift)))
            fit.add(found[-1], self.frames, self._union(shift) * (1 - self.holes))
        weights = fit.weights()
        for shift, fills in zip(self.shifts, found):
            self._keep(shift, fills.mixed(weights), fills.trust)
        return weights

    def _union(self, shift: Shift | None) -> Tensor:
        return self.holes if shift is None else torch.maximum(self.holes, self._hides(np.arange(len(self)), shift))

    def _hides(self, source: np.ndarray, shift: Shift) -> Tensor:
        """M'_t of the frames ``source``, ``(N, 1, H, W)``; brush strokes differ from frame to frame."""
        if self.hidden == "moved" or shift == self.held_out:
            return moved(self.holes[torch.as_tensor(source)], shift)
        drawn = [brush_strokes(np.random.default_rng([*shift, int(t)]), *self.holes.shape[2:]) for t in source]
        return torch.from_numpy(np.stack(drawn))[:, None].to(self.holes)

    def _examples(
        self, index: np.ndarray, source: np.ndarray, shift: Shift, focus: Tensor, other: np.ndarray
    ) -> Examples:
        pick, origin, target = (torch.as_tensor(values) for values in (index, source, other))
        holes = self.holes[pick]
        hidden = self._hides(source, shift)
        union = torch.maximum(holes, hidden)
        if self.kind == "none":
            start, trust = self.frames[pick] * (1 - union) + 0.5 * union, 1 - union
        else:
            start, trust = (values[pick] for values in self.started(shift))
        aim = (moved(focus[origin], shift) if self.hidden == "moved" else hidden) * (1 - holes)
        return Examples(
            self.frames[pick], holes, union, start, trust, aim, self.frames[target], self.holes[target]
        )  # fmt: skip


def first_fill(frames: Tensor, holes: Tensor, kind: str, mixture: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What holes start from, and how far it can be trusted.

    Args:
        frames: ``(T, 3, H, W)`` in [0, 1]; what it holds inside the holes is not read.
        holes: ``(T, 1, H, W)`` in {0, 1}.
        kind: one of ``STARTS``.
        mixture: the weights ``(4,)`` of start "compact"; None for those that are known before any clip.

    Returns:
        ``(T, 3, H, W)`` and ``(T, 1, H, W)`` in [0, 1].
    """
    if kind == "none":
        return torch.where(holes > 0, torch.full_like(frames, 0.5), frames), 1 - holes
    if kind == "smooth":
        return smooth_fill(frames * (1 - holes), 1 - holes), 1 - holes
    if kind == "compact":
        found = candidates(frames, holes)
        return found.mixed(Fit().weights() if mixture is None else mixture), found.trust
    carried, trust, _ = propagate(frames[None], holes[None])
    return carried[0], trust[0]


def brush_strokes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Free-form strokes, uint8 ``(H, W)`` in {0, 1}, over a share of the frame within ``STROKES``."""
    draws = Draws(rng)
    return shapes.brush_strokes(draws, height, width, draws.uniform(*STROKES))


def draw_shift(rng: np.random.Generator, height: int, width: int, avoid: Shift | None = None) -> Shift:
    """A translation ``(rows, columns)``, uniform over the frame, never none at all and never ``avoid``."""
    while True:
        shift = int(rng.integers(height)), int(rng.integers(width))
        if shift not in ((0, 0), avoid):
            return shift


def moved(masks: Tensor, shift: Shift) -> Tensor:
    """Masks ``(..., H, W)`` translated; what leaves at one border comes in at the opposite one."""
    return torch.roll(masks, shift, dims=(-2, -1))


def _bytes(x: Tensor) -> Tensor:
    return x.mul(255).round().clamp(0, 255).byte()


def _cropped(batch: Examples, rng: np.random.Generator, crop: tuple[int, int]) -> Examples:
    """The batch cut around a random point in focus, one for each frame."""
    height, width = batch.frames.shape[-2:]
    tall, wide = min(crop[0], height), min(crop[1], width)
    if (tall, wide) == (height, width):
        return batch
    corners = []
    for focus, union in zip(batch.focus, batch.union):
        points = (focus if focus.any() else union)[0].nonzero()
        row, column = points[int(rng.integers(len(points)))].tolist() if len(points) else (height // 2, width // 2)
        # The point lies anywhere in the crop, so that the network also sees holes near a crop's rim.
        top = min(max(row - int(rng.integers(tall)), 0), height - tall)
        left = min(max(column - int(rng.integers(wide)), 0), width - wide)
        corners.append((top, left))

    def cut(values: Tensor) -> Tensor:
        return torch.stack([v[..., t : t + tall, c : c + wide] for v, (t, c) in zip(values, corners)])

    return Examples(**{name: cut(values) for name, values in vars(batch).items()})
