"""Pixel features of a repair, and the clustering that splits each clip into authentic and poor pixels.

FOCAL (Wu, Chen and Zhou, 2023) at small size: a feature extractor trained by pixel-level contrast, then unsupervised
clustering image by image. M0 guides both (CLIP-RL, Section 3.1.1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 4
FEATURES = 32
PLANES = 9
TEMPERATURE = 0.15


class DetectorNetwork(nn.Module):
    """Unit-length features of every 4 x 4 block, per-channel error estimates, and two prototypes.

    Args:
        width: channels at a quarter of the resolution.
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.stem = nn.Conv2d(PLANES, 24, 3, stride=2, padding=1)
        self.down = nn.Conv2d(24, width, 3, stride=2, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in (1, 2, 4, 1))
        self.project = nn.Conv2d(width, FEATURES, 1)
        self.channels = nn.Conv2d(width, 3, 1)
        self.prototypes = nn.Parameter(F.normalize(torch.randn(2, FEATURES), dim=1))  # authentic, poor
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, repaired: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(B, T, 32, h, w)`` and per-channel error estimates ``(B, T, 3, h, w)`` >= 0, h = ceil(H / 4).

        Args:
            repaired: Yhat_n ``(B, T, 3, H, W)``.
            masks: M0 ``(B, T, 1, H, W)``.
        """
        x = F.relu(self.down(F.relu(self.stem(planes(repaired, masks)))))
        for layer in self.body:
            x = x + F.relu(layer(x))
        features = F.normalize(self.project(x), dim=1)
        errors = F.softplus(self.channels(x))
        return features.unflatten(0, masks.shape[:2]), errors.unflatten(0, masks.shape[:2])

    def score(self, features: Tensor, centres: Tensor) -> Tensor:
        """How much nearer a feature is to the poor centre, as a logit.

        Args:
            features: ``(B, T, 32, h, w)``.
            centres: ``(B, 2, 32)``, authentic and poor.
        """
        near = torch.einsum("btchw,bkc->btkhw", features, F.normalize(centres, dim=-1))
        return (near[:, :, 1:] - near[:, :, :1]) / TEMPERATURE + self.bias

    def cluster(self, features: Tensor, holes: Tensor, rounds: int = 3) -> Tensor:
        """Two centres of this very clip, by soft 2-means started at the prototypes; known pixels are authentic.

        Args:
            features: ``(B, T, 32, h, w)``.
            holes: M0 at the features' size ``(B, T, 1, h, w)`` in [0, 1].

        Returns:
            ``(B, 2, 32)``. The prototypes weigh in as a twentieth of the clip's pixels, so that a clip without a poor
            pixel keeps the general idea of one.
        """
        start = F.normalize(self.prototypes, dim=1).expand(len(features), -1, -1)
        centres = start
        prior = 0.05 * features.shape[1] * features.shape[-2] * features.shape[-1]
        for _ in range(rounds):
            poor = torch.sigmoid(self.score(features, centres)) * holes
            shares = torch.cat([1 - poor, poor], dim=2)
            sums = torch.einsum("btkhw,btchw->bkc", shares, features)
            centres = F.normalize(sums + prior * start, dim=-1)
        return centres


def planes(repaired: Tensor, masks: Tensor) -> Tensor:
    """What the network sees of each frame, ``(B * T, 9, H, W)``: colours, M0, how deep in the hole, change in time."""
    before = torch.cat([repaired[:, :1], repaired[:, :-1]], dim=1)
    after = torch.cat([repaired[:, 1:], repaired[:, -1:]], dim=1)
    changes = [(repaired - other).abs().mean(2, keepdim=True) * 4 for other in (before, after)]
    texture = repaired.mean(2, keepdim=True)
    flat = texture.flatten(0, 1)
    detail = (flat - F.avg_pool2d(flat, 5, stride=1, padding=2, count_include_pad=False)).abs() * 8
    hole = masks.flatten(0, 1)
    near = F.avg_pool2d(hole, 9, stride=1, padding=4)
    coarse = F.avg_pool2d(
        F.avg_pool2d(hole, 4, ceil_mode=True), 9, stride=1, padding=4
    )  # 36 pixels, at a 16th the cost
    far = F.interpolate(coarse, size=hole.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat(
        [(repaired * 2 - 1).flatten(0, 1), hole, near, far, *[c.flatten(0, 1) for c in changes], detail], 1
    )


def shrink(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks ``(B, T, 1, H, W)`` averaged to the features' size."""
    return F.adaptive_avg_pool2d(masks.flatten(0, 1), size).unflatten(0, masks.shape[:2])
