"""Counting floating-point operations of running networks (a multiply-accumulate is two), once per kind of work."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
import torchvision.ops  # noqa: F401 - registers torch.ops.torchvision
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


def _formulas() -> dict[Any, Any]:
    formulas: dict[Any, Any] = {torch.ops.torchvision.deform_conv2d: deform_conv_flops}
    on_cpu = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
    if on_cpu is not None:  # torch knows those of the GPU
        formulas[on_cpu] = attention_flops
    return formulas


def count_flops(call: Callable[[], Result]) -> tuple[Result, float]:
    """The result of a call, and the floating-point operations it took: products of matrices and convolutions."""
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
