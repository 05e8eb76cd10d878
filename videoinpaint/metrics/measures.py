"""Every metric of the protocol for one repaired clip, with the reference's share of the work done once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.metrics import edge_similarity, gms, psnr, psnr_hole, ssim, ssim65, ssim_hole
from videoinpaint.metrics.backbone import get_backbone
from videoinpaint.metrics.temporal import reference_motion
from videoinpaint.metrics.vfid import frechet_distance, vfid_available, vfid_features
from videoinpaint.motion.flow import warp

HOLE_METRICS = ("psnr_hole", "ssim_hole", "lpips_hole", "e_warp_hole")
FRAME_METRICS = ("psnr", "ssim", "ssim65", "lpips", "e_warp", "gms", "es")
METRICS = HOLE_METRICS + FRAME_METRICS
"""Hole metrics first: whole-frame PSNR with a small hole flatters everybody."""

HIGHER_IS_BETTER = frozenset({"psnr_hole", "ssim_hole", "psnr", "ssim", "ssim65", "gms", "es"})
E_WARP_SCALE = 1000.0
"""Published tables print the squared warping difference in thousandths; so do ours."""

_CHUNK = 8  # frames measured at a time, which bounds memory


class Reference:
    """A reference clip, ready to measure repairs of it.

    Args:
        frames: Y ``(1, T, 3, H, W)`` in [0, 1].
        holes: M0 ``(1, T, 1, H, W)`` in {0, 1}.
    """

    def __init__(self, frames: Tensor, holes: Tensor) -> None:
        self.frames, self.holes = frames.float(), holes.float()
        self.backbone = get_backbone("alex", str(frames.device))
        with torch.no_grad():
            self._features = [self.backbone(part[0]) for part in self.frames.split(_CHUNK, dim=1)]
        self._flow, self._visible = reference_motion(self.frames)

    @torch.no_grad()
    def measure(self, repaired: Tensor) -> dict[str, float]:
        """Means over frames of ``METRICS``; frames without a hole do not count in hole metrics.

        The repair is rounded to uint8 first, as what is written to a file is what counts. ``ssim65`` is NaN for frames
        of fewer than 65 pixels a side.
        """
        repaired = as_written(repaired.float())
        parts = [self._chunk(i, part) for i, part in enumerate(repaired.split(_CHUNK, dim=1))]
        means = {name: float(torch.cat([part[name] for part in parts]).nanmean()) for name in parts[0]}
        means |= self._warped(repaired)
        return {name: means[name] for name in METRICS}

    def _chunk(self, index: int, repaired: Tensor) -> dict[str, Tensor]:
        """Per-frame metrics ``(t,)`` of the ``index``-th few frames."""
        here = slice(index * _CHUNK, index * _CHUNK + repaired.shape[1])
        truth, holes = self.frames[:, here], self.holes[:, here]
        measured = {
            "psnr_hole": psnr_hole(repaired, truth, holes),
            "ssim_hole": ssim_hole(repaired, truth, holes),
            "psnr": psnr(repaired, truth),
            "ssim": ssim(repaired, truth),
            "gms": gms(repaired, truth, holes),
            "es": edge_similarity(repaired, truth, holes),
        }
        large = min(truth.shape[-2:]) >= 65
        measured["ssim65"] = ssim65(repaired, truth) if large else torch.full_like(measured["ssim"], torch.nan)
        whole, inside = self._perceptual(index, repaired, holes)
        return {name: values.flatten() for name, values in measured.items()} | {"lpips": whole, "lpips_hole": inside}

    def _perceptual(self, index: int, repaired: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
        """LPIPS of whole frames and inside the hole, out of one pass of the backbone."""
        maps = self.backbone.lpips_maps(self.backbone(repaired[0]), self._features[index])
        whole = torch.stack([m.flatten(1).mean(1) for m in maps]).sum(0)
        shares = [F.adaptive_avg_pool2d(holes[0], (m.shape[-2], m.shape[-1])) for m in maps]
        inside = [(m * s).flatten(1).sum(1) / s.flatten(1).sum(1) for m, s in zip(maps, shares)]
        return whole, torch.stack(inside).sum(0)

    def _warped(self, repaired: Tensor) -> dict[str, float]:
        """E_warp as in :func:`videoinpaint.metrics.warp_error`; pairs in which nothing stays visible do not count."""
        moved = warp(repaired[0, 1:], self._flow[0])
        squared = (repaired[0, :-1] - moved).square().mean(1, keepdim=True).double()
        errors = {}
        for name, where in (("e_warp", self._visible[0]), ("e_warp_hole", self._visible[0] * self.holes[0, :-1])):
            pixels = where.double().flatten(1).sum(1)
            per_pair = (squared * where).flatten(1).sum(1) / pixels
            errors[name] = E_WARP_SCALE * float(per_pair[pixels > 0].mean())
        return errors


class VideoDistances:
    """VFID of several methods on the same clips, where I3D's weights are present; nothing where they are not.

    Unlike the other metrics it belongs to a set of clips: add all of a method's repairs, then ask.
    """

    def __init__(self) -> None:
        self.available = vfid_available()
        self._truth: list[NDArray[np.float64]] = []
        self._repaired: dict[str, list[NDArray[np.float64]]] = {}

    def add_truth(self, frames: Tensor) -> None:
        """A reference clip ``(1, T, 3, H, W)``."""
        if self.available:
            self._truth.append(vfid_features(frames))

    def add(self, method: str, repaired: Tensor) -> None:
        """A method's repair of the clip that was added last."""
        if self.available:
            self._repaired.setdefault(method, []).append(vfid_features(as_written(repaired)))

    def distances(self) -> dict[str, float]:
        """VFID by method; empty without weights, or with fewer than two clips."""
        if len(self._truth) < 2:
            return {}
        truth = np.concatenate(self._truth)
        return {name: frechet_distance(truth, np.concatenate(found)) for name, found in self._repaired.items()}


def as_written(frames: Tensor) -> Tensor:
    """Frames in [0, 1] as a file would hold them: rounded to uint8."""
    return frames.mul(255).round().clamp(0, 255).div(255)
