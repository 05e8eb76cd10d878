"""Inpainters behind one protocol (:class:`videoinpaint.protocols.Inpainter`), by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from videoinpaint.checks import shown
from videoinpaint.errors import InputError
from videoinpaint.protocols import Inpainter, make_precise
from videoinpaint.registry import Registry

INPAINTERS = Registry(
    "inpainter",
    {
        "compact": "videoinpaint.inpainters.compact:CompactInpainter",
        "compact2": "videoinpaint.inpainters.compact:SecondCompactInpainter",
        "propagation": "videoinpaint.inpainters.flow_propagation:PropagationInpainter",
        "internal": "videoinpaint.inpainters.internal:InternalInpainter",
        "ciri": "videoinpaint.inpainters.ciri.inpainter:CIRIInpainter",
        "telea": "videoinpaint.inpainters.telea:TeleaInpainter",
        "sttn": "videoinpaint.inpainters.published.sttn.inpainter:STTNInpainter",
        "dstt": "videoinpaint.inpainters.published.dstt.inpainter:DSTTInpainter",
        "fuseformer": "videoinpaint.inpainters.published.fuseformer.inpainter:FuseFormerInpainter",
        "e2fgvi": "videoinpaint.inpainters.published.e2fgvi.inpainter:E2FGVIInpainter",
        "e2fgvi_hq": "videoinpaint.inpainters.published.e2fgvi.inpainter:E2FGVIHQInpainter",
        "propainter": "videoinpaint.inpainters.published.propainter.inpainter:ProPainterInpainter",
        "ciri_dstt": "videoinpaint.inpainters.ciri.published_inpainters:CIRIDSTTInpainter",
        "ciri_fuseformer": "videoinpaint.inpainters.ciri.published_inpainters:CIRIFuseFormerInpainter",
        "ciri_e2fgvi": "videoinpaint.inpainters.ciri.published_inpainters:CIRIE2FGVIInpainter",
        "ciri_e2fgvi_hq": "videoinpaint.inpainters.ciri.published_inpainters:CIRIE2FGVIHQInpainter",
        "ciri_propainter": "videoinpaint.inpainters.ciri.published_inpainters:CIRIProPainterInpainter",
    },
    methods=("begin", "refine"),
)

PUBLISHED = ("sttn", "dstt", "fuseformer", "e2fgvi", "e2fgvi_hq", "propainter")
"""Networks whose official weights are not part of this package: fetch them, or ask for ``weights="random"``.
Experimental: nobody has run the official weights with this package."""

AROUND_PUBLISHED = ("ciri_dstt", "ciri_fuseformer", "ciri_e2fgvi", "ciri_e2fgvi_hq", "ciri_propainter")
"""CIRI around networks of `PUBLISHED`, whose weights they need likewise."""

__all__ = ["AROUND_PUBLISHED", "INPAINTERS", "PUBLISHED", "make_inpainter"]


def make_inpainter(
    spec: str | Inpainter,
    *,
    device: str | torch.device = "cpu",
    weights: str | None = None,
    precision: str = "auto",
) -> Inpainter:
    """An inpainter by name, by ``module:attribute``, or itself.

    Args:
        spec: one of ``INPAINTERS.names()``, ``"module:attribute"``, a class or another factory, or an inpainter
            (returned as it is). A factory gets those of the arguments below that it takes.
        device: where it computes.
        weights: a weight file of your own, or ``"random"`` for an untrained network, where the inpainter has weights;
            None for the shipped or fetched ones, and wherever ``spec`` is an inpainter that is built already.
        precision: "float32", "bfloat16", or "auto" for bfloat16 on CPUs that multiply it natively. Parts that have no
            choice compute in float32; :func:`videoinpaint.protocols.precision_of` tells what a part uses.

    Raises:
        UnknownNameError, MissingWeightsError, CorruptWeightsError.
        InputError: weights for an inpainter that takes none; an unknown precision, or another than a finished
            inpainter has; an inpainter without a stable name.
        PluginError: one of your own fails while it is imported or built.
    """
    part: Inpainter = make_precise(INPAINTERS.make, spec, device, weights, precision)
    _check_claims(part)
    return part


def _check_claims(part: Inpainter) -> None:
    """Raise InputError where an inpainter does not say what it takes; the loop would fail on it later."""
    controls: Any = getattr(part, "controls", None)
    least: Any = getattr(part, "min_size", None)
    if not isinstance(controls, frozenset | set) or not controls <= {"heads", "fusion", "objective"}:
        raise InputError(
            f"the inpainter {part.name!r} needs controls, a set of 'heads', 'fusion', 'objective', got "
            f"{shown(controls)}"
        )
    regional: Any = getattr(part, "regional", frozenset())
    if not isinstance(regional, frozenset | set) or not regional <= controls:
        raise InputError(
            f"the inpainter {part.name!r} needs regional, a set of those of its controls that may vary over the frame, "
            f"got {shown(regional)}"
        )
    pair = isinstance(least, tuple | list) and len(least) == 2
    if not pair or not all(isinstance(side, int | np.integer) for side in least):
        raise InputError(f"the inpainter {part.name!r} needs min_size, a height and a width, got {shown(least)}")
