"""Repairs of all kinds and qualities: what the detector learns to judge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.composition import compose
from videoinpaint.controls import HEADS, HIGH, LOW
from videoinpaint.protocols import Inpainter, State

Repair = Callable[[Tensor, Tensor, np.random.Generator], Tensor]


def mixed_repair(
    inpainters: dict[str, float], weights: str | None = None, device: str = "cpu", trained: str = "compact"
) -> Repair:
    """A function that repairs every batch by an inpainter drawn anew, with random controls and one or two passes.

    Args:
        inpainters: name -> relative chance.
        weights: a weight file for the inpainter ``trained``; None for the shipped or fetched one.
        device: where the inpainters compute.
        trained: see ``weights``.

    Raises:
        UnknownNameError, MissingWeightsError: an inpainter cannot be made.
    """
    from videoinpaint.inpainters import make_inpainter

    makers = {name: make_inpainter(name, device=device, weights=weights if name == trained else None)
              for name in inpainters}  # fmt: skip
    chances = np.array(list(inpainters.values())) / sum(inpainters.values())

    def repair(corrupted: Tensor, holes: Tensor, rng: np.random.Generator) -> Tensor:
        inpainter = makers[list(makers)[int(rng.choice(len(makers), p=chances))]]
        return passes_of(inpainter, corrupted, holes, rng, int(rng.integers(1, 3)))

    return repair


@torch.no_grad()
def passes_of(inpainter: Inpainter, corrupted: Tensor, holes: Tensor, rng: np.random.Generator, passes: int) -> Tensor:
    """The repair ``(B, T, 3, H, W)`` after some passes; later ones redo a random part of the hole."""
    state: State = inpainter.begin(corrupted, holes)
    repaired, masks = corrupted, holes
    for _ in range(passes):
        controls = rng.uniform(LOW, HIGH, size=(len(corrupted), 5))
        controls[:, HEADS] = rng.integers(LOW[HEADS], HIGH[HEADS] + 1, size=len(corrupted))
        result = inpainter.refine(state, repaired, masks, controls.astype(np.float32))
        state = state | (result.state or {})
        repaired = compose(result.frames, repaired, corrupted, masks, holes)
        masks = holes * random_field(holes, rng).gt(float(rng.uniform(0.3, 0.7)))
    return repaired


def random_field(like: Tensor, rng: np.random.Generator) -> Tensor:
    """A smooth random field in [0, 1] of the shape ``(B, T, 1, H, W)`` of `like`, the same in all frames of a clip."""
    batch, _, _, height, width = like.shape
    coarse = torch.from_numpy(rng.random((batch, 1, max(2, height // 16), max(2, width // 16)))).to(like)
    return F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1).unsqueeze(1).expand_as(like)
