"""The reward of CLIP-RL, Eq. 3-6, for a batch of episodes: measuring (raw terms) apart from weighting (`combine`).

One pass of one frozen backbone over the repaired frames gives the perceptual term, LPIPS and the features of the
temporal term. What depends on the reference alone is computed once, in `begin`; nothing but the reward reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from videoinpaint.device import may_look
from videoinpaint.errors import InputError
from videoinpaint.metrics.alignment import grid_flow, load_aligner
from videoinpaint.metrics.backbone import Backbone, get_backbone, layer_distance
from videoinpaint.metrics.checks import check_frames, check_holes, check_pair
from videoinpaint.metrics.quality import PSNR_CAP, decibel, frame_mse, hole_mse, ssim_map
from videoinpaint.motion.flow import dis_flow
from videoinpaint.precision import autocast
from videoinpaint.protocols import State

METRICS = ("psnr", "ssim", "lpips", "perceptual", "wta", "psnr_hole")
"""What `Reward.measure` returns, raw: psnr and psnr_hole in dB, in [0, 100]; ssim in [-1, 1]; the other three >= 0."""

TERMS = ("ssim", "psnr", "perceptual", "lpips", "wta")
"""The weighted terms that add up to the reward."""

PSNR_SCALE = 50.0
"""PSNR enters the reward in units of this many dB (DESIGN.md, section 5); 1 gives raw dB."""

SSIM_WINDOW = 7

Given = ParamSpec("Given")
Found = TypeVar("Found")


def in_float32(
    measure: Callable[Concatenate[Reward, Given], Found],
) -> Callable[Concatenate[Reward, Given], Found]:
    """What a reward measures, in float32 even where the caller autocasts: an episode earns the same everywhere."""

    @wraps(measure)
    def measured(reward: Reward, *args: Given.args, **kwargs: Given.kwargs) -> Found:
        with autocast(reward.device, "float32"):
            return measure(reward, *args, **kwargs)

    return measured


class Reward:
    """Scores repairs against the reference.

    Args:
        backbone: "alex" (default) or "vgg16", behind LPIPS, the perceptual and the temporal term.
        device: where states live and scores are computed.
        psnr_scale: see ``PSNR_SCALE``.
        aligner: weights of T; None for the shipped ones, "warp" for the plain warp by flow.

    Raises:
        UnknownNameError, MissingWeightsError, CorruptWeightsError: see ``Backbone`` and ``load_aligner``.
    """

    def __init__(
        self,
        backbone: str = "alex",
        device: str | torch.device = "cpu",
        *,
        psnr_scale: float = PSNR_SCALE,
        aligner: str | None = None,
    ) -> None:
        if not psnr_scale > 0:
            raise InputError(f"psnr_scale must be positive, got {psnr_scale}")
        self.device, self.psnr_scale = torch.device(device), float(psnr_scale)
        self.backbone: Backbone = get_backbone(backbone, str(self.device))
        self.aligner = load_aligner(backbone, aligner).to(self.device)
        self.encoder = self.aligner.encoder

    @torch.no_grad()
    @in_float32
    def begin(self, reference: Tensor, holes: Tensor) -> State:
        """What stays the same within an episode.

        Args:
            reference: Y ``(B, T, 3, H, W)``, float in [0, 1] or uint8.
            holes: M0 ``(B, T, 1, H, W)``, 1 = missing.

        Returns:
            tensors that each lead with B: the reference and its holes, its features ``features0..4``
            ``(B, T, h, w, C)``, and its backward flow at the feature grid, ``flow (B, T-1, 2, h, w)``.

        Raises:
            InputError: wrong shapes or values, or frames too small for the backbone.
        """
        reference = reference.to(self.device)
        reference = reference.float() / 255 if reference.dtype == torch.uint8 else reference.float()
        check_frames(reference, "reference")
        check_holes(reference, holes)
        batch, length = reference.shape[:2]
        # Channels last, which is how the backbone leaves them in memory and how what is kept of them comes back.
        features = [layer.movedim(1, -1).unflatten(0, (batch, length)) for layer in self.backbone(reference)]
        size = features[self.encoder.layer].shape[2:4]
        flow = dis_flow(reference[:, 1:].flatten(0, 1), reference[:, :-1].flatten(0, 1))
        state = {"reference": reference, "holes": (holes > 0).to(self.device, torch.float32)}
        # reshape, not unflatten: a single frame has no flow, and 0 elements have no shape to infer
        state["flow"] = grid_flow(flow, self.encoder, (size[0], size[1])).reshape(batch, length - 1, 2, *size)
        return state | {f"features{k}": layer for k, layer in enumerate(features)}

    @in_float32
    def features(self, repaired: Tensor) -> list[Tensor]:
        """The backbone's features of a repair, as :meth:`measure` takes them."""
        return self.backbone(repaired)

    @torch.no_grad()
    @in_float32
    def measure(
        self, state: State, repaired: Tensor, weights: Tensor, features: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The raw terms of one repair, each float32 ``(B,)``; see ``METRICS``.

        Args:
            state: from :meth:`begin`.
            repaired: Yhat_n ``(B, T, 3, H, W)`` in [0, 1].
            weights: D_n ``(B, T, 3, H, W)``, >= 0.
            features: from :meth:`features`, where they are there already.

        Raises:
            InputError: shapes that do not belong to the state, values outside [0, 1] or NaN.
        """
        reference, holes = state["reference"], state["holes"]
        if may_look(repaired):
            check_pair(repaired, reference)
        repaired, weights = repaired.float(), weights.float()
        if weights.shape != reference.shape:
            raise InputError(f"D must have shape {tuple(reference.shape)}, got {tuple(weights.shape)}")
        features = self.backbone(repaired) if features is None else features
        cached = features_of(state)
        return {
            "psnr": decibel(frame_mse(repaired, reference)).mean(1, dtype=torch.float64).float(),
            "ssim": _mean_ssim(repaired, reference),
            "lpips": self.backbone.lpips(features, cached)
            .view(reference.shape[:2])
            .mean(1, dtype=torch.float64)
            .float(),
            "perceptual": layer_distance(features, cached)
            .view(reference.shape[:2])
            .mean(1, dtype=torch.float64)
            .float(),
            "wta": self._temporal(state["flow"], features, cached, weights),
            "psnr_hole": _psnr_hole(repaired, reference, holes),
        }

    def _temporal(self, flow: Tensor, features: Sequence[Tensor], truth: Sequence[Tensor], weights: Tensor) -> Tensor:
        """L_wta of Eq. 4: how far the aligned features of each frame are from the reference's in the next."""
        batch, length = weights.shape[:2]
        if length < 2:
            return torch.zeros(batch, device=weights.device)
        seen, true = (layers[self.encoder.layer].unflatten(0, (batch, length)) for layers in (features, truth))
        source, target = seen[:, :-1].flatten(0, 1), true[:, 1:].flatten(0, 1)
        aligned = self.aligner(source, flow.flatten(0, 1), weights[:, :-1].flatten(0, 1))
        # In double precision, rounded once, so that an episode scores the same in a batch of any size.
        distances = (aligned - target).abs().mean((1, 2, 3), dtype=torch.float64)
        return distances.view(batch, -1).mean(1).float()

    def combine(
        self, metrics: dict[str, Tensor], alpha: Any, beta: Any, gamma: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 6 with this reward's ``psnr_scale``; see :func:`combine`."""
        return combine(metrics, alpha, beta, gamma, self.psnr_scale)


def features_of(state: State) -> list[Tensor]:
    """The reference's features ``(B T, C, h, w)`` of every layer, from the state of :meth:`Reward.begin`."""
    return [state[f"features{k}"].flatten(0, 1).movedim(-1, 1) for k in range(5)]


def combine(
    metrics: dict[str, Tensor], alpha: Any, beta: Any, gamma: Any, psnr_scale: float = PSNR_SCALE
) -> tuple[Tensor, dict[str, Tensor]]:
    """Eq. 6: ``R = alpha (Q_s + Q_p) - beta (L_perce + L_lpips) - gamma L_wta``; nothing but its arguments matters.

    Args:
        metrics: from ``Reward.measure``.
        alpha: ``(B,)`` or a number, as are beta and gamma.
        beta: weight of the perceptual terms.
        gamma: weight of the temporal term.
        psnr_scale: dB that count as 1.

    Returns:
        the reward ``(B,)`` and its weighted terms, signed, so that they add up to it; see ``TERMS``.
    """
    like = metrics["psnr"]
    a, b, c = (torch.as_tensor(value, dtype=like.dtype, device=like.device) for value in (alpha, beta, gamma))
    terms = {
        "ssim": a * metrics["ssim"],
        "psnr": a * metrics["psnr"] / psnr_scale,
        "perceptual": -b * metrics["perceptual"],
        "lpips": -b * metrics["lpips"],
        "wta": -c * metrics["wta"],
    }
    return torch.stack([terms[name] for name in TERMS]).sum(0), terms


def _psnr_hole(repaired: Tensor, reference: Tensor, holes: Tensor) -> Tensor:
    """Mean over the frames that have a hole; an episode without any is perfect."""
    mse = hole_mse(repaired, reference, holes)
    return torch.nan_to_num(decibel(mse).double().nanmean(1).float(), nan=PSNR_CAP)


def _mean_ssim(repaired: Tensor, reference: Tensor) -> Tensor:
    """Mean SSIM ``(B,)``, computed only where a window meets a pixel that differs: everywhere else it is exactly 1.

    Where Python may not look for such pixels, it is computed everywhere.
    """
    height, width = reference.shape[-2:]
    if min(height, width) < SSIM_WINDOW:
        raise InputError(f"SSIM needs frames of {SSIM_WINDOW} pixels a side or more, got {height}x{width}")
    (top, bottom), (left, right) = (0, height), (0, width)
    if may_look(repaired):
        differs = (repaired != reference).flatten(0, 2).any(0)
        (top, bottom), (left, right) = _span(differs.any(1), height), _span(differs.any(0), width)
    part = (..., slice(top, bottom), slice(left, right))
    lost = 1 - ssim_map(repaired[part], reference[part], SSIM_WINDOW, torch.float32)
    lost = lost.flatten(1).sum(1, dtype=torch.float64)
    windows = (height - SSIM_WINDOW + 1) * (width - SSIM_WINDOW + 1)
    return (1 - lost / (reference.shape[1] * 3 * windows)).float()


def _span(differs: Tensor, size: int) -> tuple[int, int]:
    """First and last-plus-one row of the part whose windows hold every differing row and only whole windows."""
    rows = torch.nonzero(differs).flatten()
    if not len(rows):
        return 0, SSIM_WINDOW
    reach = SSIM_WINDOW - 1
    return max(int(rows[0]) - reach, 0), min(int(rows[-1]) + 1 + reach, size)
