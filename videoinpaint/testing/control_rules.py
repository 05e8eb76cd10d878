"""What the checkers require of controls: those that are declared act, over a map too, and the others do not."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.controls import HEADS, HIGH, LOW, clip_controls, mean_controls
from videoinpaint.protocols import Inpainter, Refinement, State, regional_of
from videoinpaint.testing.rules import check_frames, close, require, untouched

CONTROL_GROUPS = {"heads": (0,), "fusion": (1,), "objective": (2, 3, 4)}

ROUNDING = 1e-5
"""What a mean that is taken in another order may change."""


def check_controls(part: Inpainter, arguments: tuple) -> None:
    """Declared controls change the output, undeclared ones change nothing; heads also changes the cost."""
    state, frames, masks, controls = arguments
    for name, columns in CONTROL_GROUPS.items():
        low, high = controls.copy(), controls.copy()
        for column in columns:
            low[:, column], high[:, column] = LOW[column], HIGH[column]
        ends = [part.refine(state, frames, masks, values) for values in (low, high)]
        same = torch.equal(ends[0].frames, ends[1].frames)
        if name in part.controls:
            require(not same, f"the declared control {name!r} changes the output, it does not")
        else:
            require(same, f"the control {name!r} is not declared and changes nothing, it changes the output")
        if name == "heads" and name in part.controls:
            cheaper = bool((ends[0].gflops < ends[1].gflops).all())
            require(cheaper, f"fewer heads cost less, got {ends[0].gflops} with 2 and {ends[1].gflops} with 12")
            _check_full_gflops(ends)


def check_regional(part: Inpainter, frames: Tensor, holes: Tensor, state: State, controls: NDArray) -> None:
    """A map of one setting is that setting; what is declared regional follows a map, what is not takes its mean."""
    everywhere = np.repeat(np.repeat(controls[:, None, None], 2, 1), 3, 2)
    result = untouched(part.refine, (state, frames, holes, everywhere), "refine")
    check_frames(result.frames, frames.shape, "Refinement.frames under a map of controls")
    plain = part.refine(state, frames, holes, controls)
    close(plain.frames, result.frames, "a map of one setting everywhere: Refinement.frames")
    same = torch.allclose(plain.gflops, result.gflops, rtol=0.02)  # laying the map over the frame may cost a little
    require(same, f"a map of one setting everywhere costs what the setting costs, {plain.gflops}, got {result.gflops}")
    for name, columns in CONTROL_GROUPS.items():
        varied = everywhere.copy()
        for column in columns:
            varied[:, :, 0, column], varied[:, :, 1:, column] = LOW[column], HIGH[column]
        batch = part.refine(state, frames, holes, varied)
        if name == "heads" and name in regional_of(part):
            continue  # frames as small as these may be a single window of attention
        mean = part.refine(state, frames, holes, clip_controls(mean_controls(varied)))
        if name in regional_of(part):
            gap = float((batch.frames - mean.frames).abs().max())
            require(gap > ROUNDING, f"the regional control {name!r} follows the map, it takes the mean")
        else:
            close(batch.frames, mean.frames, f"{name!r} is not regional and takes the mean: Refinement.frames")
    for i in range(len(frames)):
        alone = part.refine(part.begin(frames[i : i + 1], holes[i : i + 1]), frames[i : i + 1], holes[i : i + 1],
                            varied[i : i + 1])  # fmt: skip
        close(alone.frames[0], batch.frames[i], "under a map of controls, Refinement.frames of a batch")


def _check_full_gflops(ends: list[Refinement]) -> None:
    for end in ends:
        if end.full_gflops is not None:
            same = torch.allclose(end.full_gflops, ends[1].gflops, rtol=1e-6)
            require(same, f"full_gflops are those of {HIGH[HEADS]:g} heads, got {end.full_gflops} and {ends[1].gflops}")
