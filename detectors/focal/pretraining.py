"""Pre-training of FOCAL's HRNet by pixel-level contrast on pseudo-inpainted clips, image by image.

The protocol (data, what counts as poor, how it is judged) is the compact detector's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.detectors.compact.network import shrink
from videoinpaint.detectors.compact.pretraining import POOR, Repair, draw_repair, precision_of
from videoinpaint.detectors.focal.augmentation import augmented
from videoinpaint.detectors.focal.detector import TEMPERATURE, guided_logits, unit_features
from videoinpaint.detectors.focal.hrnet import MULTIPLE, HRNetExtractor
from videoinpaint.detectors.focal.vit import ViTConfig, ViTExtractor
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.weights import ORIGIN, handed_on, load_into, load_safetensors, save_safetensors, terms_of

SAMPLES = 1000
"""Pixels of a class drawn from each image, as in the reference."""

LEAST = 4
"""Images with fewer pixels in a class teach nothing."""


def train_focal(
    data: Windows,
    repair: Repair,
    config: FitConfig,
    output: Path,
    *,
    init: Path | None = None,
    evaluate_every: int = 500,
    vit: ViTConfig | None = None,
    augment: bool = False,
) -> Path:
    """Train and write the weights to ``output`` (safetensors), for frames at their own size (``size=0``).

    Args:
        data: training windows; sides that are multiples of 32 are not resized.
        repair: makes the repairs that the detector learns to judge.
        config: schedule, folder of the checkpoint, seed; an interrupted run goes on.
        output: the weight file.
        init: weights to start from, the official file for one; None to start at random.
        evaluate_every: iterations between lines of average precision in the log.
        vit: train a ViT of this size instead of the HRNet; a weight file to start from brings its own.
        augment: let the repairs go through FOCAL's augmentations (:mod:`.augmentation`).

    Raises:
        InputError: windows too small to normalise over, or the folder holds a checkpoint of another network.
    """
    if data.batch * data.num_frames * max(data.height, MULTIPLE) * max(data.width, MULTIPLE) <= MULTIPLE**2:
        raise InputError(f"one frame of {data.height}x{data.width} is too small to train on: give more or larger ones")
    torch.manual_seed(config.seed)
    network = _network(vit, init).to(data.device)

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        repaired, holes, errors = draw_repair(data, repair, rng)
        seen = augmented(repaired, rng) if augment else repaired
        return contrastive_loss(network, seen, holes, errors, rng)

    held_out = held_out_repairs(data, repair, config.seed)
    fit(network, loss, config, lambda _: focal_precision(network, held_out), evaluate_every)
    tensors = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    told = network.config.as_metadata() if isinstance(network, ViTExtractor) else {"size": "0"}
    if init is not None:
        told |= handed_on(terms_of("focal-hrnet" if vit is None else "focal-vit", init))
    return save_safetensors(output, tensors, {ORIGIN: "videoinpaint pretrain"} | told)


def _network(vit: ViTConfig | None, init: Path | None) -> HRNetExtractor | ViTExtractor:
    """What is trained; parts that are never used stay as they are."""
    if vit is not None:
        stored = None if init is None else ViTConfig.from_metadata(load_safetensors("focal-vit", init)[1])
        transformer = ViTExtractor(stored or vit)
        if init is not None:
            load_into(transformer, "focal-vit", init)
        transformer.requires_grad_(False)
        transformer.net.image_encoder.requires_grad_(True)
        return transformer
    network = HRNetExtractor()
    if init is not None:
        load_into(network, "focal-hrnet", init)
    network.net.final_layer.requires_grad_(False)
    return network


def held_out_repairs(data: Windows, repair: Repair, seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Repairs that training never draws, the same for the same seed (see :func:`draw_repair`)."""
    return [draw_repair(data, repair, np.random.default_rng([seed, 2**31, i])) for i in range(12)]


def contrastive_loss(
    network: nn.Module, repaired: Tensor, holes: Tensor, errors: Tensor, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    """FOCAL's InfoNCE (Section 3.3), taken image by image and then averaged.

    What is forged is relative: pixels of different images are never compared. Poor pixels (mean error above ``POOR``)
    are forged; known and well repaired pixels, as many of one kind as of the other where both exist, are pristine;
    those in between are left out. Without that balance the network learns to tell holes from their surroundings.

    Args:
        network: the extractor, in training mode.
        repaired: ``(B, T, 3, H, W)``.
        holes: ``(B, T, 1, H, W)``.
        errors: absolute errors ``(B, T, 3, H, W)``.
        rng: draws the pixels.
    """
    features = unit_features(network, repaired.flatten(0, 1))
    size = (features.shape[-2], features.shape[-1])
    hole = shrink(holes, size).flatten(0, 1)[:, 0]
    error = shrink(errors.mean(2, keepdim=True), size).flatten(0, 1)[:, 0]
    forged = (hole > 0.5) & (error > POOR)
    fine = (hole > 0.5) & (error < 0.6 * POOR)
    terms = []
    for f, bad, good, known in zip(features.movedim(1, -1), forged, fine, hole == 0):
        negative, repaired_well = _draw(f, bad, rng), _draw(f, good, rng, SAMPLES // 2)
        pristine = torch.cat([repaired_well, _draw(f, known, rng, len(repaired_well) or SAMPLES // 2)])
        if min(len(negative), len(pristine)) >= LEAST:
            terms.append(info_nce(pristine, negative))
    total = torch.stack(terms).mean() if terms else features.sum() * 0
    return total, {"contrast": float(total.detach()), "images": float(len(terms))}


def _draw(features: Tensor, members: Tensor, rng: np.random.Generator, count: int = SAMPLES) -> Tensor:
    """Up to ``count`` of the members, without repetition: ``(n, C)`` out of ``(h, w, C)``."""
    pixels = features[members]
    return pixels[torch.from_numpy(rng.permutation(len(pixels))[:count]).to(pixels.device)]


def info_nce(pristine: Tensor, forged: Tensor) -> Tensor:
    """Contrast of one image's pixels: every pristine one against all forged ones.

    The positive logit of a query is its mean similarity to all other pristine pixels of the image, where plain InfoNCE
    takes a single positive key; each forged pixel is a negative key.

    Args:
        pristine: ``(P, C)`` of unit length, P >= 2.
        forged: ``(Q, C)`` of unit length.
    """
    alike = pristine @ pristine.T
    positive = (alike.sum(1) - alike.diagonal()) / (len(pristine) - 1)
    logits = torch.cat([positive[:, None], pristine @ forged.T], 1) / TEMPERATURE
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


def focal_precision(network: nn.Module, batches: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """Average precision of the clustered features inside the hole, and that of a constant mask."""

    def score(repaired: Tensor, holes: Tensor) -> Tensor:
        logits = guided_logits(unit_features(network, repaired.flatten(0, 1)), holes.flatten(0, 1))
        full = F.interpolate(logits, size=repaired.shape[-2:], mode="bilinear", align_corners=False)
        return full.unflatten(0, repaired.shape[:2])

    return precision_of(score, batches)
