"""Augmented training windows: what the pre-training of every network draws its batches from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.checks import check_extent
from videoinpaint.clips.asking import draw_clip, draw_holes
from videoinpaint.clips.sources.pasted import OneShotClips
from videoinpaint.clips.types import Clip, ClipSource, MaskSource
from videoinpaint.errors import InputError


@dataclass(frozen=True)
class Windows:
    """Where training windows come from and how they are cut.

    Attributes:
        clips: sources, drawn with equal chance.
        masks: holes.
        num_frames, height, width: size of a window.
        batch: windows a batch.
        larger: further sizes ``(num_frames, height, width)``; every batch draws its size, all with equal chance.
        plain: whole frames, mirrored at random and otherwise as they are, as the published networks were trained on;
            without, a part at a random scale, played backwards and re-lit at random too.
        device: where batches are handed over.
    """

    clips: Sequence[ClipSource]
    masks: MaskSource
    num_frames: int = 5
    height: int = 80
    width: int = 144
    batch: int = 1
    larger: tuple[tuple[int, int, int], ...] = ()
    plain: bool = False
    device: str | torch.device = "cpu"

    def __post_init__(self) -> None:
        """Raises InputError for sizes out of bounds."""
        for size in ((self.num_frames, self.height, self.width), *self.larger):
            check_extent(*size, self.batch)

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A batch: reference ``(B, T, 3, H, W)`` float32 in [0, 1] and holes ``(B, T, 1, H, W)`` in {0, 1}."""
        size = _drawn_size(rng, (self.num_frames, self.height, self.width), self.larger)
        references, holes = zip(*(self._window(rng, *size) for _ in range(self.batch)))
        return torch.stack(references).to(self.device), torch.stack(holes).to(self.device)

    def _window(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """A clip at a random scale, cropped, mirrored, reversed and re-lit, with its holes; see `plain`."""
        if self.plain:
            whole = draw_clip(self.clips[int(rng.integers(len(self.clips)))], rng, num_frames, height, width)
            mask = draw_holes(self.masks, rng, Clip(whole.frames, whole.name, None))
            look = _Look(bool(rng.random() < 0.5), False, 1.0, 1.0, (0, 1, 2))
            return look.frames(whole.frames), look.masks(mask)
        clip = _cropped(_larger_clip(rng, self.clips, num_frames, height, width), rng, height, width)
        mask = draw_holes(self.masks, rng, Clip(clip.frames, clip.name, None))
        look = _Look.drawn(rng)
        return look.frames(clip.frames), look.masks(mask)


@dataclass(frozen=True)
class OneShotWindows:
    """Where windows for one-shot training come from: augmented as `Windows` are, but with the target in the picture.

    Attributes:
        clips: sources of clips with `observed`, drawn with equal chance.
        num_frames, height, width: size of a window.
        batch: windows a batch.
        larger: further sizes ``(num_frames, height, width)``; every batch draws its size, all with equal chance.
        least, most: the target covers at least and at most these shares of the first frame of every window.
    """

    clips: Sequence[ClipSource] = field(default_factory=lambda: (OneShotClips(),))
    num_frames: int = 5
    height: int = 80
    width: int = 144
    batch: int = 1
    larger: tuple[tuple[int, int, int], ...] = ()
    least: float = 0.01
    most: float = 0.5

    def __post_init__(self) -> None:
        """Raises InputError for sizes out of bounds."""
        for size in ((self.num_frames, self.height, self.width), *self.larger):
            check_extent(*size, self.batch)

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A batch: observed and reference ``(B, T, 3, H, W)`` float32 in [0, 1], true masks ``(B, T, 1, H, W)`` {0, 1}.

        Outside the masks observed and reference are equal; the first mask of a window is never empty.

        Raises:
            InputError: a clip has no target, or never one in its first frame.
        """
        size = _drawn_size(rng, (self.num_frames, self.height, self.width), self.larger)
        windows = [self._window(rng, *size) for _ in range(self.batch)]
        observed, reference, masks = (torch.stack(parts) for parts in zip(*windows))
        return observed, reference, masks

    def _window(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> tuple[Tensor, ...]:
        for _ in range(_TRIES):
            whole = _larger_clip(rng, self.clips, num_frames, height, width)
            if whole.observed is None or whole.objects is None:
                raise InputError(
                    f"clip {whole.name!r} has no target before a known background: use one_shot, or one_shot:CLIPS"
                )
            clip, look = _cropped(whole, rng, height, width), _Look.drawn(rng)
            assert clip.observed is not None
            assert clip.objects is not None
            first = clip.objects[-1 if look.reversed else 0]
            if self.least <= first.mean() <= self.most:
                return look.frames(clip.observed), look.frames(clip.frames), look.masks(clip.objects)
        raise InputError(f"no target covers {self.least:.0%} to {self.most:.0%} of the first frame in {_TRIES} windows")


_TRIES = 64


@dataclass(frozen=True)
class _Look:
    """How a window is seen: the same for everything in it."""

    mirrored: bool
    reversed: bool
    gain: float
    gamma: float
    channels: tuple[int, ...]

    @staticmethod
    def drawn(rng: np.random.Generator) -> _Look:
        mirrored, backward = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
        gain, gamma = float(rng.uniform(0.8, 1.1)), float(rng.uniform(0.85, 1.2))
        swapped = rng.random() < 0.3
        return _Look(mirrored, backward, gain, gamma, tuple(rng.permutation(3).tolist()) if swapped else (0, 1, 2))

    def frames(self, frames: NDArray[np.uint8]) -> Tensor:
        """``(T, 3, H, W)`` float32 in [0, 1]."""
        light = torch.from_numpy(self._turned(frames)).permute(0, 3, 1, 2).float().div(255)
        return ((light * self.gain).clamp(0, 1) ** self.gamma)[:, list(self.channels)]

    def masks(self, masks: NDArray[np.uint8]) -> Tensor:
        """``(T, 1, H, W)`` float32 in {0, 1}."""
        return torch.from_numpy(self._turned(masks)).float().unsqueeze(1)

    def _turned(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        array = array[:, :, ::-1] if self.mirrored else array
        return (array[::-1] if self.reversed else array).copy()


def _drawn_size(
    rng: np.random.Generator, size: tuple[int, int, int], larger: tuple[tuple[int, int, int], ...]
) -> tuple[int, int, int]:
    sizes = (size, *larger)
    return sizes[int(rng.integers(len(sizes)))] if larger else size


def _larger_clip(
    rng: np.random.Generator, clips: Sequence[ClipSource], num_frames: int, height: int, width: int
) -> Clip:
    source = clips[int(rng.integers(len(clips)))]
    scale = float(rng.uniform(1.0, 1.9))
    return draw_clip(source, rng, num_frames, round(height * scale), round(width * scale))


def _cropped(clip: Clip, rng: np.random.Generator, height: int, width: int) -> Clip:
    top = int(rng.integers(clip.frames.shape[1] - height + 1))
    left = int(rng.integers(clip.frames.shape[2] - width + 1))
    cut = (slice(None), slice(top, top + height), slice(left, left + width))
    objects = None if clip.objects is None else clip.objects[cut]
    observed = None if clip.observed is None else clip.observed[cut]
    return replace(clip, frames=clip.frames[cut], objects=objects, observed=observed)
