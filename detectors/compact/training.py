"""Pre-training of the compact detector by pixel-level contrast on pseudo-inpainted clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.clips.windows import Windows
from videoinpaint.detectors.compact.network import DetectorNetwork, shrink
from videoinpaint.training import FitConfig, fit
from videoinpaint.weights import save_safetensors

TEMPERATURE_CONTRAST = 0.2
POOR = 0.06  # mean absolute error over the channels above which a pixel counts as poor
Repair = Callable[[Tensor, Tensor, np.random.Generator], Tensor]
"""``repair(corrupted (B, T, 3, H, W), holes (B, T, 1, H, W), rng)``: a pseudo-inpainted clip, by whatever inpainter."""


def train_detector(data: Windows, repair: Repair, config: FitConfig, output: Path) -> Path:
    """Train and write the weights to ``output`` (safetensors, half precision).

    Args:
        data: training windows.
        repair: makes the repairs that the detector learns to judge; mix inpainters, controls and passes.
        config: schedule, folder of the checkpoint, seed.
        output: the weight file.
    """
    torch.manual_seed(config.seed)
    network = DetectorNetwork()

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        return contrastive_loss(network, *draw_repair(data, repair, rng), rng)

    held_out = [draw_repair(data, repair, np.random.default_rng([config.seed, 2**31, i])) for i in range(12)]
    fit(network, loss, config, evaluate=lambda _: precision(network, held_out))
    save_safetensors(output, {k: v.half().contiguous() for k, v in network.state_dict().items()}, {})
    return output


@torch.no_grad()
def draw_repair(data: Windows, repair: Repair, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A repair ``(B, T, 3, H, W)``, its holes and its error per channel ``(B, T, 3, H, W)``."""
    reference, holes = data.draw(rng)
    repaired = repair(reference * (1 - holes) + 0.5 * holes, holes, rng)
    return repaired, holes, (repaired - reference).abs()


def contrastive_loss(
    network: DetectorNetwork, repaired: Tensor, holes: Tensor, errors: Tensor, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    """InfoNCE among sampled pixels of each clip, agreement with the prototypes, and the channel estimate.

    Poor pixels attract each other and repel authentic ones, which are the known pixels and the well repaired ones.
    """
    features, estimates = network(repaired, holes)
    size = features.shape[-2:]
    small = shrink(holes, size)
    error = shrink(errors.mean(2, keepdim=True), size)
    inside = small > 0.5
    poor = inside & (error > POOR)
    fine = inside & (error < POOR * 0.6)
    contrast = torch.stack(
        [
            _info_nce(f.movedim(1, -1), p[:, 0], g[:, 0], k[:, 0], rng)
            for f, p, g, k in zip(features, poor, fine, small == 0)
        ]
    ).mean()
    logits = network.score(features, network.cluster(features, small))
    target = torch.sigmoid((error - POOR) / (0.25 * POOR))
    agreement = F.binary_cross_entropy_with_logits(logits[inside], target[inside])
    channels = F.l1_loss(
        estimates.movedim(2, -1)[inside[:, :, 0]], shrink(errors, size).movedim(2, -1)[inside[:, :, 0]] * 10
    )
    total = 0.3 * contrast + agreement + 0.1 * channels
    return total, {"contrast": float(contrast.detach()), "agreement": float(agreement.detach())}


def _info_nce(features: Tensor, poor: Tensor, fine: Tensor, known: Tensor, rng: np.random.Generator) -> Tensor:
    """Contrast among up to 96 pixels of each class of one clip; ``features (T, h, w, C)``, classes ``(T, h, w)``."""
    chosen = []
    for members in (poor, fine, known):
        pixels = features[members]
        chosen.append(pixels[torch.from_numpy(rng.permutation(len(pixels))[:96])])
    bad, good = chosen[0], torch.cat(chosen[1:])
    if len(bad) < 4 or len(good) < 4:
        return features.sum() * 0
    across = (bad @ good.T / TEMPERATURE_CONTRAST).logsumexp(1, keepdim=True)
    terms = []
    for group, other in ((bad, across), (good, (good @ bad.T / TEMPERATURE_CONTRAST).logsumexp(1, keepdim=True))):
        positive = group @ group.T / TEMPERATURE_CONTRAST
        terms.append((torch.logaddexp(positive, other.expand_as(positive)) - positive).mean())
    return terms[0] + terms[1]


def precision(network: DetectorNetwork, batches: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """:func:`precision_of` the network's clustered features."""

    def score(repaired: Tensor, holes: Tensor) -> Tensor:
        features, _ = network(repaired, holes)
        small = shrink(holes, features.shape[-2:])
        logits = network.score(features, network.cluster(features, small))
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
    found = average_precision_score(torch.cat(labels).numpy(), torch.cat(scores).numpy())
    return {"average_precision": float(found), "constant": float(share)}
