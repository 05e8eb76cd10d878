"""What `info` says of an episode: the same keys after a reset as after a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.controls import NAMES

RUNNING, REPAIRED, STOPPED, MAX_ITERATIONS, TRUNCATED = "", "repaired", "stopped", "max_iterations", "truncated"
"""Why an episode ended: not yet, nothing is flagged any more, all that is flagged was skipped, its iterations are used
up, or it was cut off."""

Info = dict[str, Any]


def episode_infos(
    metrics: Mapping[str, NDArray[np.float64]],
    terms: Mapping[str, NDArray[np.float64]],
    controls: NDArray[np.float32],
    others: Mapping[str, NDArray[Any]],
    ends: Sequence[str],
    maps: Mapping[str, NDArray[Any] | None] | None = None,
) -> list[Info]:
    """One fresh dict an episode, of NumPy scalars and short strings, nested one level; and maps.

    Args:
        metrics: raw terms of the present repair, each ``(B,)``; likewise `terms`, weighted, zero after a reset.
        terms: see `metrics`.
        controls: ``(B, 5)`` in natural units, of a map its mean; zero after a reset, when none were chosen yet.
        others: further numbers, each ``(B,)``.
        ends: why each episode ended, "" while it goes on.
        maps: what is known cell by cell of an action grid, each ``(B, rows, columns, ...)``; None is left out.
    """
    chosen = {name: controls[:, place].astype(np.float64).round(6) for place, name in enumerate(NAMES)}
    nested = {"metrics": metrics, "reward_terms": terms, "controls": chosen}
    return [
        {group: {name: values[i] for name, values in columns.items()} for group, columns in nested.items()}
        | {name: values[i] for name, values in others.items()}
        | {"end": end, "is_success": end == REPAIRED}
        | {name: array[i].copy() for name, array in (maps or {}).items() if array is not None}
        for i, end in enumerate(ends)
    ]


def flattened(info: Mapping[str, Any], prefix: str = "") -> Info:
    """The numbers of an info under names like ``"metrics/psnr"``: no nesting, no strings, no arrays but scalars.

    The seed is one too, because TorchRL asks each for its dtype; elsewhere it stays the ``int`` that `reset` takes.
    """
    flat: Info = {}
    for name, value in info.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}/")
        elif not isinstance(value, str | np.ndarray):
            flat[prefix + name] = np.asarray(value)[()]
    return flat


def info_of(infos: Mapping[str, Any], index: int) -> dict[str, Any]:
    """One environment's info out of Gymnasium's vector form, ``{key: array, "_key": who has it}``, as Python values."""
    found: dict[str, Any] = {}
    for key, values in infos.items():
        present = infos.get(f"_{key}")
        if key.startswith("_") or (present is not None and not present[index]):
            continue
        if isinstance(values, Mapping):
            found[key] = info_of(values, index)
        else:
            value = values[index]
            found[key] = value.item() if isinstance(value, np.generic) else value
    return found
