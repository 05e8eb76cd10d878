"""Detectors behind one protocol (:class:`videoinpaint.protocols.Detector`), by name."""

from __future__ import annotations

from typing import Any

import torch

from videoinpaint.protocols import Detector
from videoinpaint.registry import Registry

DETECTORS = Registry(
    "detector",
    {
        "compact": "videoinpaint.detectors.compact:CompactDetector",
        "focal": "videoinpaint.detectors.focal:FocalDetector",
        "focal_hrnet": "videoinpaint.detectors.focal:focal_hrnet",
        "none": "videoinpaint.detectors.none:WholeHoleDetector",
    },
)

__all__ = ["DETECTORS", "make_detector"]


def make_detector(spec: str | Detector, *, device: str | torch.device = "cpu", weights: str | None = None) -> Detector:
    """A detector by name, by ``module:attribute``, or itself.

    Args:
        spec: one of ``DETECTORS.names()``, ``"module:attribute"`` of a factory, or a detector (returned as it is).
        device: where it computes.
        weights: a weight file of your own; "random" for an untrained network; None for the shipped or fetched ones.

    Raises:
        UnknownNameError, MissingWeightsError, CorruptWeightsError.
    """
    kwargs: dict[str, Any] = {"device": device} | ({} if weights is None else {"weights": weights})
    return DETECTORS.make(spec, **kwargs)
