"""Inpainters behind one protocol (:class:`videoinpaint.protocols.Inpainter`), by name."""

from __future__ import annotations

from typing import Any

import torch

from videoinpaint.protocols import Inpainter
from videoinpaint.registry import Registry

INPAINTERS = Registry(
    "inpainter",
    {
        "compact": "videoinpaint.inpainters.compact:CompactInpainter",
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
        "ciri_dstt": "videoinpaint.inpainters.ciri.inpainter:CIRIDSTTInpainter",
        "ciri_fuseformer": "videoinpaint.inpainters.ciri.inpainter:CIRIFuseFormerInpainter",
        "ciri_e2fgvi": "videoinpaint.inpainters.ciri.inpainter:CIRIE2FGVIInpainter",
    },
)

PUBLISHED = ("sttn", "dstt", "fuseformer", "e2fgvi", "e2fgvi_hq", "propainter")
"""Networks whose official weights are not part of this package: fetch them, or ask for ``weights="random"``."""

AROUND_PUBLISHED = ("ciri_dstt", "ciri_fuseformer", "ciri_e2fgvi")
"""CIRI around networks of `PUBLISHED`, whose weights they need likewise."""

__all__ = ["AROUND_PUBLISHED", "INPAINTERS", "PUBLISHED", "make_inpainter"]


def make_inpainter(
    spec: str | Inpainter, *, device: str | torch.device = "cpu", weights: str | None = None
) -> Inpainter:
    """An inpainter by name, by ``module:attribute``, or itself.

    Args:
        spec: one of ``INPAINTERS.names()``, ``"module:attribute"`` of a factory, or an inpainter (returned as it is).
        device: where it computes.
        weights: a weight file of your own, or ``"random"`` where an inpainter allows it; None for the shipped ones.

    Raises:
        UnknownNameError, MissingWeightsError, CorruptWeightsError.
    """
    kwargs: dict[str, Any] = {"device": device} | ({} if weights is None else {"weights": weights})
    return INPAINTERS.make(spec, **kwargs)
