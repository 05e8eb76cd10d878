"""What the heads remember: content of other frames, found along the camera's and the scene's motion.

Every pair of heads looks one band of frames further ahead and behind than the pair before, so that fewer heads see less
of the clip: 2 heads the neighbouring frames, 12 all of it. What a head finds is hard attention along a trajectory: the
first frame in its direction of time that shows the pixel. A later pass goes on looking where the passes before it
stopped, so that several cheap passes reach as far as an expensive one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.inpainters.compact.transformer import HEADS
from videoinpaint.inpainters.flow_propagation import carry, seen_motion, trace, traced
from videoinpaint.motion.camera import stabilised_flows
from videoinpaint.protocols import State

REACH = (0, 1, 2, 4, 7, 12, 10_000)
"""How many frames away 0, 1, ... 6 heads of one direction of time look; odd heads look ahead, even ones behind."""


def remember(frames: Tensor, holes: Tensor) -> State:
    """Trace all hole pixels through the clip once; see :func:`videoinpaint.inpainters.flow_propagation.trace`."""
    return trace(frames, holes, stabilised_flows)


def remember_within(frames: Tensor, holes: Tensor, wanted: range, before: State | None = None) -> tuple[State, State]:
    """What is remembered of some frames of a video, and the motion of all that was given, for the next call.

    Arguments as of :func:`videoinpaint.inpainters.flow_propagation.seen_motion` and ``traced``.
    """
    seen = seen_motion(frames, holes, stabilised_flows, before)
    return traced(frames, holes, seen, wanted, calm=True), seen


def recall(memory: State, holes: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
    """What the first ``heads`` of 12 heads carry in.

    Args:
        memory: from :func:`remember`.
        holes: ``(B, T, 1, H, W)`` in {0, 1}.
        heads: ``(B,)``, those of all passes so far together; more than 12 look no further.

    Returns:
        propagated ``(B, T, 3, H, W)``: known pixels, carried ones, and the smooth fill where these heads find nothing;
        and the trust in it, ``(B, T, 1, H, W)`` in [0, 1].
    """
    count = heads.round().long().clamp(0, HEADS)
    reach = torch.tensor(REACH, device=heads.device)
    return carry(memory, holes, torch.stack([reach[(count + 1) // 2], reach[count // 2]], dim=1))
