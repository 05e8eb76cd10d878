"""What the beginning of an episode depends on, so that a bank is used by no other environment than its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from videoinpaint.envs.states.episodes import EpisodeSource
from videoinpaint.naming import stable_name
from videoinpaint.protocols import Inpainter, MaskPropagator, OneShotInpainter, State, precision_of

Identity = dict[str, str]

CLOSE, FEW = 1e-2, 1e-2
"""How far numbers of one beginning may lie apart, absolutely and relatively, and what share of them further."""

_REGISTERED = ("_modules", "_parameters", "_buffers")  # a network's own, which its `state_dict` tells already


def identify(source: EpisodeSource, parts: dict[str, Any]) -> Identity:
    """Names, sizes and digests, by what they are of.

    Args:
        source: of the episodes.
        parts: inpainter, propagator and what else `begin` runs, by role; None where there is none.
    """
    length, height, width = source.shape
    told = {"size": f"{length} frames of {height}x{width}", "clips": stable_name(source.clips)}
    if source.propagator is None:
        told["masks"] = stable_name(source.masks)
    for role, part in parts.items():
        if part is not None:
            told[role] = f"{getattr(part, 'name', role)}, {precision_of(part)}"
            told[f"{role} weights"] = weights_digest(part)
    return told


def weights_digest(part: Any) -> str:
    """A digest of all weights of an object; the same for one that has none, whatever its class.

    They are those of the networks, parameters and tensors in its attributes, also in lists and, but for plain tensors,
    in dicts, where parts keep caches; its own, where it is a network itself; and those of inpainters and propagators
    that it is built around.
    """
    found = hashlib.sha256()
    for name, tensor in _weights_of(part, "", frozenset()):
        found.update(f"{name}:{tuple(tensor.shape)}".encode())
        plain = tensor.detach().cpu().contiguous().flatten()
        found.update((torch.view_as_real(plain) if plain.is_complex() else plain).float().numpy().tobytes())
    return found.hexdigest()[:16]


def begins_alike(kept: State, fresh: State) -> bool:
    """Whether two states are of one beginning of an episode, but for rounding.

    Other threads and other devices add in another order, and where something is decided by a threshold, a few pixels
    may come out otherwise.
    """
    if kept.keys() != fresh.keys():
        return False
    return all(_alike(kept[name], tensor) for name, tensor in fresh.items())


def _alike(a: Tensor, b: Tensor) -> bool:
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    exact = not (b.is_floating_point() or b.is_complex())
    same = a == b if exact else torch.isclose(a, b, rtol=CLOSE, atol=CLOSE, equal_nan=True)
    return int((~same).sum()) <= FEW * b.numel()


def _weights_of(value: Any, name: str, above: frozenset[int]) -> Iterator[tuple[str, Tensor]]:
    """Tensors by their names, of a part and of whatever it holds; `above` are the ids of what holds it."""
    if id(value) in above:
        return
    above |= {id(value)}
    if isinstance(value, nn.Module):
        yield from ((_below(name, entry), tensor) for entry, tensor in sorted(value.state_dict().items()))
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, list | tuple | Mapping):
        entries = _but_caches(value) if isinstance(value, Mapping) else enumerate(value)
        for key, entry in sorted(entries, key=lambda pair: str(pair[0])):
            yield from _weights_of(entry, _below(name, str(key)), above)
    elif not name or isinstance(value, Inpainter | OneShotInpainter | MaskPropagator):
        held = {key: entry for key, entry in getattr(value, "__dict__", {}).items() if key not in _REGISTERED}
        for key, entry in sorted(held.items()):
            yield from _weights_of(entry, _below(name, key), above)


def _but_caches(held: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """What weights may be among; tensors by some key (a size, say) are what a part remembers of its work."""
    return ((k, v) for k, v in held.items() if not isinstance(v, Tensor) or isinstance(v, nn.Parameter))


def _below(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
