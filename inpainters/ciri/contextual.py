"""The contextual similarity of two sets of features (Mechrez et al., ECCV 2018), which CIRI's Eq. 8 is made of."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.metrics.backbone import Backbone

CONV3_2 = 14
"""Layers of VGG16's `features` up to and with the ReLU behind conv3_2."""
EPSILON = 1e-5


def conv3_2(pictures: Tensor, backbone: Backbone) -> Tensor:
    """Features behind conv3_2 and its ReLU, as points ``(N, h * w, 256)``.

    The publication reads conv3_2 of VGG-19; this is the layer of that name in VGG-16, whose weights the package has.
    The networks are the same up to there, their weights are not.

    Args:
        pictures: ``(N, 3, H, W)`` in [0, 1].
        backbone: "vgg16".
    """
    x = backbone.features[:CONV3_2](pictures * backbone.scale - backbone.shift)
    return x.flatten(2).transpose(1, 2)


def contextual_similarity(x: Tensor, y: Tensor, bandwidth: float = 0.5) -> Tensor:
    """CX of two sets of features (Mechrez et al., ECCV 2018, Eq. 1 to 4), ``(N,)`` in (0, 1].

    Cosine distances of features centred on the mean of `y`, relative to each x's nearest y, as affinities that sum to 1
    for every x; the mean over y of the best affinity.

    Args:
        x: ``(N, P, C)``: in Eq. 8 of CIRI, the target of the first frame.
        y: ``(N, Q, C)``: there, the predicted target of another frame.
        bandwidth: h; the smaller, the more only the nearest counts.
    """
    centre = y.mean(1, keepdim=True)
    a, b = (F.normalize(z - centre, dim=2, eps=1e-6) for z in (x, y))
    distance = (1 - a @ b.transpose(1, 2)).clamp_min(0)
    relative = distance / (distance.amin(2, keepdim=True) + EPSILON)
    affinity = torch.softmax((1 - relative) / bandwidth, 2)
    return affinity.amax(1).mean(1)
