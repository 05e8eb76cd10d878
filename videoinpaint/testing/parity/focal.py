"""The calls of FOCAL's parity fixtures (see :mod:`videoinpaint.testing.parity.fixtures`)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.detectors.focal.hrnet import HRNetExtractor
from videoinpaint.detectors.focal.vit import ViTConfig, ViTExtractor
from videoinpaint.testing.parity.calls import Fill


@torch.no_grad()
def parity_hrnet(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """``focal_hrnet``: features, the same with unit length, and what comes before."""
    network = HRNetExtractor()
    weights(network)
    stages = network.stages(inputs["image"])
    features = stages.pop("features")
    middle = {f"mid_{name}": value for name, value in stages.items()}
    return {"features": features, "features_unit": F.normalize(features, dim=1, eps=1e-12)} | middle


def parity_vit(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """``focal_vit``: the official encoder (1.2 GB of weights)."""
    return _parity_vit(inputs, weights, ViTConfig(image_size=inputs["image"].shape[-1]))


def parity_vit_tiny(inputs: dict[str, Tensor], weights: Fill) -> dict[str, Tensor]:
    """``focal_vit_tiny``: the same encoder with four narrow blocks."""
    size = inputs["image"].shape[-1]
    config = ViTConfig(size, width=128, depth=4, heads=4, global_blocks=(1, 3), channels=64, complete=False)
    return _parity_vit(inputs, weights, config)


@torch.no_grad()
def _parity_vit(inputs: dict[str, Tensor], weights: Fill, config: ViTConfig) -> dict[str, Tensor]:
    network = ViTExtractor(config)
    weights(network)
    stages = network.net.image_encoder.stages(inputs["image"])
    return {name if name == "features" else f"mid_{name}": value for name, value in stages.items()}
