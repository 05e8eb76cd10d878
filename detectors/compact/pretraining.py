"""Pre-training of the compact detector on pseudo-inpainted clips, whose errors are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.detectors.compact.network import DetectorNetwork, shrink
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.weights import save_safetensors

POOR = 0.06  # mean absolute error over the channels above which a pixel counts as poor
Repair = Callable[[Tensor, Tensor, np.random.Generator], Tensor]
"""``repair(corrupted (B, T, 3, H, W), holes (B, T, 1, H, W), rng)``: a pseudo-inpainted clip, by whatever inpainter."""


def train_detector(data: Windows, repair: Repair, config: FitConfig, output: Path) -> Path:
    """Train and write the weights to ``output`` (safetensors, half precision).

    Args:
        data: training windows; its device is where the detector is trained.
        repair: makes the repairs that the detector learns to judge; mix inpainters, controls and passes.
        config: schedule, folder of the checkpoint, seed.
        output: the weight file.
    """
    torch.manual_seed(config.seed)
    network = DetectorNetwork().to(data.device)

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        return detection_loss(network, *draw_repair(data, repair, rng))

    held_out = [draw_repair(data, repair, np.random.default_rng([config.seed, 2**31, i])) for i in range(12)]
    fit(network, loss, config, evaluate=lambda _: precision(network, held_out))
    save_safetensors(output, {k: v.cpu().half().contiguous() for k, v in network.state_dict().items()}, {})
    return output


@torch.no_grad()
def draw_repair(data: Windows, repair: Repair, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A repair ``(B, T, 3, H, W)``, its holes and its error per channel ``(B, T, 3, H, W)``."""
    reference, holes = data.draw(rng)
    repaired = repair(reference * (1 - holes) + 0.5 * holes, holes, rng)
    return repaired, holes, (repaired - reference).abs()


def detection_loss(
    network: DetectorNetwork, repaired: Tensor, holes: Tensor, errors: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of being poor inside the hole, softened near the threshold, and L1 of ten times the errors.

    Args:
        network: what is trained.
        repaired: ``(B, T, 3, H, W)``.
        holes: ``(B, T, 1, H, W)``.
        errors: per channel ``(B, T, 3, H, W)``.
    """
    logits, estimates = network(repaired, holes)
    size = logits.shape[-2:]
    inside = shrink(holes, size) > 0.5
    target = torch.sigmoid((shrink(errors.mean(2, keepdim=True), size) - POOR) / (0.25 * POOR))
    poor = F.binary_cross_entropy_with_logits(logits[inside], target[inside])
    within = inside.expand_as(estimates)
    channels = F.l1_loss(estimates[within], shrink(errors, size)[within] * 10)
    return poor + 0.3 * channels, {"poor": float(poor.detach()), "channels": float(channels.detach())}


def precision(network: DetectorNetwork, batches: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """:func:`precision_of` the network's logits."""

    def score(repaired: Tensor, holes: Tensor) -> Tensor:
        logits, _ = network(repaired, holes)
        full = F.interpolate(logits.flatten(0, 1), size=repaired.shape[-2:], mode="bilinear")
        return full.unflatten(0, repaired.shape[:2])

    return precision_of(score, batches)


@torch.no_grad()
def precision_of(
    score: Callable[[Tensor, Tensor], Tensor], batches: list[tuple[Tensor, Tensor, Tensor]]
) -> dict[str, float]:
    """Average precision against the true error map inside the hole, and that of a constant mask.

    Args:
        score: of a repair and its holes, ``(B, T, 1, H, W)``: the higher, the poorer.
        batches: from :func:`draw_repair`.
    """
    scores, labels = [], []
    for repaired, holes, errors in batches:
        scores.append(score(repaired, holes)[holes > 0])
        labels.append(errors.mean(2, keepdim=True)[holes > 0] > POOR)
    share = torch.cat(labels).float().mean()
    found = average_precision_score(torch.cat(labels).cpu().numpy(), torch.cat(scores).cpu().numpy())
    return {"average_precision": float(found), "constant": float(share)}
