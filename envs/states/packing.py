"""A state of an episode in fewer bytes, without loss: only what differs from tensors that cost nothing to make.

Most of a state says again what the clip and the hole say (the damaged clip, the reference as numbers in [0, 1]), is
zero outside the hole (what was traced) or is often zero (features after a rectifier). So a tensor is kept as the name
of a base, one bit an element for whether it differs from the base, and the values that do. Comparisons are of bits, so
that what is unpacked is what was packed, negative zeros included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.composition import GREY
from videoinpaint.memory import apart
from videoinpaint.protocols import STATE_TYPES, State

WORTH = 0.9
"""A tensor is kept whole unless its bits and differing values take less than this share of it."""

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_DTYPES = {str(kind).removeprefix("torch."): kind for kind in STATE_TYPES}
_WHOLE, _ZERO, _PLACES, _VALUES = "whole", "zero", "places", "values"

Base = Callable[[], Tensor]
"""Makes a tensor that both sides have; called only where it is needed."""

Layout = dict[str, tuple[tuple[int, ...], torch.dtype]]
"""Shape and type of every entry of a state."""


@dataclass(frozen=True)
class Packed:
    """The state of one episode.

    Attributes:
        kept: what must be kept: bits, values, whole tensors.
        built_on: of each entry the name of its base.
        layout: shape, with B = 1, and type of each entry, in the state's order.
    """

    kept: State
    built_on: dict[str, str]
    layout: Layout

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.kept.values())

    def part(self, names: Collection[str]) -> Packed:
        """Some of its entries."""
        kept = {key: tensor for key, tensor in self.kept.items() if _entry(key) in names}
        built_on = {name: base for name, base in self.built_on.items() if name in names}
        return Packed(kept, built_on, {name: entry for name, entry in self.layout.items() if name in names})

    def light(self, share: float) -> frozenset[str]:
        """The entries that take less than this share of what they take unpacked."""
        taken = dict.fromkeys(self.layout, 0)
        for key, tensor in self.kept.items():
            taken[_entry(key)] += tensor.nbytes
        whole = {name: math.prod(shape) * dtype.itemsize for name, (shape, dtype) in self.layout.items()}
        return frozenset(name for name, count in taken.items() if count < share * whole[name])

    def changed(self, later: Packed) -> Packed:
        """With entries in place of its own."""
        stay = {key: tensor for key, tensor in self.kept.items() if _entry(key) not in later.built_on}
        return Packed(stay | later.kept, self.built_on | later.built_on, self.layout | later.layout)


def bases_of(clip: State) -> dict[str, Base]:
    """Tensors that follow from the clip alone, as `Core` and `ClosedLoop` make them; each is made once.

    Args:
        clip: uint8 ``frames (T, H, W, 3)``, ``holes (T, H, W)`` and, one-shot, ``observed (T, H, W, 3)``, where the
            state is wanted.
    """

    def pictures(name: str) -> Tensor:
        return clip[name][None].permute(0, 1, 4, 2, 3).contiguous()

    @cache
    def numbers(name: str) -> Tensor:
        return pictures(name).float() / 255

    @cache
    def holes() -> Tensor:
        return clip["holes"][None, :, None].float()

    def damaged() -> Tensor:
        return torch.where(holes() > 0, GREY, numbers("frames"))

    made: dict[str, Base] = {"clip": partial(pictures, "frames"), "frames": partial(numbers, "frames"), "holes": holes}
    made |= {"damaged": cache(damaged)}
    return made | {"observed": partial(numbers, "observed")} if "observed" in clip else made


def pack(state: State, bases: Mapping[str, Base], before: Packed | None = None) -> Packed:
    """Pack a state, or what changed of one.

    Args:
        state: of one episode, on the CPU.
        bases: tensors that :func:`unpack` is given too; "zero" is always there.
        before: the episode's state before, if `state` holds only what changed since: entries stay built on what they
            were built on.
    """
    kept: State = {}
    built_on: dict[str, str] = {}
    for name, tensor in state.items():
        base, places = _best_base(tensor, bases, [_ZERO, *bases] if before is None else [before.built_on[name]])
        built_on[name] = base
        if places is None:
            kept[f"{name}:{_WHOLE}"] = tensor.contiguous()
        elif len(places):
            kept[f"{name}:{_PLACES}"] = _to_bytes(places, tensor.numel())
            kept[f"{name}:{_VALUES}"] = tensor.contiguous().flatten().index_select(0, torch.from_numpy(places))
    kept = _apart(kept)
    layout = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
    packed = Packed(kept, built_on, layout)
    return packed if before is None else before.changed(packed)


def plain_layout(layout: Layout) -> dict[str, Any]:
    """A layout as lists and strings."""
    return {name: [list(shape), str(kind).removeprefix("torch.")] for name, (shape, kind) in layout.items()}


def read_layout(told: Mapping[str, Any]) -> Layout:
    """The inverse.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return {str(name): (tuple(map(int, shape)), _DTYPES[kind]) for name, (shape, kind) in told.items()}


def _entry(key: str) -> str:
    """The entry of a state that a kept tensor belongs to."""
    return key.rpartition(":")[0]


def _apart(tensors: State) -> State:
    """Copies of tensors in memory of their own."""
    copies = apart({name: _bits(tensor).numpy().reshape(-1) for name, tensor in tensors.items()})
    return {n: torch.from_numpy(copies[n]).view(tensor.dtype).view(tensor.shape) for n, tensor in tensors.items()}


def _best_base(tensor: Tensor, bases: Mapping[str, Base], tried: Sequence[str]) -> tuple[str, NDArray[np.int64] | None]:
    """The base from which a tensor differs in the fewest places, and these; no places where it is better kept whole."""
    best, places = _WHOLE, None
    for name in tried:
        if name == _WHOLE:
            continue
        ground = None if name == _ZERO else bases[name]()
        if ground is not None and (ground.shape != tensor.shape or ground.dtype != tensor.dtype):
            continue
        differing = _differing(tensor, ground)
        if places is None or len(differing) < len(places):
            best, places = name, differing
        if not len(differing):
            return best, places
    each, count = tensor.element_size(), tensor.numel()
    if places is None or len(places) * each + count / 8 >= WORTH * count * each:
        return _WHOLE, None
    return best, places


def unpack(
    packed: Sequence[Packed], bases: Sequence[Mapping[str, Base]], names: Collection[str] | None = None
) -> State:
    """The states of some episodes as one batch, new tensors, or tensors that entries share, as nobody writes to them.

    Args:
        packed: what :func:`pack` made, one an episode.
        bases: of each, as they were.
        names: the entries that are wanted; None: all.

    Raises:
        KeyError, RuntimeError: the tensors are not those of this layout, or the episodes' layouts differ.
    """
    state: State = {}
    shared: dict[tuple[str, ...], Tensor] = {}
    for name, (shape, dtype) in packed[0].layout.items():
        if names is not None and name not in names:
            continue
        built_on = tuple(one.built_on[name] for one in packed)
        # Entries that are their bases are equal wherever the bases are: the damaged clip, and the repair at first.
        plain = _WHOLE not in built_on and not any(f"{name}:{_PLACES}" in one.kept for one in packed)
        key = (*built_on, str(dtype), str(shape))
        if plain and key in shared:
            state[name] = shared[key]
            continue
        if any(one.layout.get(name) != (shape, dtype) for one in packed):
            others = sorted({str(one.layout.get(name)) for one in packed})
            raise RuntimeError(f"{name} is not the same in all episodes: {', '.join(others)}")
        if plain and len(packed) == 1 and built_on[0] != _ZERO:
            made = _checked(bases[0][built_on[0]](), shape, dtype)
        else:
            device = next(iter(packed[0].kept.values())).device if packed[0].kept else torch.device("cpu")
            made = torch.zeros(len(packed), *shape[1:], dtype=dtype, device=device)
            for row, one, grounds in zip(made, packed, bases):
                _unpack_into(row, name, one, grounds)
        state[name] = made
        if plain:
            shared[key] = made
    return state


def _unpack_into(row: Tensor, name: str, packed: Packed, bases: Mapping[str, Base]) -> None:
    base = packed.built_on[name]
    if base == _WHOLE:
        row.copy_(_checked(packed.kept[f"{name}:{_WHOLE}"], (1, *row.shape), row.dtype)[0])
        return
    if base != _ZERO:
        row.copy_(_checked(bases[base](), (1, *row.shape), row.dtype)[0])
    bits = packed.kept.get(f"{name}:{_PLACES}")
    if bits is not None:
        places = _from_bytes(bits, row.numel())
        row.view(-1).index_copy_(0, places, _checked(packed.kept[f"{name}:{_VALUES}"], (len(places),), row.dtype))


def _checked(tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if tensor.dtype != dtype or tuple(tensor.shape) != tuple(shape):
        raise RuntimeError(f"a tensor of {tensor.dtype} {tuple(tensor.shape)} where {dtype} {shape} belongs")
    return tensor


def _differing(a: Tensor, b: Tensor | None) -> NDArray[np.int64]:
    """Where two tensors of one type have other bits, as places in the flat tensor; None stands for zeros."""
    first, second = (None if x is None else _bits(x).numpy().reshape(-1) for x in (a, b))
    assert first is not None
    return np.flatnonzero(first != 0 if second is None else first != second)


def _bits(tensor: Tensor) -> Tensor:
    kind = torch.uint8 if tensor.dtype == torch.bool else _BITS[tensor.element_size()]
    return tensor.contiguous().view(kind)


def _to_bytes(places: NDArray[np.int64], count: int) -> Tensor:
    """Which of `count` elements are meant, eight a byte, the first in the lowest bit."""
    flags = np.zeros(count, np.bool_)
    flags[places] = True
    return torch.from_numpy(np.packbits(flags, bitorder="little"))


def _from_bytes(packed: Tensor, count: int) -> Tensor:
    """The inverse: places, int64."""
    if len(packed) != (count + 7) // 8:
        raise RuntimeError(f"{len(packed)} bytes where {(count + 7) // 8} belong")
    if packed.device.type == "cpu":
        flags = np.unpackbits(packed.numpy(), count=count, bitorder="little").view(np.bool_)
        return torch.from_numpy(np.flatnonzero(flags))
    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    return ((packed[:, None] >> shifts) & 1).flatten()[:count].nonzero()[:, 0]
