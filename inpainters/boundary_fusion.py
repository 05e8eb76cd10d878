"""The fusion control as a blend at the hole's boundary, around any inpainter (CLIP-RL, Section 3.1.3 and Table 5).

CLIP-RL fuses "restored and original frames" with weight w at the boundary, against hard replacement, and calls w = 1 no
fusion. Known pixels are given, and stay as they are; so the blend lies inside the hole, in a band along its edge, and
"original" is what the original clip shows there in other frames, carried in along the motion, and where nothing
arrives the known surroundings continued smoothly. Behind the band the repair stands alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.checks import shown
from videoinpaint.contract import check_begun, check_refinement
from videoinpaint.controls import DEFAULT, FUSION, clip_controls, mean_controls
from videoinpaint.errors import InputError
from videoinpaint.inpainters.flow_propagation import propagate
from videoinpaint.motion.neighbourhoods import window_max
from videoinpaint.plugins import told_as
from videoinpaint.protocols import (
    Inpainter,
    OneShotInpainter,
    Refinement,
    State,
    draws_globally,
    heads_run_of,
    is_untrained,
    own_fusion_of,
    precision_of,
    regional_of,
    weights_of_cells,
)
from videoinpaint.regions import spread

FUSIONS = ("network", "boundary", "none")
BAND = 1 / 27
"""Width of the band inside the hole, as a share of the frame's width: 8 pixels of 216."""

ORIGINAL, DEPTH = "boundary/original", "boundary/depth"


class BoundaryFusion:
    """An inpainter whose proposal is blended with original content in a band along the hole's edge.

    A pixel d pixels inside the hole gets ``w' * proposal + (1 - w') * original`` with ``w' = w + (1 - w) * d / band``:
    w itself at the edge, 1 from the end of the band on.

    Args:
        inner: any inpainter of given masks. Its own fusion, if it has one, stands still: at what `own_fusion` says (0.5
            for published networks, which is the published sum), else at the default control.
        blend: False: w = 1, nothing is blended, and the control changes nothing ("no fusion").

    Raises:
        InputError: an inpainter that decides itself what to repaint, whose hole has no edge that is known before.
    """

    def __init__(self, inner: Inpainter, blend: bool = True) -> None:
        if isinstance(inner, OneShotInpainter):
            raise InputError(f"{inner.name!r} decides itself what to repaint: fusion at a boundary needs given masks")
        self.inner, self.blend = inner, blend
        self.name = f"{inner.name}, {'boundary' if blend else 'no'} fusion"
        self.controls = inner.controls - {"fusion"} | (frozenset({"fusion"}) if blend else frozenset())
        self.min_size = inner.min_size
        self.random_weights = is_untrained(inner)
        self.precision = precision_of(inner)
        self.draws_globally = draws_globally(inner)
        # The blend is made pixel by pixel: it follows a map of controls around any inpainter.
        self.regional = regional_of(inner) - {"fusion"} | (self.controls & {"fusion"})

    def heads_run(self, control: float) -> int:
        """See :class:`videoinpaint.protocols.CountsHeads`."""
        return int(heads_run_of(self.inner, np.array([[control, *DEFAULT.to_array()[1:]]], np.float32))[0])

    def heads_by_cell(self, masks: Tensor, grid: tuple[int, int]) -> Tensor:
        """See :class:`videoinpaint.protocols.WeighsCells`."""
        return weights_of_cells(self.inner, masks, grid)

    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        with told_as("inpainter", self.inner, "begin", frames, masks):
            given = self.inner.begin(frames, masks)
        begun = check_begun(self.inner, given, frames)
        if not self.blend:
            return begun
        return begun | {ORIGINAL: propagate(frames, masks)[0], DEPTH: depth_inside(masks)}

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray[np.float32]) -> Refinement:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        alone = controls.copy() if regional_of(self.inner) else clip_controls(mean_controls(controls))
        alone[..., FUSION] = own_fusion_of(self.inner)
        own = {name: tensor for name, tensor in state.items() if name not in (ORIGINAL, DEPTH)}
        with told_as("inpainter", self.inner, "refine", repaired, masks, *own.values()):
            given = self.inner.refine(own, repaired, masks, alone)
        # The loop looks at the blend, which could hide what is wrong with what was blended.
        result = check_refinement(self.inner, given, own, repaired)
        if not self.blend:
            return result
        weight = torch.from_numpy(controls[..., FUSION].copy()).to(result.frames)
        mapped = weight.ndim == 3
        weight = spread(weight.unsqueeze(-1), *masks.shape[-2:]) if mapped else weight.view(-1, 1, 1, 1)
        return replace(result, frames=blended(result.frames, state[ORIGINAL], state[DEPTH], weight.unsqueeze(1)))


def blended(proposal: Tensor, original: Tensor, depth: Tensor, weight: Tensor) -> Tensor:
    """The blend of two ``(B, T, 3, H, W)``.

    Args:
        proposal: what was painted.
        original: what is mixed in along the edge.
        depth: of :func:`depth_inside`.
        weight: of the proposal at the edge, ``(B, 1, 1, 1, 1)`` or ``(B, 1, 1, H, W)`` in [0, 1].
    """
    share = weight + (1 - weight) * depth
    return share * proposal + (1 - share) * original


def depth_inside(holes: Tensor, band: float = BAND) -> Tensor:
    """How far inside the hole a pixel lies: 0 beside known pixels, 1 from the end of the band on, ``(B, T, 1, H, W)``.

    Args:
        holes: ``(B, T, 1, H, W)`` in {0, 1}; distances are those of a chessboard, and the frame's border is no edge.
        band: as a share of the width.
    """
    pixels = max(1, round(band * holes.shape[-1]))
    known, depth = 1 - holes, torch.zeros_like(holes)
    for radius in range(1, pixels + 1):
        depth += 1 - window_max(known, radius)
    return depth / pixels


def fused(inpainter: Inpainter, fusion: str) -> Inpainter:
    """The inpainter under one meaning of the control `fusion`.

    Args:
        inpainter: any.
        fusion: ``"network"``: its own; ``"boundary"``: see :class:`BoundaryFusion`; ``"none"``: none.

    Raises:
        InputError: another word, or an inpainter that cannot be wrapped.
    """
    if fusion not in FUSIONS:
        raise InputError(f"unknown fusion {shown(fusion)}: use {', '.join(map(repr, FUSIONS))}")
    return inpainter if fusion == "network" else BoundaryFusion(inpainter, fusion == "boundary")
