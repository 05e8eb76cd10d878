"""Training flow completion: ProPainter's recurrent network, and the SPyNet that E2FGVI tunes on masked frames.

What is to be found is the motion of the true frames, by dense inverse search or by RAFT. ProPainter's losses are those
of its configuration but for the census term (weight 0.01): L1 inside and outside of the holes, first and second order
smoothness inside, and the edges of the motion.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from skimage.feature import canny
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.inpainters.published.e2fgvi.flow import SPyNet, quarter_flows
from videoinpaint.inpainters.published.pretraining import flow_distance, mean_distance
from videoinpaint.inpainters.published.propainter.completion import FlowCompletion, compose_flows
from videoinpaint.inpainters.published.propainter.raft import RAFT, clip_flows
from videoinpaint.inpainters.published.recipes import Recipe
from videoinpaint.motion.flow import neighbour_flows, smooth_fill
from videoinpaint.weights import ORIGIN, load_into, save_safetensors

Pair = tuple[Tensor, Tensor]
Flows = Callable[[Tensor], Pair]
"""Frames ``(B, T, 3, H, W)`` in [-1, 1] to their flows in both directions, ``(B, T-1, 2, H, W)``."""

EDGE_AGAIN = 5.0  # weight of the edges of the composed flow beside those of the prediction


def dis(frames: Tensor) -> Pair:
    """:data:`Flows` by dense inverse search."""
    return neighbour_flows((frames + 1) / 2)


def raft(device: torch.device, weights: Path | None = None) -> Flows:
    """:data:`Flows` by RAFT, as published.

    Raises:
        MissingWeightsError, CorruptWeightsError.
    """
    network = RAFT()
    load_into(network, "propainter-raft", weights)
    network.eval().requires_grad_(False).to(device)
    return lambda frames: clip_flows(network, frames)


def train_completion(
    data: Windows, arch: str, recipe: Recipe, config: FitConfig, output: Path, device: torch.device, flows: Flows = dis
) -> Path:
    """Train and write the weights to ``output`` (safetensors, by the official names).

    Args:
        data: training windows; sides that are multiples of 8 (ProPainter).
        arch: ``"propainter"`` or ``"e2fgvi"``.
        recipe: its ``flow`` weighs the distances.
        config: schedule, folder of the checkpoint, seed.
        output: the weight file.
        device: where it computes.
        flows: what is to be found.
    """
    torch.manual_seed(config.seed)
    network: nn.Module = (FlowCompletion() if arch == "propainter" else SPyNet()).to(device)
    measure = _completion_loss if arch == "propainter" else _spynet_loss

    def draw(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        frames, holes = data.draw(rng)
        return frames[:, : recipe.local].to(device) * 2 - 1, holes[:, : recipe.local].to(device)

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, holes = draw(rng)
        return measure(network, frames, holes, recipe.flow, flows)

    held_out = [draw(np.random.default_rng([config.seed, 2**31, i])) for i in range(6)]
    every = max(50, config.iterations // 20)
    fit(network, loss, config, lambda _: end_point_errors(network, held_out, flows), every)
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    return save_safetensors(output, state, {ORIGIN: "videoinpaint pretrain"})


def _spynet_loss(
    network: nn.Module, frames: Tensor, holes: Tensor, weight: float, _: Flows
) -> tuple[Tensor, dict[str, float]]:
    distance = flow_distance(quarter_flows(cast(SPyNet, network), frames * (1 - holes)), frames)
    return weight * distance, {"flow": float(distance.detach())}


def _completion_loss(
    network: nn.Module, frames: Tensor, holes: Tensor, weight: float, flows: Flows
) -> tuple[Tensor, dict[str, float]]:
    net, true = cast(FlowCompletion, network), flows(frames)
    predicted = net.complete(*true, holes)
    composed = compose_flows(predicted, true, holes)
    distance = edge = frames.new_zeros(())
    for told, target, whole, hole in zip(predicted, true, composed, (holes[:, :-1], holes[:, 1:])):
        distance = distance + mean_distance(told, target, hole) + mean_distance(told, target, 1 - hole)
        distance = distance + roughness(whole, hole)
        edges, wanted = net.edges(told), motion_edges(target)
        edge = edge + edge_loss(edges, wanted) + EDGE_AGAIN * edge_loss(edges * hole + wanted * (1 - hole), wanted)
    return weight * distance + edge, {"flow": float(distance.detach()), "edge": float(edge.detach())}


def roughness(flows: Tensor, where: Tensor) -> Tensor:
    """First and second differences of flows ``(B, T, 2, H, W)`` inside a mask, by a generalised Charbonnier penalty."""
    total = flows.new_zeros(())
    for axis in (-1, -2):
        first = flows.diff(dim=axis)
        second = first.diff(dim=axis)
        for order, change in ((1, first), (2, second)):
            here = where.narrow(axis, order - 1 if order == 2 else 0, change.shape[axis])
            total = total + (here * (change.square() + 1e-6) ** 0.45).sum() / flows.numel()
    return total


def motion_edges(flows: Tensor) -> Tensor:
    """Canny edges of the speed, {0, 1}, ``(B, T, 1, H, W)`` of flows ``(B, T, 2, H, W)``."""
    speed = flows.square().sum(2, keepdim=True).sqrt()
    most = speed.max()
    scaled = (speed / most if most >= 1 else torch.zeros_like(speed)).cpu().numpy()  # as published: slower has none
    found = [
        canny(one, sigma=2, low_threshold=0.1, high_threshold=0.2) for one in scaled.reshape(-1, *speed.shape[-2:])
    ]
    return torch.from_numpy(np.stack(found)).view(speed.shape).to(flows)


def edge_loss(edges: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of edges in [0, 1], both classes weighed alike frame by frame."""
    share = wanted.mean((2, 3, 4), keepdim=True)
    weight = (1 - share) * wanted + share * (1 - wanted)
    return F.binary_cross_entropy(edges.clamp(1e-6, 1 - 1e-6), wanted, weight=weight)


@torch.no_grad()
def end_point_errors(network: nn.Module, held_out: list[tuple[Tensor, Tensor]], flows: Flows) -> dict[str, float]:
    """Mean error of the flow inside the holes in its own pixels, and that of a smooth completion of the true flow."""
    rows: dict[str, list[float]] = {"epe": [], "epe_smooth": []}
    for frames, holes in held_out:
        hole = holes[:, :-1]
        true = flows(frames)
        if isinstance(network, FlowCompletion):
            told, target = network.complete(*true, holes)[0], true[0]
        else:
            told = quarter_flows(cast(SPyNet, network), frames * (1 - holes))[0]
            size = cast(tuple[int, int], tuple(told.shape[-2:]))
            target = F.interpolate(true[0].flatten(0, 1), size, mode="area").view_as(told) / 4
            hole = F.interpolate(hole.flatten(0, 1), size, mode="area").view(*hole.shape[:3], *size).round()
        smooth = smooth_fill(target.flatten(0, 1), 1 - hole.flatten(0, 1)).view_as(target)
        for name, flow in (("epe", told), ("epe_smooth", smooth)):
            error = (flow - target).square().sum(2, keepdim=True).sqrt() * hole
            rows[name].append(float(error.sum() / hole.sum().clamp_min(1)))
    return {name: float(np.mean(values)) for name, values in rows.items()}
