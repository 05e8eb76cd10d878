"""The head gate: running only some heads of a published network's multi-head attention.

Every attention module of a published network carries ``num_heads: int`` and ``active: tuple[int, ...] | None``, a plain
attribute; None means all heads. With ``active`` set, the module slices its projections W_Q, W_K, W_V (rows) and W_O
(columns) to these heads with the functions below, so that

    MultiHead(x) = sum_{h in active} softmax(Q_h K_h^T / sqrt(d)) V_h W_O[h] + b_O

costs nothing for the others. Which heads come first is measured: a head's importance is the energy that its projected
output adds to its module's output on a calibration clip (:func:`measure_order`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Active = tuple[int, ...] | None
HeadOrder = dict[str, tuple[int, ...]]
"""Module name -> its heads, most important first."""

MAX_HEADS = 12  # of the control `heads` (CLIP-RL, Section 3.1.3)


class GatedAttention(Protocol):
    """What an attention module offers to the gate."""

    num_heads: int
    active: Active


class WindowedAttention(GatedAttention, Protocol):
    """One whose windows may run different numbers of heads: the first of `ranked`, None for their stored order."""

    ranked: Active


def chosen_heads(module: WindowedAttention, count: int) -> Active:
    """The ``count`` most important heads of a module, in their stored order; None where these are all."""
    if count >= module.num_heads:
        return None
    return tuple(sorted((module.ranked or range(module.num_heads))[:count]))


def by_count(module: WindowedAttention, counts: Tensor | None) -> Iterator[tuple[Active, Tensor | None]]:
    """The heads to run, and in which windows.

    Args:
        module: the attention.
        counts: how many heads each window runs, int64 of any shape; None: the active ones in all of them.

    Yields:
        heads, and a bool tensor of the shape of `counts`: the windows that run these; None for all.
    """
    if counts is None:
        yield module.active, None
        return
    for count in counts.unique().tolist():
        yield chosen_heads(module, count), counts == count


def head_channels(active: Active, head_dim: int, device: torch.device | None = None) -> Tensor | slice:
    """Index of the channels of the active heads, in the order given; a slice where all of them run."""
    if active is None:
        return slice(None)
    heads = torch.tensor(active, device=device)
    return (heads[:, None] * head_dim + torch.arange(head_dim, device=device)).flatten()


def project(x: Tensor, layer: nn.Linear, active: Active, head_dim: int, offset: int = 0, width: int = 0) -> Tensor:
    """A projection onto the channels of the active heads: ``(..., C) -> (..., len(active) * head_dim)``.

    Args:
        x: tokens.
        layer: W_Q, W_K or W_V, or several of them stacked by rows.
        active: heads that run.
        head_dim: channels of a head.
        offset: first row of the wanted projection in a stacked layer.
        width: rows of the wanted projection in a stacked layer; 0 for all that follow ``offset``.
    """
    end = offset + width if width else layer.out_features
    rows = head_channels(active, head_dim, layer.weight.device)
    bias = None if layer.bias is None else layer.bias[offset:end][rows]
    return F.linear(x, layer.weight[offset:end][rows], bias)


def merge(x: Tensor, layer: nn.Linear, active: Active, head_dim: int) -> Tensor:
    """The output projection W_O of the active heads' results: ``(..., len(active) * head_dim) -> (..., C)``."""
    if active is None:
        return layer(x)
    return F.linear(x, layer.weight[:, head_channels(active, head_dim, layer.weight.device)], layer.bias)


def project_map(x: Tensor, layer: nn.Conv2d, active: Active, head_dim: int) -> Tensor:
    """As :func:`project` for a convolution on maps ``(N, C, h, w)`` (STTN's heads are groups of channels)."""
    if active is None:
        return layer(x)
    rows = head_channels(active, head_dim, layer.weight.device)
    bias = None if layer.bias is None else layer.bias[rows]
    return F.conv2d(x, layer.weight[rows], bias, layer.stride, layer.padding, layer.dilation)


def merge_map(x: Tensor, layer: nn.Conv2d, active: Active, head_dim: int) -> Tensor:
    """As :func:`merge` for a convolution on maps."""
    if active is None:
        return layer(x)
    weight = layer.weight[:, head_channels(active, head_dim, layer.weight.device)]
    return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding, layer.dilation)


def gated_modules(network: nn.Module) -> dict[str, nn.Module]:
    """The attention modules of a network by name: those with the attributes ``num_heads`` and ``active``."""
    return {
        name: module
        for name, module in network.named_modules()
        if hasattr(module, "active") and hasattr(module, "num_heads")
    }


def heads_of(network: nn.Module) -> int:
    """How many heads the network's attention has (the largest number of any module)."""
    return max(cast(GatedAttention, module).num_heads for module in gated_modules(network).values())


def count_heads(control: float, num_heads: int) -> int:
    """The control ``heads`` in 2..12 mapped proportionally to 1..num_heads: round(control * num_heads / 12)."""
    return min(max(round(control * num_heads / MAX_HEADS), 1), num_heads)


@contextmanager
def active_heads(network: nn.Module, count: int, order: HeadOrder | None = None) -> Iterator[None]:
    """Within the context only the ``count`` first heads of every attention module run.

    Args:
        network: with gated modules.
        count: heads that run, 1..num_heads; all of them where a module has no more.
        order: from :func:`measure_order`; by default heads in their stored order.
    """
    modules = {name: cast(GatedAttention, module) for name, module in gated_modules(network).items()}
    before = {name: module.active for name, module in modules.items()}
    try:
        for name, module in modules.items():
            ranked = order[name] if order else tuple(range(module.num_heads))
            # Stored order within the chosen ones: the sums then run in the same order for every ranking.
            module.active = None if count >= module.num_heads else tuple(sorted(ranked[:count]))
            if hasattr(module, "ranked"):
                module.ranked = ranked if order else None
        yield
    finally:
        for name, module in modules.items():
            module.active = before[name]


@torch.no_grad()
def measure_order(network: nn.Module, run: Callable[[], Any]) -> HeadOrder:
    """Rank the heads of every attention module by what they contribute while ``run`` calls the network.

    A head's contribution is the mean square of the difference that leaving it out makes to its module's output (for a
    linear output projection: the energy of W_O[h] applied to the head's result).

    Args:
        network: with gated modules; all heads run.
        run: runs the network on a calibration clip.
    """
    modules = gated_modules(network)
    energies = {
        name: torch.zeros(cast(GatedAttention, module).num_heads, dtype=torch.float64)
        for name, module in modules.items()
    }
    handles = [
        module.register_forward_hook(_observer(energies[name]), with_kwargs=True) for name, module in modules.items()
    ]
    try:
        with active_heads(network, 1 << 30):
            run()
    finally:
        for handle in handles:
            handle.remove()
    return {name: tuple(energy.argsort(descending=True, stable=True).tolist()) for name, energy in energies.items()}


def _observer(energy: Tensor) -> Callable[..., None]:
    def observe(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        gate = cast(GatedAttention, module)
        if gate.num_heads == 1:
            return
        for head in range(gate.num_heads):
            gate.active = tuple(other for other in range(gate.num_heads) if other != head)
            without = module.forward(*args, **kwargs)  # not __call__: that would come back here
            energy[head] += (_first(output) - _first(without)).double().square().mean().cpu()
        gate.active = None

    return observe


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
