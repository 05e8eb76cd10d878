"""What a pass of the compact network costs, by an exact formula over convolutions, projections and attention.

A test holds it against torch's counter.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.compact.inputs import TOKEN, token_holes
from videoinpaint.inpainters.compact.network import CompactNetwork
from videoinpaint.inpainters.compact.transformer import POOLED
from videoinpaint.regions import spread


def flops(network: CompactNetwork, masks: Tensor, *heads: Sequence[float] | Tensor) -> tuple[Tensor, ...]:
    """Floating-point operations of one pass for each clip, ``(B,)`` float64 on the device of the masks.

    Args:
        masks: ``(B, T, 1, H, W)``, M_{n-1}.
        heads: how many run: one number for each clip, or a map ``(B, rows, columns)``; a result for each of these.
    """
    holes = _holes_in_whole_tokens(masks)
    length, pixels = masks.shape[1], holes[0, 0].numel() * TOKEN**2
    tokens = length * network.config.window_height * network.config.window_width
    pooled = length * POOLED[0] * POOLED[1]
    windows, totals = network.transformer.active_windows(holes).double(), []
    for counts in heads:
        cells = counts[0].numel() if isinstance(counts, Tensor) else 1
        dense = (_dense_per_pixel(network) * pixels + _of_films(network) * cells) * length
        dense += network.grain.flops_per_pixel() * pixels if network.grain is not None else 0.0
        if isinstance(counts, Tensor):
            asked = spread(counts.unsqueeze(-1), masks.shape[-2], masks.shape[-1], TOKEN)
            totals.append(dense + network.transformer.flops_of_map(holes, tokens, pooled, asked))
        else:
            totals.append(dense + network.transformer.flops(windows, tokens, pooled, [int(k) for k in counts]))
    return tuple(totals)


def heads_by_cell(network: CompactNetwork, masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """See :class:`videoinpaint.protocols.WeighsCells`: what is asked for is linear in the map, so its slope."""
    holes = _holes_in_whole_tokens(masks)
    with torch.enable_grad():
        cells = torch.zeros(len(masks), *grid, 1, device=masks.device, requires_grad=True)
        laid = spread(cells, masks.shape[-2], masks.shape[-1], TOKEN)
        asked = network.transformer.heads_asked(holes, laid)
        return torch.autograd.grad(asked, cells)[0].squeeze(-1)


def _dense_per_pixel(network: CompactNetwork) -> float:
    strides: dict[nn.Module, int] = {
        network.stem: 2, network.down: 4, network.body: 4, network.embed: 8, network.transformer.position: 8,
        network.patch: 4 if network.config.smooth else 8, network.unfold: 8, network.carry[0]: 2, network.carry[2]: 4,
        network.merge: 4, network.decode: 4, network.grow: 4, network.fine: 2, network.finer: 2, network.paint: 2,
    }  # fmt: skip
    strides |= {} if network.chooser is None else {network.chooser: 2}
    return sum(2.0 * _weights(module) / stride**2 for module, stride in strides.items())


def _of_films(network: CompactNetwork) -> float:
    return sum(2.0 * _weights(film) for film in (network.body_film, network.merge_film, network.fine_film))


def _holes_in_whole_tokens(masks: Tensor) -> Tensor:
    return token_holes(F.pad(masks, (0, -masks.shape[-1] % TOKEN, 0, -masks.shape[-2] % TOKEN)))


def _weights(module: nn.Module) -> int:
    """Multiply-accumulates per output position: the sizes of all weight matrices and kernels."""
    return sum(p.numel() for p in module.parameters() if p.dim() > 1)
