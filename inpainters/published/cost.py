"""Counting floating-point operations of running networks (a multiply-accumulate is two), once per kind of work."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

Result = TypeVar("Result")


def deform_conv_flops(
    x: Any, weight: Any, offset: Any, mask: Any, bias: Any, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """Operations of ``deform_conv2d``: those of the convolution; sampling is left out, as all gathering is."""
    batch, _, height, width = out_shape
    channels_out, channels_in, rows, columns = weight
    return int(2 * batch * height * width * channels_out * channels_in * rows * columns)


def attention_flops(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """Operations of scaled dot-product attention: two matrix products."""
    batch, heads, queries, dim = query
    return int(2 * batch * heads * queries * key[-2] * (dim + value[-1]))


FUSED_ATTENTION = (
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_scaled_dot_product_attention_math_for_mps",
)
"""What torch may run for attention, by processor and version; its own counter knows some of them only."""


def _formulas() -> dict[Any, Any]:
    import torchvision.ops  # noqa: F401 - registers torch.ops.torchvision; takes as long to import as torch

    formulas: dict[Any, Any] = {torch.ops.torchvision.deform_conv2d: deform_conv_flops}
    kernels = [getattr(torch.ops.aten, name, None) for name in FUSED_ATTENTION]
    return formulas | {kernel: attention_flops for kernel in kernels if kernel is not None}


def count_flops(call: Callable[[], Result]) -> tuple[Result, float]:
    """The result of a call, and the floating-point operations it took: products of matrices and convolutions.

    The count is the same whichever kernel torch picks for attention.
    """
    with FlopCounterMode(display=False, custom_mapping=_formulas()) as counter:
        result = call()
    return result, float(counter.get_total_flops())


class Meter:
    """Remembers what a kind of work costs, so that counting happens once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, float] = {}

    def run(self, kind: Hashable, items: int, call: Callable[[], Result]) -> tuple[Result, float]:
        """The result of ``call``, and the GFLOPs for each of the ``items`` equal parts of its work.

        Args:
            kind: everything that decides the cost of one item.
            items: how many there are.
            call: does the work.
        """
        if kind in self._known:
            return call(), self._known[kind]
        result, flops = count_flops(call)
        self._known[kind] = flops / 1e9 / items
        return result, self._known[kind]
