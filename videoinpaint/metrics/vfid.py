"""VFID: the Frechet distance between I3D features of real and of repaired videos (Wang et al., 2018).

Every video gives one vector; the two sets of vectors are compared as Gaussians. Conventions are those of the published
evaluation scripts of FuseFormer, E2FGVI and ProPainter, which normalise by the statistics of each video.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videoinpaint.errors import InputError, MissingWeightsError
from videoinpaint.metrics.checks import check_frames
from videoinpaint.metrics.i3d import I3D
from videoinpaint.weights import check_tensors, load_tensors, path_of

WEIGHTS = "i3d"


def load_i3d(weights: str | None = None, device: str = "cpu") -> I3D:
    """I3D with its weights, frozen.

    Args:
        weights: a file of your own; None for the registered ones.
        device: where it computes.

    Raises:
        MissingWeightsError, CorruptWeightsError: the message says what to do.
    """
    tensors = load_tensors(WEIGHTS, weights)
    network = I3D()
    # Files older than PyTorch 0.4.1 do not count batches; the count plays no role.
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    tensors = counters | tensors
    check_tensors(network, tensors, WEIGHTS)
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False).to(device)


@cache
def _shared(device: str) -> I3D:
    return load_i3d(device=device)


def vfid_available() -> bool:
    """Whether the weights of I3D are on this machine."""
    try:
        path_of(WEIGHTS)
    except MissingWeightsError:
        return False
    return True


@torch.no_grad()
def vfid_features(frames: Tensor, network: Callable[[Tensor], Tensor] | None = None) -> NDArray[np.float64]:
    """One vector per video, ``(B, 1024)``.

    Args:
        frames: ``(B, T, 3, H, W)`` in [0, 1], whole videos at their own size.
        network: what turns ``(1, T, 3, H, W)`` into ``(1, D)``; None for the registered I3D.

    Raises:
        InputError: frames of another kind, or too few and small for the statistics of one video.
        MissingWeightsError: I3D's weights are not here.
    """
    check_frames(frames)
    if frames.shape[1] <= 8 and max(frames.shape[-2:]) <= 32:  # I3D reduces 8 frames of 32x32 to a single value
        raise InputError(f"VFID needs more than 8 frames or more than 32 pixels a side, got {tuple(frames.shape)}")
    network = network or _shared(str(frames.device))
    # One at a time: with batch statistics, videos of a batch would change each other's features.
    return np.concatenate([network(video[None]).double().cpu().numpy() for video in frames])


def frechet_distance(real: NDArray[np.floating], fake: NDArray[np.floating]) -> float:
    """``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`` of two sets of vectors ``(samples, D)``, in float64.

    Covariances divide by samples - 1. The published scripts take a matrix square root, which is ill-conditioned where
    there are fewer videos than dimensions. With S = X'X of centred, scaled samples X, the eigenvalues of S1 S2 are the
    squared singular values of X1 X2', so that their sum gives the same trace, to rounding, from a small matrix.

    Raises:
        InputError: fewer than two vectors in a set, or vectors of different length.
    """
    a, b = (np.asarray(x, np.float64) for x in (real, fake))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(f"two sets of 2 or more vectors of one length are needed, got {a.shape} and {b.shape}")
    gap = a.mean(0) - b.mean(0)
    # The triangular factor R of X = QR stands for X in all terms, and is no larger than D x D.
    first, second = (np.linalg.qr((x - x.mean(0)) / np.sqrt(len(x) - 1))[1] for x in (a, b))
    shared = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(gap @ gap + np.square(first).sum() + np.square(second).sum() - 2 * shared)


def vfid(
    repaired: Sequence[Tensor], references: Sequence[Tensor], network: Callable[[Tensor], Tensor] | None = None
) -> float:
    """VFID of repaired videos against their references, lower is better.

    Args:
        repaired: videos ``(T, 3, H, W)`` in [0, 1]; two or more, the more the better.
        references: the true videos.
        network: see :func:`vfid_features`.

    Raises:
        InputError: fewer than two videos.
        MissingWeightsError: I3D's weights are not here; the message says how to get them.
    """
    sets = [[vfid_features(video[None], network) for video in videos] for videos in (references, repaired)]
    if min(map(len, sets)) < 2:
        raise InputError(f"VFID compares sets of videos: give 2 or more, got {len(repaired)} and {len(references)}")
    return frechet_distance(*(np.concatenate(features) for features in sets))


def parity(inputs: dict[str, Tensor], weights: Callable[[nn.Module], nn.Module]) -> dict[str, Tensor]:
    """The call of the fixture ``i3d``; ``weights`` fills a module, in place, with the generated weights."""
    network = I3D()
    weights(network)
    with torch.no_grad():
        stages = network.stages(inputs["video"], clip_statistics=False)
        middle = {f"mid_eval_{name}": value for name, value in stages.items()}
        outputs = {
            "features_eval": stages["Mixed_5c"].mean((2, 3, 4)),
            "features_batch_statistics": network(inputs["video"]),
        }
    distance = frechet_distance(inputs["frechet_real"].numpy(), inputs["frechet_fake"].numpy())
    return outputs | {"frechet_distance": torch.tensor([distance], dtype=torch.float64)} | middle
