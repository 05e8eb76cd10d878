"""What the beginning of an episode depends on, so that a bank is used by no other environment than its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from videoinpaint.envs.episodes import EpisodeSource
from videoinpaint.naming import stable_name
from videoinpaint.protocols import Inpainter, MaskPropagator, OneShotInpainter, precision_of

Identity = dict[str, str]


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
    """A digest of all networks that an object holds, and that inpainters and propagators which it is built around do;
    the same for a part that has none, whatever its class.
    """
    found = hashlib.sha256()
    for name, network in _networks(part):
        for entry, tensor in sorted(network.state_dict().items()):
            found.update(f"{name}.{entry}:{tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().flatten().view(-1).float().numpy().tobytes())
    return found.hexdigest()[:16]


def _networks(part: Any) -> Iterator[tuple[str, nn.Module]]:
    for name, value in sorted(vars(part).items() if hasattr(part, "__dict__") else []):
        if isinstance(value, nn.Module):
            yield name, value
        elif isinstance(value, Inpainter | OneShotInpainter | MaskPropagator):
            yield from ((f"{name}.{below}", network) for below, network in _networks(value))
