"""Settings of internal training by name: "quick", which suits a minute on two cores, and "paper" (Appendix A.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from videoinpaint.errors import UnknownNameError
from videoinpaint.inpainters.internal.masks import MaskTraining
from videoinpaint.inpainters.internal.trainer import PAPER, Internal


@dataclass(frozen=True)
class Preset:
    """Settings of all that IIVI trains on a clip.

    Attributes:
        config: of frames as they are; ``crop`` is chosen by their size where it is not None.
        steps: of it; None where the budget is a time.
        patience: of early stopping, see :func:`videoinpaint.inpainters.internal.schedule.train`.
        large: the network's settings with progressive high resolution.
        levels: its steps, the coarsest level first; the last number also stands for further levels.
        detail: whether its finer levels take detail from other frames, see
            :class:`videoinpaint.inpainters.internal.patches.Progressive`.
        mask: how one frame's mask is learnt.
    """

    config: Internal
    steps: int | None
    patience: int
    large: Internal
    levels: tuple[int, ...]
    detail: bool
    mask: MaskTraining


PRESETS = {
    "quick": Preset(Internal(), None, 8, Internal(pool=2), (300, 100), True, MaskTraining()),
    "paper": Preset(
        PAPER,
        60_000 + 20_000,
        0,
        replace(PAPER, learning_rate=1e-4, batch=2),
        (30_000, 45_000, 60_000),
        False,
        MaskTraining(width=1.0, steps=6_000, learning_rate=2e-4, vary=False, both=False),
    ),
}


def preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in PRESETS:
        raise UnknownNameError(f"unknown preset {name!r}: use one of {', '.join(PRESETS)}")
    return PRESETS[name]
