"""On-the-fly clustering of one image's features into authentic and poor pixels, guided by M0.

FOCAL (Section 3.4) splits every image by itself into two clusters and calls the smaller one forged. CLIP-RL
(Section 3.1.1) lets M0 guide it: here known pixels are authentic whatever they look like, clustering starts at the mean
of the known pixels and the mean of the hole, and the cluster that grew out of the hole is the poor one. Nothing is
random, and a batch of images is clustered at once.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import HDBSCAN
from torch import Tensor
from torch.nn import functional as F

ROUNDS = 10
"""Of assignment and averaging, at most."""
MOST = 2000
"""Pixels of an image that HDBSCAN looks at; the others follow the nearest cluster."""
SMALLEST = 20
"""Pixels that are a cluster at least, for HDBSCAN."""


def two_centres(features: Tensor, holes: Tensor) -> Tensor:
    """The authentic and the poor centre of each image, by 2-means with cosine similarity.

    Args:
        features: ``(N, P, C)`` of unit length, P pixels.
        holes: ``(N, P)``, how much of each pixel M0 covers, in [0, 1]; at 0 a pixel is authentic for certain.

    Returns:
        ``(N, 2, C)`` of unit length; zeros where an image has no such pixel (all known, or nothing known).
    """
    sums = torch.stack([1 - holes, holes], 1) @ features
    centres = F.normalize(sums, dim=-1)
    poor = holes.new_zeros(())
    for _ in range(ROUNDS):
        now = (scores(features, centres) > 0) * holes
        if torch.equal(now, poor):
            break
        poor = now
        sums = torch.stack([1 - poor, poor], 1) @ features
        # A cluster that lost its last pixel keeps its centre: images without a poor pixel stay as they are.
        empty = torch.stack([1 - poor, poor], 1).sum(-1, keepdim=True) == 0
        centres = torch.where(empty, centres, F.normalize(sums, dim=-1))
    return centres


def scores(features: Tensor, centres: Tensor) -> Tensor:
    """How much more similar each pixel is to the poor centre than to the authentic one, ``(N, P)`` in [-2, 2].

    Args:
        features: ``(N, P, C)`` of unit length.
        centres: ``(N, 2, C)``, authentic and poor.
    """
    return torch.einsum("npc,nc->np", features, centres[:, 1] - centres[:, 0])


def smaller_cluster(features: Tensor) -> Tensor:
    """FOCAL as published, without guidance: 2-means of all pixels, the smaller cluster is forged; bool ``(N, P)``.

    It starts, instead of at random, at the pixel least like the mean and the pixel least like that one.

    Args:
        features: ``(N, P, C)`` of unit length.
    """
    mean = F.normalize(features.mean(1), dim=-1)
    first = _least_like(features, mean)
    centres = torch.stack([first, _least_like(features, first)], 1)
    for _ in range(ROUNDS):
        second = (scores(features, centres) > 0).float()
        sums = torch.stack([1 - second, second], 1) @ features
        centres = torch.where(sums.abs().sum(-1, keepdim=True) == 0, centres, F.normalize(sums, dim=-1))
    second = scores(features, centres) > 0
    return second ^ (second.float().mean(1, keepdim=True) > 0.5)


def _least_like(features: Tensor, direction: Tensor) -> Tensor:
    similar = torch.einsum("npc,nc->np", features, direction)
    return features[torch.arange(len(features)), similar.argmin(1)]


def hdbscan_scores(features: Tensor, holes: Tensor, guided: bool = True, most: int = MOST) -> Tensor:
    """FOCAL with HDBSCAN, which finds the number of clusters itself: scores as :func:`scores` gives them, ``(N, P)``.

    At most ``most`` pixels of an image are clustered, evenly spread. Guided, a cluster is poor where most of its pixels
    lie in the hole, and the mean of the known pixels is authentic besides; unguided, all clusters but the largest are
    forged. A pixel's score is its similarity to the nearest poor centre less that to the nearest authentic one; -1
    everywhere where no cluster is poor.

    Args:
        features: ``(N, P, C)`` of unit length.
        holes: ``(N, P)``, how much of each pixel M0 covers.
        guided: see above.
        most: see above.
    """
    return torch.stack([_hdbscan_image(image, hole, guided, most) for image, hole in zip(features, holes)])


def _hdbscan_image(features: Tensor, hole: Tensor, guided: bool, most: int) -> Tensor:
    chosen = torch.linspace(0, len(features) - 1, min(most, len(features)), device=features.device).round().long()
    some, inside = features[chosen], hole[chosen] > 0.5
    # On the unit sphere Euclidean distance orders pairs as cosine similarity does.
    found = HDBSCAN(min_cluster_size=SMALLEST, copy=True).fit_predict(some.cpu().numpy())
    labels = torch.from_numpy(np.asarray(found)).to(features.device)
    members = [labels == label for label in range(int(labels.max()) + 1)]
    centres = [F.normalize(some[member].mean(0), dim=0) for member in members]
    if guided:
        poor = [bool(inside[member].float().mean() > 0.5) for member in members]
    else:
        largest = max((int(member.sum()) for member in members), default=0)
        poor = [int(member.sum()) < largest for member in members]
    bad = [centre for centre, is_poor in zip(centres, poor) if is_poor]
    good = [centre for centre, is_poor in zip(centres, poor) if not is_poor]
    if guided and bool((hole == 0).any()):
        good.append(F.normalize(features[hole == 0].mean(0), dim=0))
    if not bad or not good:
        return torch.full_like(hole, -1.0)
    nearest = [(features @ torch.stack(some_centres).T).amax(1) for some_centres in (bad, good)]
    return nearest[0] - nearest[1]
