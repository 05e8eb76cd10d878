"""A device that every machine has: tensors that say they lie elsewhere, and are computed on the CPU.

What a GPU refuses is refused here, too: to mix tensors of both places, to read one as an array, to draw by a generator
of the CPU. So code that forgets where its tensors lie fails without a GPU. What a GPU's own kernels do, products in
bfloat16 and speed are not shown.

The device calls itself ``lazy``, a kind that torch knows and that no usual build of it computes on.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

PLACE = torch.device("lazy", 0)
MOVES = {"copy_", "_to_copy", "to"}
INDEXING = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"}
"""Indices alone may lie on the CPU, as a GPU takes them from there."""


def _elsewhere(device: Any) -> bool:
    return device is not None and torch.device(device).type == PLACE.type


class Elsewhere(Tensor):
    """A tensor of the other device; ``near`` holds its numbers."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> Elsewhere:
        return Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), storage_offset=near.storage_offset(), dtype=near.dtype, device=PLACE
        )

    def __init__(self, near: Tensor) -> None:
        self.near = near

    def __deepcopy__(self, memo: dict[int, Any]) -> Elsewhere:
        if id(self) not in memo:
            copied = Elsewhere(self.near.detach().clone()).requires_grad_(self.requires_grad)
            vars(copied).update({name: value for name, value in vars(self).items() if name != "near"})
            memo[id(self)] = copied
        return memo[id(self)]

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["near"], None

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod  # as torch's documentation has it; its stub says a static method
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _computed(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees what has no tensor of the other device among its arguments yet, and is asked to make one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The operator's result, on the device where it belongs."""
    name, asked = func.overloadpacket.__name__, kwargs.get("device")
    tensors = [leaf for leaf in tree_leaves((args, dict(kwargs))) if isinstance(leaf, Tensor)]
    far = any(isinstance(tensor, Elsewhere) for tensor in tensors)
    if not far and not _elsewhere(asked):
        return func(*args, **kwargs)
    if far:
        _check_places(name, args, [tensor for tensor in tensors if tensor.dim() and not isinstance(tensor, Elsewhere)])
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type == "cpu":
        raise RuntimeError(f"{name}: expected a generator of {PLACE.type}, found one of the CPU")
    here = {"device": torch.device("cpu")} if asked is not None else {}
    near, given = tree_map_only(Elsewhere, lambda tensor: tensor.near, (args, dict(kwargs) | here))
    result = func(*near, **given)
    if name == "copy_" and not isinstance(args[0], Elsewhere):
        return args[0]
    if asked is not None and not _elsewhere(asked):
        return result
    moved = tree_map_only(Tensor, Elsewhere, result)
    return return_and_correct_aliasing(func, args, dict(kwargs), moved) if far else moved


def _check_places(name: str, args: tuple[Any, ...], near: list[Tensor]) -> None:
    if not near or name in MOVES:
        return
    values = args[2] if len(args) > 2 else None
    if name in INDEXING and isinstance(args[0], Elsewhere) and not any(tensor is values for tensor in near):
        return
    raise RuntimeError(f"{name}: expected all tensors to be on the same device, found {PLACE.type} and cpu")


def _empty(size: Any, dtype: Any = None, *_: Any, memory_format: Any = None, **__: Any) -> Tensor:
    return Elsewhere(torch.empty(size, dtype=dtype, memory_format=memory_format or torch.contiguous_format))


def _empty_strided(size: Any, stride: Any, dtype: Any = None, *_: Any, **__: Any) -> Tensor:
    return Elsewhere(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, *_: Any, **__: Any) -> Tensor:
    near = [tensor.near if isinstance(tensor, Elsewhere) else tensor for tensor in (target, source)]
    near[0].copy_(near[1])
    return target


@cache
def _kernels() -> torch.library.Library:
    """Of what torch's own code makes by itself, where no mode sees it; they stay for the rest of the process."""
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty.memory_format", _empty, "Lazy")
    library.impl("empty_strided", _empty_strided, "Lazy")
    library.impl("_copy_from", _copy_from, "Lazy")
    return library


@contextlib.contextmanager
def another_device() -> Iterator[str]:
    """A context in which this process has one more device; its name, for whatever takes a ``device``.

    ```python
    from videoinpaint.testing import another_device, check_inpainter

    with another_device() as device:
        check_inpainter(MyInpainter(device=device), device=device)
    ```

    It computes what the CPU does, several times slower, in float32 where a GPU would autocast. Tensors of the device
    are of no use once the context has ended.
    """
    _kernels()
    autocast, enabled, run = torch.autocast, torch.is_autocast_enabled, threading.Thread.run

    def autocast_where_it_is(kind: str, *args: Any, **kwargs: Any) -> Any:
        return contextlib.nullcontext() if _elsewhere(kind) else autocast(kind, *args, **kwargs)

    def enabled_where_it_is(*kind: str) -> bool:
        return not any(map(_elsewhere, kind)) and enabled(*kind)

    def run_inside(thread: threading.Thread) -> None:
        with _Mode():
            run(thread)

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(torch, "autocast", autocast_where_it_is))
        stack.enter_context(patch.object(torch, "is_autocast_enabled", enabled_where_it_is))
        stack.enter_context(patch.object(threading.Thread, "run", run_inside))
        stack.enter_context(_Mode())
        yield str(PLACE)
