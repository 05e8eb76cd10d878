"""How published networks are trained: the published numbers by name, and small ones that a laptop can run.

Where the published numbers stand: ``configs/youtube-vos.json`` of ruiliu-ai/FuseFormer and ruiliu-ai/DSTT,
``configs/train_e2fgvi.json`` and ``train_e2fgvi_hq.json`` of MCG-NKU/E2FGVI, ``configs/train_propainter.json`` and
``train_flowcomp.json`` of sczhou/ProPainter; for STTN the paper's section on its implementation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from videoinpaint.errors import UnknownNameError
from videoinpaint.inpainters.published.sizes import Sizes


@dataclass(frozen=True)
class Recipe:
    """A training by numbers.

    Attributes:
        iterations: optimiser steps.
        learning_rate: Adam's, for the network and its critic.
        steps: iterations at which the rate falls to ``factor`` of what it was; none: a cosine after a warm-up.
        factor: see ``steps``.
        betas: Adam's.
        warmup: iterations in which the rate rises.
        clip: bound of the gradient's length; 1e6: none.
        average: decay of the averaged weights that are kept; 0: the last ones.
        batch: windows a step.
        num_frames: frames of a window, out of which a step takes its frames.
        local, references: neighbouring frames that are painted, and others that the transformer sees beside them. With
            no motion all frames are alike: ``local`` of them, in a row or scattered over the window with equal chance.
        height, width: of a window.
        plain: see :class:`videoinpaint.clips.sources.augmented.Windows`.
        hole, valid: weights of the L1 distance inside the holes and outside, each over its own area.
        adversarial: weight of what the critic says.
        flow: weight of the distance of the network's own flows (E2FGVI) from those of the true frames.
        critic: channels of the critic's first layer, and its layers.
        sizes: of the network; None for the published ones.
    """

    iterations: int
    learning_rate: float = 1e-4
    steps: tuple[int, ...] = ()
    factor: float = 0.1
    betas: tuple[float, float] = (0.0, 0.99)
    warmup: int = 0
    clip: float = 1e6
    average: float = 0.0
    batch: int = 8
    num_frames: int = 40
    local: int = 5
    references: int = 0
    height: int = 240
    width: int = 432
    plain: bool = True
    hole: float = 1.0
    valid: float = 1.0
    adversarial: float = 0.01
    flow: float = 0.0
    critic: tuple[int, int] = (64, 6)
    sizes: Sizes | None = None


_FRAMES = Recipe(500_000, steps=(400_000,))  # DSTT and FuseFormer
_FLOW_GUIDED = replace(_FRAMES, references=3, flow=1.0)
PAPER = {
    "sttn": replace(_FRAMES, steps=(150_000, 300_000, 450_000)),
    "dstt": _FRAMES,
    "fuseformer": _FRAMES,
    "e2fgvi": _FLOW_GUIDED,
    "e2fgvi_hq": _FLOW_GUIDED,
    "propainter": Recipe(700_000, steps=(400_000,), local=10, references=6),
}

_SLIM = Sizes(depth=2, dim=96, hidden=392, height=48, width=96)
_SMALL = Recipe(
    400, 5e-4, betas=(0.9, 0.99), warmup=20, clip=1.0, average=0.98, batch=2, num_frames=5, local=3, height=48,
    width=96, plain=False, critic=(8, 5), sizes=_SLIM,
)  # fmt: skip
_WHOLE_WINDOWS = replace(_SMALL, references=1, height=60, width=108, sizes=replace(_SLIM, height=60, width=108))
SMALL = {
    "sttn": _SMALL,
    "dstt": _SMALL,
    "fuseformer": _SMALL,
    "e2fgvi": replace(_WHOLE_WINDOWS, flow=1.0),
    "e2fgvi_hq": replace(_WHOLE_WINDOWS, flow=1.0),
    "propainter": replace(_SMALL, references=1, height=64, sizes=replace(_SLIM, height=64, dis=1)),
}

COMPLETION = {
    "paper": {
        "propainter": Recipe(
            700_000, 5e-5, steps=(300_000, 400_000, 500_000, 600_000), factor=0.2, num_frames=10, local=10, flow=0.25
        ),
        "e2fgvi": Recipe(500_000, steps=(400_000,), num_frames=5, flow=1.0),
    },
    "small": {
        "propainter": replace(_SMALL, num_frames=4, local=4, height=64, flow=0.25),
        "e2fgvi": replace(_SMALL, num_frames=3, height=64, flow=1.0),
    },
}
"""Of flow completion, by preset and network; ``flow`` weighs its distances."""

RECIPES = {"paper": PAPER, "small": SMALL}


def recipe_of(name: str, preset: str) -> Recipe:
    """The numbers of a preset.

    Raises:
        UnknownNameError: no such network or preset.
    """
    if preset not in RECIPES or name not in PAPER:
        raise UnknownNameError(f"no preset {preset!r} for {name!r}: presets are paper and small, of {', '.join(PAPER)}")
    return RECIPES[preset][name]
