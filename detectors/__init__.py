"""Detectors behind one protocol (:class:`videoinpaint.protocols.Detector`), by name."""

from __future__ import annotations

import torch

from videoinpaint.protocols import Detector, make_precise
from videoinpaint.registry import Registry

DETECTORS = Registry(
    "detector",
    {
        "compact": "videoinpaint.detectors.compact:CompactDetector",
        "focal": "videoinpaint.detectors.focal:FocalDetector",
        "focal_hrnet": "videoinpaint.detectors.focal:focal_hrnet",
        "focal_hrnet_hdbscan": "videoinpaint.detectors.focal.detector:focal_hrnet_hdbscan",
        "focal_vit": "videoinpaint.detectors.focal.detector:focal_vit",
        "none": "videoinpaint.detectors.none:WholeHoleDetector",
    },
    methods=("detect",),
)

__all__ = ["DETECTORS", "make_detector"]


def make_detector(
    spec: str | Detector,
    *,
    device: str | torch.device = "cpu",
    weights: str | None = None,
    precision: str = "auto",
) -> Detector:
    """A detector by name, by ``module:attribute``, or itself.

    Args:
        spec: one of ``DETECTORS.names()``, ``"module:attribute"``, a class or another factory, or a detector
            (returned as it is). A factory gets those of the arguments below that it takes.
        device: where it computes.
        weights: a weight file of your own, or ``"random"`` for an untrained network, where the detector has weights;
            None for the shipped or fetched ones, and wherever ``spec`` is a detector that is built already.
        precision: "float32", "bfloat16", or "auto" for bfloat16 on CPUs that multiply it natively. Parts that have no
            choice compute in float32; :func:`videoinpaint.protocols.precision_of` tells what a part uses.

    Raises:
        UnknownNameError, MissingWeightsError, CorruptWeightsError.
        InputError: weights for a detector that takes none; an unknown precision, or another than a finished
            detector has; a detector without a stable name.
        PluginError: one of your own fails while it is imported or built.
    """
    return make_precise(DETECTORS.make, spec, device, weights, precision)
