"""Patches of large frames to learn from and to paint (Appendix A.4), the settings of their levels, frames on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.boxes import box_of
from videoinpaint.clips.files.images import read_image, resize_frames, resize_masks
from videoinpaint.clips.files.sequences import FrameSequence
from videoinpaint.errors import InputError
from videoinpaint.files import write_bytes
from videoinpaint.inpainters.internal.clip import Examples, brush_strokes, moved
from videoinpaint.inpainters.internal.detail import Sources, carried_detail
from videoinpaint.inpainters.internal.tiling import draw_centre, grid_masks, tiles
from videoinpaint.inpainters.internal.trainer import Internal, Trainer

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Progressive:
    """Levels and their training. The publication: patches of 540x960, 30,000 steps of 2, then 45,000 and 60,000.

    Attributes:
        patch: height and width, also the coarsest level's size; every level doubles it.
        steps: of every level, the coarsest first; their number is the number of levels.
        config: the network, trained on from level to level; beyond the first, "start" is the level before.
        reach: boundary-aware sampling: rows and columns around the boundary.
        odds: how much likelier that is than the rest.
        least: object pixels below which a piece of a mask is left out of the grid mask set.
        seam: pixels on either side of a grid edge over which a patch on the edge takes over.
        reuse: patches drawn from a frame before another is read.
        size: height and width of the last level, where it is no doubled patch: every level before it has half of the
            next one's, rounded up, and the coarsest fits into a patch. See :meth:`of_size`.
        detail: add to every finer level what other frames show there, where motion leads to them; the network paints
            the rest. The publication has the network alone.
        patience: of early stopping at the coarsest level, see :func:`videoinpaint.inpainters.internal.schedule.train`.
    """

    patch: tuple[int, int] = (540, 960)
    steps: tuple[int, ...] = (300, 100, 100)
    config: Internal = field(default_factory=lambda: Internal(pool=2))
    reach: tuple[int, int] = (45, 80)
    odds: float = 5.0
    least: int = 1000
    seam: int = 64
    reuse: int = 8
    size: tuple[int, int] | None = None
    detail: bool = True
    patience: int = 8

    @classmethod
    def of_size(
        cls,
        height: int,
        width: int,
        steps: tuple[int, ...] = (300, 100),
        config: Internal | None = None,
        detail: bool = True,
    ) -> Progressive:
        """For frames of any size: as many levels as bring the coarsest down to 960x540.

        Args:
            height, width: of the frames.
            steps: of the levels, the coarsest first; the last also of further ones.
            config: the network and its training.
            detail: see the class.

        Raises:
            InputError: frames that fit into the coarsest level.
        """
        most = cls().patch
        levels = 1
        while height > most[0] * 2 ** (levels - 1) or width > most[1] * 2 ** (levels - 1):
            levels += 1
        if levels == 1:
            raise InputError(f"frames of {width}x{height} need no levels: {most[1]}x{most[0]} fit into one")
        patch = -(-height // 2 ** (levels - 1)), -(-width // 2 ** (levels - 1))
        each = tuple(steps[min(level, len(steps) - 1)] for level in range(levels))
        return cls(patch, each, config or Internal(pool=2), size=(height, width), detail=detail)

    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of every level."""
        last = len(self.steps) - 1
        height, width = self.size or (self.patch[0] * 2**last, self.patch[1] * 2**last)
        return [(-(-height // 2 ** (last - level)), -(-width // 2 ** (last - level))) for level in range(last + 1)]


@dataclass(frozen=True)
class _Held:
    """What some draws share, at a level's size.

    Attributes:
        frame, mask, prior: of a frame; the prior is the level before, enlarged.
        other, other_mask: another frame, with whose patch at the same place the ambiguity loss compares.
    """

    frame: Pixels
    mask: Pixels
    prior: Pixels
    other: Pixels
    other_mask: Pixels


class PatchSource:
    """Patches of one level to learn from; `Trainer.step` draws from it as from a `TrainingClip`.

    Args:
        frames, masks: at the last level's size.
        prior: folder with the repaired frames of the level before.
        settings: see :class:`Progressive`.
        level: from 1.
        device: of what is drawn.
        sources: of every frame, at the coarsest level; empty for no detail.

    Attributes:
        drawn: batches so far; it decides which frame is read next, so that a run that is gone on with reads the same.
    """

    def __init__(
        self,
        frames: FrameSequence,
        masks: FrameSequence,
        prior: Path,
        settings: Progressive,
        level: int,
        device: str | torch.device = "cpu",
        sources: Sequence[Sources] = (),
    ) -> None:
        self.device, self.sources, self.before = device, sources, settings.sizes()[level - 1]
        self.frames, self.masks, self.prior, self.settings = frames, masks, prior, settings
        self.size = settings.sizes()[level]
        self.drawn = 0
        self._held: tuple[int, _Held] | None = None

    def load(self, index: int) -> tuple[Pixels, Pixels, Pixels]:
        """A frame and its mask at this level's size, and the prior, enlarged."""
        prior = cv2.resize(read_frame(self.prior, index), self.size[::-1], interpolation=cv2.INTER_LINEAR)
        return *self.shown(index), np.asarray(prior, np.uint8)

    def shown(self, index: int) -> tuple[Pixels, Pixels]:
        """A frame and its mask at this level's size."""
        frame = resize_frames(self.frames.read(index, 1), *self.size)[0]
        return frame, resize_masks(self.masks.read(index, 1), *self.size)[0]

    def draw(
        self,
        rng: np.random.Generator,
        count: int,
        flagged: Tensor | None = None,
        crop: tuple[int, int] | None = None,
        mirror: bool = False,
    ) -> Examples:
        """``count`` patches of one frame under pieces of its mask, moved; ``flagged`` and ``crop`` are not used."""
        block = self.drawn // self.settings.reuse
        self.drawn += 1
        if self._held is None or self._held[0] != block:
            chance = np.random.default_rng([self.settings.config.seed, *self.size, block])
            index, other = (int(chance.integers(len(self.frames))) for _ in range(2))
            self._held = block, _Held(*self.load(index), *self.shown(other))
        patches = [self._patch(rng, self._held[1]) for _ in range(count)]
        batch = Examples(
            **{name: torch.cat([vars(p)[name] for p in patches]).to(self.device) for name in vars(patches[0])}
        )
        if mirror and rng.random() < 0.5:
            return Examples(**{name: values.flip(-1) for name, values in vars(batch).items()})
        return batch

    def _patch(self, rng: np.random.Generator, held: _Held) -> Examples:
        s, frame, mask, prior = self.settings, held.frame, held.mask, held.prior
        tall, wide = s.patch
        pieces = grid_masks(mask, s.patch, s.least) or [_densest(mask, s.patch)]
        piece = pieces[int(rng.integers(len(pieces)))]
        box = box_of(mask) or (0, 0, 1, 1)
        row, column = draw_centre(rng, box, self.size, s.reach, s.odds)
        top = min(max(row - int(rng.integers(tall)), 0), self.size[0] - tall)
        left = min(max(column - int(rng.integers(wide)), 0), self.size[1] - wide)
        cut = (slice(top, top + tall), slice(left, left + wide))
        area = box_of(piece) or (0, 0, tall, wide)
        shift = row - top - (area[0] + area[2]) // 2, column - left - (area[1] + area[3]) // 2
        hidden = self._hides(rng, piece, shift)
        holes = torch.from_numpy(mask[cut].copy()).float()[None, None]
        union = torch.maximum(holes, hidden)
        truth, start = tensor_of(frame[cut][None]), tensor_of(prior[cut][None])
        truth = truth * (1 - holes)
        seen = torch.where(union > 0, start, truth)
        other, blocked = tensor_of(held.other[cut][None]), torch.from_numpy(held.other_mask[cut].copy()).float()
        other = other * (1 - blocked)
        return Examples(truth, holes, union, seen, 1 - union, hidden * (1 - holes), other, blocked[None, None])

    def _hides(self, rng: np.random.Generator, piece: Pixels, shift: tuple[int, int]) -> Tensor:
        """What a patch's known pixels are hidden by, ``(1, 1, h, w)``: a piece of the mask, moved, or brush strokes."""
        if self.settings.config.hidden == "moved":
            return moved(torch.from_numpy(piece.copy()).float()[None, None], shift)
        return torch.from_numpy(brush_strokes(rng, *piece.shape)).float()[None, None]

    @torch.no_grad()
    def repaired(self, trainer: Trainer, index: int) -> Pixels:
        """A whole frame of this level, painted patch by patch where something is missing (grid-based inference)."""
        frame, mask, prior = self.load(index)
        box = box_of(mask)
        if box is None:
            return frame
        tall, wide = self.settings.patch
        top, left, bottom, right = box  # beyond it nothing is painted, and large frames are not held as numbers
        painted = np.zeros((bottom - top, right - left, 3), np.float32)
        for tile in tiles(*self.size, self.settings.patch, self.settings.seam):
            cut = (slice(tile.top, tile.top + tall), slice(tile.left, tile.left + wide))
            if not (mask[cut] * tile.weight).any():
                continue
            holes = torch.from_numpy(mask[cut].copy()).float()[None, None]
            start = torch.where(holes > 0, tensor_of(prior[cut][None]), tensor_of(frame[cut][None]))
            shown = (x.to(trainer.device) for x in (start, holes, 1 - holes))
            made = trainer.paint(*shown)[0].permute(1, 2, 0).cpu().numpy() * tile.weight[..., None]
            high, low = max(tile.top, top), min(tile.top + tall, bottom)
            near, far = max(tile.left, left), min(tile.left + wide, right)
            own = made[high - tile.top : low - tile.top, near - tile.left : far - tile.left]
            painted[high - top : low - top, near - left : far - left] += own
        result, inside = frame.copy(), (slice(top, bottom), slice(left, right))
        painted *= 255
        if self.sources:
            detail, trust = carried_detail(self.sources[index], self.shown, self.size, self.before, box)
            painted += trust[..., None] * (prior[inside] + detail - painted)
        filled = np.rint(painted).clip(0, 255).astype(np.uint8)
        result[inside] = np.where(mask[inside][..., None] > 0, filled, frame[inside])
        return result


def _densest(mask: Pixels, patch: tuple[int, int]) -> Pixels:
    """The grid's piece with most object pixels, where none has enough."""
    return max(grid_masks(mask, patch, 0), key=lambda piece: int(piece.sum()))


def tensor_of(frames: Pixels) -> Tensor:
    """Frames uint8 ``(T, H, W, 3)`` as float32 ``(T, 3, H, W)`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255


def picture_of(frame: Tensor) -> Pixels:
    """The inverse for one frame ``(3, H, W)``."""
    return frame.mul(255).round().byte().permute(1, 2, 0).cpu().numpy()


def write_frames(folder: Path, count: int, made: Callable[[int], Pixels]) -> None:
    """Write those frames of a level that are not there."""
    for index in range(count):
        path = folder / f"{index:05d}.png"
        if not path.exists():
            write_bytes(path, cv2.imencode(".png", cv2.cvtColor(made(index), cv2.COLOR_RGB2BGR))[1].tobytes())


def clear_frames(folder: Path) -> None:
    """Remove a level's frames of another training."""
    for path in folder.glob("*.png"):
        path.unlink()


def read_frame(folder: Path, index: int) -> Pixels:
    """A level's frame, uint8 ``(H, W, 3)``."""
    return read_image(folder / f"{index:05d}.png")
