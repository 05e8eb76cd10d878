"""Mask propagators behind one protocol (:class:`videoinpaint.protocols.MaskPropagator`), by name."""

from __future__ import annotations

from typing import Any

import torch

from videoinpaint.inpainters.propagators.annotated import follow_from
from videoinpaint.inpainters.propagators.common import GivenTracker, check_target, predict_masks
from videoinpaint.protocols import MaskPropagator, stacked_masks
from videoinpaint.registry import Registry

PROPAGATORS = Registry(
    "propagator",
    {
        "flow": "videoinpaint.inpainters.propagators.flow:FlowPropagator",
        "appearance": "videoinpaint.inpainters.propagators.flow:AppearancePropagator",
        "internal": "videoinpaint.inpainters.propagators.internal_learning:InternalPropagator",
        "cutie": "videoinpaint.inpainters.propagators.cutie:CutiePropagator",
        "held": "videoinpaint.inpainters.propagators.common:HeldPropagator",
    },
    methods=("start",),
)

__all__ = [
    "PROPAGATORS",
    "GivenTracker",
    "check_target",
    "follow_from",
    "make_propagator",
    "predict_masks",
    "stacked_masks",
]


def make_propagator(
    spec: str | MaskPropagator, *, device: str | torch.device = "cpu", **options: Any
) -> MaskPropagator:
    """A mask propagator by name, by ``module:attribute``, or itself.

    Args:
        spec: one of ``PROPAGATORS.names()``, ``"module:attribute"``, a class or another factory, or a propagator
            (returned as it is).
        device: where it computes.
        options: passed to the factory, such as ``weights="random"`` for "cutie" or ``steps=200`` for "internal".

    Raises:
        UnknownNameError, MissingWeightsError, CorruptWeightsError, MissingPackageError.
        InputError: options that the propagator does not take; a propagator without a stable name.
        PluginError: one of your own fails while it is imported or built.
    """
    return PROPAGATORS.make(spec, options, device=device)
