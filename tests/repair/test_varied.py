"""The repairs that detectors are trained on: of all kinds, inside the hole alone, passes that follow each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from videoinpaint.inpainters.compact import CompactInpainter
from videoinpaint.repair.varied import mixed_repair, passes_of


def scene() -> tuple[Tensor, Tensor]:
    corrupted = torch.rand(1, 4, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    holes = torch.zeros(1, 4, 1, 32, 48)
    holes[..., 8:20, 10:30] = 1
    return corrupted, holes


class Watched(CompactInpainter):
    """The compact inpainter, that notes how many heads had looked before each pass."""

    def __init__(self) -> None:
        super().__init__(weights="random")
        self.looked: list[float] = []

    def refine(self, state: Any, *rest: Any) -> Any:
        self.looked.append(float(state["looked"].max()))
        return super().refine(state, *rest)


def test_a_later_pass_looks_on_where_the_one_before_stopped() -> None:
    inpainter = Watched()
    passes_of(inpainter, *scene(), np.random.default_rng(0), passes=3)
    assert inpainter.looked[0] == 0
    assert inpainter.looked[0] < inpainter.looked[1] < inpainter.looked[2]


def test_repairs_change_the_hole_alone_and_follow_the_generator() -> None:
    corrupted, holes = scene()
    repair = mixed_repair({"telea": 1, "propagation": 1})
    one, two, other = (repair(corrupted, holes, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(one * (1 - holes), corrupted * (1 - holes))
    assert not torch.equal(one, corrupted)
