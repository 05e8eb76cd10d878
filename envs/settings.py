"""What an environment is made of: its keyword arguments, checked before any work starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from videoinpaint.checks import check_extent, check_grid, real_number, shown, whole_number
from videoinpaint.clips import ClipSource, MaskSource
from videoinpaint.clips.validate import MIN_SIZE
from videoinpaint.errors import InputError
from videoinpaint.inpainters.boundary_fusion import FUSIONS
from videoinpaint.precision import check_precision
from videoinpaint.protocols import Detector, Inpainter, MaskPropagator

MAX_THREADS = 1024
REWARDS = ("absolute", "improvement")
REWARD_WEIGHTS = ("action", "fixed")


@dataclass(frozen=True)
class Settings:
    """The keyword arguments that the single and the vector environment share; `VideoInpaintEnv` documents them."""

    clips: str | Path | ClipSource = "studio"
    masks: str | Path | MaskSource = "stationary"
    num_frames: int = 8
    height: int = 120
    width: int = 216
    max_iterations: int = 3
    inpainter: str | Inpainter = "compact"
    detector: str | Detector = "compact"
    backbone: str = "alex"
    reward: str = "absolute"
    reward_weights: str = "action"
    psnr_scale: float = 50.0
    compute_price: float = 0.0
    device: str = "auto"
    weights: str | None = None
    detector_weights: str | None = None
    flat_info: bool = False
    propagator: str | MaskPropagator | None = None
    """One-shot: what carries the first frame's mask through the clip; None: masks are given."""
    precision: str = "auto"
    bank: str | Path | None = None
    prefetch: int = 0
    fusion: str = "network"
    action_grid: tuple[int, int] | None = None
    reward_map: bool = False
    compile: bool = False
    skips: bool = False

    def __post_init__(self) -> None:
        check_extent(self.num_frames, self.height, self.width, least=(2, MIN_SIZE))
        whole_number(self.max_iterations, "max_iterations", 1, 10**6)
        for name, known in (("reward", REWARDS), ("reward_weights", REWARD_WEIGHTS), ("fusion", FUSIONS)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise InputError(f"unknown {name} {shown(value)}: use {' or '.join(map(repr, known))}")
        check_precision(self.precision)
        for name in ("weights", "detector_weights"):
            if not isinstance(getattr(self, name), str | Path | None):
                raise InputError(f"{name} is the path of a file, or 'random', got {shown(getattr(self, name))}")
        if not isinstance(self.backbone, str):
            raise InputError(f"backbone is the name of a network, got {shown(self.backbone)}")
        for name in ("flat_info", "reward_map", "compile", "skips"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InputError(f"{name} is True or False, got {shown(getattr(self, name))}")
        if not isinstance(self.bank, str | Path | None):
            raise InputError(f"bank is a folder, see `videoinpaint bank build`, got {shown(self.bank)}")
        whole_number(self.prefetch, "prefetch", 0, MAX_THREADS)
        real_number(self.compute_price, "compute_price", 0, 1e6)
        real_number(self.psnr_scale, "psnr_scale", 1e-3, 1e6)
        if self.action_grid is not None:
            object.__setattr__(self, "action_grid", check_grid(self.action_grid, self.height, self.width))
        if self.reward_map and (self.action_grid is None or self.reward != "improvement"):
            raise InputError(
                "reward_map says where an improvement arose: it needs action_grid and reward='improvement'"
            )

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape of one action."""
        return (5,) if self.action_grid is None else (*self.action_grid, 5)

    @property
    def varies(self) -> bool:
        """Whether an action may differ over the frame: it has more than one cell."""
        return self.action_grid not in (None, (1, 1))
