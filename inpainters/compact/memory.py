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
from videoinpaint.inpainters.flow_propagation import carry
from videoinpaint.inpainters.tracing import SECOND, Motion, seen_motion, trace, traced
from videoinpaint.motion.camera import stabilised_flows, two_motions
from videoinpaint.protocols import State
from videoinpaint.regions import is_map, spread

REACH = (0, 1, 2, 4, 7, 12, 10_000)
"""How many frames away 0, 1, ... 6 heads of one direction of time look; odd heads look ahead, even ones behind."""


def remember(frames: Tensor, holes: Tensor, motions: int = 1) -> State:
    """Trace all hole pixels through the clip once; see :func:`videoinpaint.inpainters.tracing.trace`.

    Args:
        frames: ``(B, T, 3, H, W)`` in [0, 1].
        holes: ``(B, T, 1, H, W)`` in {0, 1}.
        motions: along how many motions: one that is completed smoothly inside the holes, or the two of
            :func:`videoinpaint.motion.camera.two_motions`.
    """
    return trace(frames, holes, _motion(motions), motions)


def remember_within(
    frames: Tensor, holes: Tensor, wanted: range, before: State | None = None, motions: int = 1
) -> tuple[State, State]:
    """What is remembered of some frames of a video, and the motion of all that was given, for the next call.

    Arguments as of :func:`remember` and :func:`videoinpaint.inpainters.tracing.traced`.
    """
    seen = seen_motion(frames, holes, _motion(motions), before, pairs=motions)
    return traced(frames, holes, seen, wanted, calm=True), seen


def _motion(motions: int) -> Motion:
    return two_motions if motions == 2 else stabilised_flows


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
    """As :func:`recall`, before it is blended, see `Chooser`: ``(B, T, 11, H, W)``, or 19 planes where two motions were
    followed; where nothing arrives all is 0."""
    reach = _reach(heads)

    def seen(name: str, direction: int) -> list[Tensor]:
        colour, trust, away = memory[name].split((3, 1, 1), dim=2)
        within = away <= reach[:, direction, None].to(away)
        return [torch.where(within & (trust > 0), colour, 0.0), trust * within]

    planes = [*seen("ahead", 0), *seen("behind", 1), memory["filled"]]
    if "ahead" + SECOND in memory:
        planes += [*seen("ahead" + SECOND, 0), *seen("behind" + SECOND, 1)]
    return torch.cat(planes, dim=2)


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
