"""Training of the alignment module T."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.metrics.alignment import Aligner, Encoder, grid_flow
from videoinpaint.metrics.backbone import Backbone, get_backbone
from videoinpaint.motion.flow import dis_flow
from videoinpaint.weights import save_safetensors


def train_aligner(data: Windows, config: FitConfig, output: Path, net: str = "alex") -> Path:
    """Train T by the L1 distance between T(E(Y_t), D) and E(Y_{t+1}), with D random; write it in half precision.

    An interrupted training goes on from the checkpoint in ``config.folder`` and ends as an uninterrupted one would.

    Args:
        data: training windows of two frames or more; their masks serve as shapes of D. T is trained on their device.
        config: schedule, folder of the checkpoint, seed.
        output: the weight file; its metadata names the backbone.
        net: "alex" or "vgg16".

    Returns:
        ``output``.

    Raises:
        InputError: windows of a single frame.
        UnknownNameError, MissingWeightsError: no such backbone, or its weights are absent.
    """
    if data.num_frames < 2:
        raise InputError(
            f"the aligner learns from neighbouring frames: num_frames must be 2 or more, got {data.num_frames}"
        )
    torch.manual_seed(config.seed)
    aligner, backbone = Aligner(net).to(data.device), get_backbone(net, str(data.device))

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, holes = data.draw(rng)
        source, target, flow = pairs(frames, backbone, aligner.encoder)
        aligned = aligner(source, flow, random_weights(holes, rng)[:, :-1].flatten(0, 1))
        # Relative to the features' size, so that a dark clip teaches as much as a bright one.
        value = (aligned - target).abs().mean() / target.abs().mean().clamp_min(1e-3)
        return value, {"relative": float(value.detach())}

    fit(aligner, loss, config)
    metadata = {"backbone": net, "layer": aligner.encoder.layer, "iterations": config.iterations, "seed": config.seed}
    return save_safetensors(output, {k: v.half().cpu() for k, v in aligner.state_dict().items()}, metadata)


@torch.no_grad()
def pairs(frames: Tensor, backbone: Backbone, encoder: Encoder) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbouring frames as T sees them: E(Y_t), E(Y_{t+1}) ``(N, C, h, w)`` and the backward flow in cells.

    Args:
        frames: ``(B, T, 3, H, W)`` in [0, 1], T >= 2; N is B * (T - 1).
        backbone: the frozen network.
        encoder: which of its layers.
    """
    features = backbone(frames, encoder.layer + 1)[-1].unflatten(0, frames.shape[:2])
    flow = dis_flow(frames[:, 1:].flatten(0, 1), frames[:, :-1].flatten(0, 1))
    size = (features.shape[-2], features.shape[-1])
    return features[:, :-1].flatten(0, 1), features[:, 1:].flatten(0, 1), grid_flow(flow, encoder, size)


def random_weights(holes: Tensor, rng: np.random.Generator) -> Tensor:
    """D as a detector might give it: a random strength per channel, uneven inside the holes, nothing elsewhere.

    Args:
        holes: ``(B, T, 1, H, W)`` in {0, 1}.
        rng: source of randomness.

    Returns:
        ``(B, T, 3, H, W)``, >= 0.
    """
    coarse = torch.from_numpy(rng.random((holes.shape[0] * holes.shape[1], 3, 4, 7), dtype=np.float32))
    uneven = F.interpolate(coarse.to(holes), size=holes.shape[-2:], mode="bilinear", align_corners=False)
    return uneven.unflatten(0, holes.shape[:2]) * holes * float(rng.uniform(0, 2))
