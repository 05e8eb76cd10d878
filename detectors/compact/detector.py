"""The compact detector behind the protocol."""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.compiling import compile_methods
from videoinpaint.detectors.compact.network import DetectorNetwork
from videoinpaint.precision import autocast, resolve_precision
from videoinpaint.protocols import Detection
from videoinpaint.resampling import enlarged
from videoinpaint.weights import build_loaded, build_seeded

WEIGHTS = "detector-compact"


class CompactDetector:
    """Flags pixels inside M0 that look poorly repaired.

    Args:
        device: where it computes.
        weights: a safetensors file; ``"random"`` for an untrained network (seed 0); None for the shipped weights.
        precision: "float32", "bfloat16", or "auto" for bfloat16 on CPUs that multiply it natively.

    Attributes:
        random_weights: whether the network is untrained.
        precision: what is used, "float32" or "bfloat16".

    Raises:
        MissingWeightsError, CorruptWeightsError.
        InputError: an unknown precision.
    """

    name = "compact"

    def __init__(self, device: str | torch.device = "cpu", weights: str | None = None, precision: str = "auto") -> None:
        self.device = torch.device(device)
        self.precision = resolve_precision(precision, self.device)
        self.random_weights = weights == "random"
        if self.random_weights:
            self.network = build_seeded(DetectorNetwork)
        else:
            self.network = build_loaded(DetectorNetwork, WEIGHTS, weights)
        self.network.eval().requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)

    def compile(self) -> None:
        """See :class:`videoinpaint.protocols.Compilable`."""
        compile_methods(self.network, "forward")

    @torch.no_grad()
    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        """See :class:`videoinpaint.protocols.Detector`. Channel weights average to the mask over the channels."""
        with autocast(self.device, self.precision):
            logits, errors = (out.float() for out in self.network(repaired, masks))
        shares = 3 * errors / errors.sum(2, keepdim=True).clamp_min(1e-6)
        size = (repaired.shape[-2], repaired.shape[-1])
        poor = torch.sigmoid(enlarged(logits, size)) * masks
        return Detection(poor, poor * enlarged(shares, size))
