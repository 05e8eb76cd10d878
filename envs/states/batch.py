"""States of batches: flat dicts of tensors that all lead with the batch dimension, indexed like one tensor.

Nested states share one flat dict by a prefix (``"loop/inpainter/propagated"``), so that a single function picks or
replaces episodes whatever parts the loop is made of. Tensors in a state are never written in place: that makes sharing
them between saved and running states safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch

from videoinpaint.errors import InputError
from videoinpaint.protocols import State

Entry = TypeVar("Entry")


def batch_size(state: State) -> int:
    """The number of episodes a state holds.

    Raises:
        InputError: the tensors disagree about it, or there are none.
    """
    sizes = {len(tensor) if tensor.ndim else 0 for tensor in state.values()}
    if len(sizes) != 1 or 0 in sizes:
        raise InputError(f"every tensor of a state must lead with the batch dimension, got sizes {sorted(sizes)}")
    return sizes.pop()


def take(state: State, indices: Sequence[int]) -> State:
    """Copies of the episodes at `indices`, in that order."""
    return {name: tensor[torch.as_tensor(indices, device=tensor.device)] for name, tensor in state.items()}


def put(state: State, indices: Sequence[int], part: State) -> State:
    """A new state with the episodes at `indices` replaced by those of `part`.

    Raises:
        InputError: `part` has other entries, or an entry of another shape (a part whose state depends on more than the
            clip's size cannot be batched).
    """
    if state.keys() != part.keys():
        raise InputError(f"cannot mix states with entries {sorted(state)} and {sorted(part)}")
    merged = {}
    for name, tensor in state.items():
        if tensor.shape[1:] != part[name].shape[1:]:
            raise InputError(
                f"state entry {name!r} has shape {tuple(tensor.shape[1:])} in one episode "
                f"and {tuple(part[name].shape[1:])} in another: it must depend on the clip's size alone"
            )
        merged[name] = tensor.clone()
        merged[name][torch.as_tensor(indices, device=tensor.device)] = part[name].to(tensor)
    return merged


def nested(prefix: str, state: State) -> State:
    """The state with every name put under ``prefix/``."""
    return {f"{prefix}/{name}": tensor for name, tensor in state.items()}


def within(prefix: str, state: Mapping[str, Entry]) -> dict[str, Entry]:
    """The inverse of :func:`nested`: the entries under ``prefix/``, by their inner names."""
    return {name.removeprefix(prefix + "/"): t for name, t in state.items() if name.startswith(prefix + "/")}


def unstacked(state: State) -> list[State]:
    """The episodes of a batch, each a batch of one; views."""
    if batch_size(state) == 1:
        return [state]
    return [{name: tensor[i : i + 1] for name, tensor in state.items()} for i in range(batch_size(state))]


def join(parts: Sequence[State]) -> State:
    """One batch of several, in order.

    Raises:
        InputError: the parts have different entries or shapes.
    """
    if len(parts) == 1:
        return dict(parts[0])
    try:
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    except (KeyError, RuntimeError) as error:
        raise InputError(f"these states cannot form one batch: {error}") from error


def placed(name: str, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """An entry of an environment's state where it belongs: bookkeeping on the CPU, whatever the device."""
    kept = name in ("iteration", "loop/gflops", "loop/full_gflops") or name.startswith("predicted/")
    return tensor.cpu() if kept else tensor.to(device)
