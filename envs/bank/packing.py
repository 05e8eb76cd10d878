"""What `begin` computed, in fewer bytes and without loss: only what differs from tensors that cost nothing to make.

Most of a state says again what the clip and the hole say (the damaged clip, the reference as numbers in [0, 1]), is
zero outside the hole (what was traced) or is often zero (features after a rectifier). So a tensor is kept as the name
of a base, one bit an element for whether it differs from the base, and the values that do. Comparisons are of bits, so
that what is unpacked is what was packed, negative zeros included.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from videoinpaint.protocols import State

WORTH = 0.9
"""A tensor is kept whole unless its bits and differing values take less than this share of it."""

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_WHOLE, _PLACES, _VALUES = "whole", "places", "values"

Base = Callable[[], Tensor]
"""Makes a tensor that both sides have; called only where it is needed."""


def pack(state: State, bases: dict[str, Base]) -> tuple[State, dict[str, str]]:
    """Tensors to keep, and of each entry of the state the name of its base.

    Args:
        state: of one episode.
        bases: tensors that :func:`unpack` is given too; "zero" is always there.
    """
    made = {name: make() for name, make in bases.items()}
    kept: State = {}
    built_on: dict[str, str] = {}
    for name, tensor in state.items():
        fitting = {"zero": torch.zeros_like(tensor)}
        fitting |= {k: b for k, b in made.items() if b.shape == tensor.shape and b.dtype == tensor.dtype}
        differing = {k: _differs(tensor, b) for k, b in fitting.items()}
        counts = {k: int(places.sum()) for k, places in differing.items()}
        base = min(counts, key=lambda k: counts[k])
        size = tensor.numel() * tensor.element_size()
        if counts[base] == 0:
            built_on[name] = base
        elif counts[base] * tensor.element_size() + tensor.numel() / 8 < WORTH * size:
            built_on[name] = base
            kept[f"{name}:{_PLACES}"] = _to_bytes(differing[base])
            kept[f"{name}:{_VALUES}"] = tensor[differing[base]]
        else:
            built_on[name] = _WHOLE
            kept[f"{name}:{_WHOLE}"] = tensor.contiguous()
    return kept, built_on


def unpack(
    kept: State,
    built_on: dict[str, str],
    layout: dict[str, tuple[tuple[int, ...], torch.dtype]],
    bases: dict[str, Base],
) -> State:
    """The inverse of :func:`pack`, new tensors.

    Args:
        kept, built_on: what it returned.
        layout: shape and type of every entry.
        bases: as they were.

    Raises:
        KeyError, RuntimeError: the tensors are not those of this layout.
    """
    made: State = {}
    state: State = {}
    for name, base in built_on.items():
        shape, dtype = layout[name]
        if base == _WHOLE:
            state[name] = _checked(kept[f"{name}:{_WHOLE}"], shape, dtype)
            continue
        if base == "zero":
            device = next(iter(kept.values())).device
            ground = torch.zeros(shape, dtype=dtype, device=device)
        else:
            ground = made[base] = made[base] if base in made else bases[base]()
        places = kept.get(f"{name}:{_PLACES}")
        if places is not None:
            values = _checked(kept[f"{name}:{_VALUES}"], None, dtype)
            ground = ground.masked_scatter(_from_bytes(places, ground.numel()).view(shape), values)
        state[name] = _checked(ground, shape, dtype)
    return state


def _checked(tensor: Tensor, shape: tuple[int, ...] | None, dtype: torch.dtype) -> Tensor:
    if tensor.dtype != dtype or (shape is not None and tuple(tensor.shape) != tuple(shape)):
        raise RuntimeError(f"a tensor of {tensor.dtype} {tuple(tensor.shape)} where {dtype} {shape} belongs")
    return tensor


def _differs(a: Tensor, b: Tensor) -> Tensor:
    """Where two tensors of one type have other bits."""
    if a.dtype == torch.bool:
        return a != b
    kind = _BITS[a.element_size()]
    return a.contiguous().view(kind) != b.contiguous().view(kind)


def _to_bytes(places: Tensor) -> Tensor:
    """Bools, eight a byte, the first in the lowest bit."""
    flat = places.flatten().to(torch.uint8)
    flat = torch.nn.functional.pad(flat, (0, -len(flat) % 8)).view(-1, 8)
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=flat.device)
    return (flat * weights).sum(1, dtype=torch.uint8)


def _from_bytes(packed: Tensor, count: int) -> Tensor:
    if len(packed) != (count + 7) // 8:
        raise RuntimeError(f"{len(packed)} bytes where {(count + 7) // 8} belong")
    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    return ((packed[:, None] >> shifts) & 1).bool().flatten()[:count]
