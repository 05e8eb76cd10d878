"""Augmented training windows: what the pre-training of every network draws its batches from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from videoinpaint.clips.types import Clip, ClipSource, MaskSource


@dataclass(frozen=True)
class Windows:
    """Where training windows come from and how they are cut.

    Attributes:
        clips: sources, drawn with equal chance.
        masks: holes.
        num_frames, height, width: size of a window.
        batch: windows a batch.
        larger: further sizes ``(num_frames, height, width)``; every batch draws its size, all with equal chance.
    """

    clips: Sequence[ClipSource]
    masks: MaskSource
    num_frames: int = 5
    height: int = 80
    width: int = 144
    batch: int = 1
    larger: tuple[tuple[int, int, int], ...] = ()

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A batch: reference ``(B, T, 3, H, W)`` float32 in [0, 1] and holes ``(B, T, 1, H, W)`` in {0, 1}."""
        sizes = ((self.num_frames, self.height, self.width), *self.larger)
        size = sizes[int(rng.integers(len(sizes)))] if self.larger else sizes[0]
        references, holes = zip(*(self._window(rng, *size) for _ in range(self.batch)))
        return torch.stack(references), torch.stack(holes)

    def _window(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """A clip at a random scale, cropped, mirrored, reversed and re-lit, with its holes."""
        source = self.clips[int(rng.integers(len(self.clips)))]
        scale = float(rng.uniform(1.0, 1.9))
        clip = source.sample(rng, num_frames, round(height * scale), round(width * scale))
        top = int(rng.integers(clip.frames.shape[1] - height + 1))
        left = int(rng.integers(clip.frames.shape[2] - width + 1))
        frames = clip.frames[:, top : top + height, left : left + width]
        mask = self.masks.sample(rng, Clip(frames, clip.name, None))
        if rng.random() < 0.5:
            frames, mask = frames[:, :, ::-1], mask[:, :, ::-1]
        if rng.random() < 0.5:
            frames, mask = frames[::-1], mask[::-1]
        light = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).float().div(255)
        light = (light * float(rng.uniform(0.8, 1.1))).clamp(0, 1) ** float(rng.uniform(0.85, 1.2))
        if rng.random() < 0.3:
            light = light[:, torch.from_numpy(rng.permutation(3))]
        return light, torch.from_numpy(mask.copy()).float().unsqueeze(1)
