"""The parts of an environment, made from its settings; all that can be wrong with them is found here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.compiling import check_compiler
from videoinpaint.contract import check_size
from videoinpaint.detectors import make_detector
from videoinpaint.device import resolve_device
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.envs.rewards.reward import Reward
from videoinpaint.envs.settings import Settings
from videoinpaint.envs.states.episodes import EpisodeSource
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.boundary_fusion import fused
from videoinpaint.inpainters.propagators import make_propagator
from videoinpaint.plugins import told_as
from videoinpaint.protocols import Compilable, Detector, Inpainter, MaskPropagator, check_regional, is_untrained


@dataclass(frozen=True)
class Parts:
    """What an environment consists of.

    Attributes:
        device: where all of them compute.
        episodes: where clips and holes come from.
        loop: inpainter and detector.
        reward: its networks.
        propagator: one-shot, what follows the target from its first mask; else None.
    """

    device: torch.device
    episodes: EpisodeSource
    loop: ClosedLoop
    reward: Reward
    propagator: MaskPropagator | None

    @property
    def untrained(self) -> str:
        """Untrained parts ("inpainter sttn"), with commas between, "" for none; with them only cost means anything."""
        parts: list[tuple[str, Any]] = [("inpainter", self.loop.inpainter), ("detector", self.loop.detector)]
        parts += [("propagator", self.propagator)] if self.propagator is not None else []
        return ", ".join(f"{role} {part.name}" for role, part in parts if is_untrained(part))


def make_parts(settings: Settings, shape: tuple[int, int, int]) -> Parts:
    """The parts that the settings name.

    Args:
        settings: of the environment.
        shape: of its clips, ``(T, H, W)``.

    Raises:
        InputError, UnknownNameError, MissingWeightsError, CorruptWeightsError: before any work starts.
    """
    device = resolve_device(settings.device)
    propagator = None if settings.propagator is None else make_propagator(settings.propagator, device=device)
    followed_by = None if propagator is None else propagator.name
    episodes = EpisodeSource(make_clips(settings.clips), make_masks(settings.masks), shape, followed_by)
    where: dict[str, Any] = {"device": device, "precision": settings.precision}
    made = make_inpainter(settings.inpainter, weights=settings.weights, **where)
    inpainter = fused(made, settings.fusion)
    check_size(inpainter, *shape[1:])
    remedy = "leave action_grid out" if settings.propagator else "leave action_grid out, or give fusion='boundary'"
    check_regional(inpainter, settings.action_grid, remedy)
    detector = make_detector(settings.detector, weights=settings.detector_weights, **where)
    if settings.compile:
        _compile(made, detector, device)
    loop = ClosedLoop(inpainter, detector, device, measure_full=settings.compute_price > 0)
    reward = Reward(settings.backbone, device=device, psnr_scale=settings.psnr_scale)
    return Parts(device, episodes, loop, reward, propagator)


def _compile(inpainter: Inpainter, detector: Detector, device: torch.device) -> None:
    """Compile the parts that can be; raise InputError where neither can, or nothing can here."""
    roles = {"inpainter": inpainter, "detector": detector}
    parts = {role: part for role, part in roles.items() if isinstance(part, Compilable)}
    if not parts:
        raise InputError(
            f"compile=True changes nothing: neither the inpainter {inpainter.name!r} nor the detector "
            f"{detector.name!r} can be compiled: leave it out"
        )
    check_compiler(device)
    for role, part in parts.items():
        with told_as(role, part, "compile"):
            part.compile()
