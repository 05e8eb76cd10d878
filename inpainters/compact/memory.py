"""What the heads remember: content of other frames, found along the camera's and the scene's motion.

Every pair of heads looks one band of frames further ahead and behind than the pair before, so that fewer heads see less
of the clip: 2 heads the neighbouring frames, 12 all of it. What a head finds is hard attention along a trajectory: the
first frame in its direction of time that shows the pixel. A later pass goes on looking where the passes before it
stopped, so that several cheap passes reach as far as an expensive one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.controls import HEADS as CONTROL
from videoinpaint.inpainters.compact.transformer import HEADS
from videoinpaint.inpainters.flow_propagation import carry, seen_motion, trace, traced
from videoinpaint.motion.camera import stabilised_flows
from videoinpaint.protocols import State
from videoinpaint.regions import is_map, spread

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
        heads: those of all passes so far together, ``(B,)`` or a map ``(B, 1, H, W)``; more than 12 look no further.

    Returns:
        propagated ``(B, T, 3, H, W)``: known pixels, carried ones, and the smooth fill where these heads find nothing;
        and the trust in it, ``(B, T, 1, H, W)`` in [0, 1].
    """
    return carry(memory, holes, _reach(heads))


def sources(memory: State, heads: Tensor) -> Tensor:
    """As :func:`recall`, before it is blended: ``(B, T, 11, H, W)``, see `Chooser`; where nothing arrives all is 0."""
    reach = _reach(heads)
    seen = []
    for direction, name in enumerate(("ahead", "behind")):
        colour, trust, away = memory[name].split((3, 1, 1), dim=2)
        within = away <= reach[:, direction, None].to(away)
        seen += [torch.where(within & (trust > 0), colour, 0.0), trust * within]
    return torch.cat([*seen, memory["filled"]], dim=2)


def heads_at(controls: Tensor, height: int, width: int) -> Tensor:
    """How many heads of controls look: ``(B,)`` of ``(B, 5)``, and ``(B, 1, H, W)`` of a map."""
    if not is_map(controls):
        return controls[:, CONTROL].round()
    return spread(controls[..., CONTROL : CONTROL + 1], height, width).round()


def _reach(heads: Tensor) -> Tensor:
    """How many frames ahead and behind so many heads look: ``(B, 2, 1, 1, 1)``, of a map ``(B, 2, 1, H, W)``."""
    count = heads.round().long().clamp(0, HEADS)
    count = count.view(-1, 1, 1, 1) if count.dim() == 1 else count
    reach = torch.tensor(REACH, device=heads.device)
    return torch.stack([reach[(count + 1) // 2], reach[count // 2]], dim=1)
