"""Weights of published networks: official files, strictly, or random numbers from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from videoinpaint.errors import MissingWeightsError
from videoinpaint.files import user_path
from videoinpaint.weights import entry_of, load_into


def load_networks(networks: nn.ModuleDict, entries: Mapping[str, str], weights: str | Path | None) -> None:
    """Load official files into networks, strictly.

    Args:
        networks: by part.
        entries: part -> name in the weights registry.
        weights: None for the cache; a folder with the official file names; a file, for the part "main" alone.

    Raises:
        MissingWeightsError: a file is absent; the message names the command that gets it.
        CorruptWeightsError: a file holds another network.
    """
    folder = None if weights is None else user_path(weights)
    for part, name in entries.items():
        explicit: Path | None = None
        if folder is not None and folder.is_dir():
            explicit = folder / entry_of(name).filename
            if not explicit.is_file():
                raise MissingWeightsError(f"the folder {folder} lacks {explicit.name}, the weights {name!r}")
        elif part == "main":
            explicit = folder
        load_into(networks[part], name, explicit)


@torch.no_grad()
def randomise(networks: nn.Module, seed: int, gain: float) -> None:
    """Fill all weights with numbers that keep activations in range, a function of the seed alone.

    Args:
        networks: to fill.
        seed: of the generator.
        gain: standard deviation of weights, in units of ``1 / sqrt(fan in)``.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, value in networks.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim >= 2:
            value.copy_(noise * gain / value[0].numel() ** 0.5)
        else:
            value.copy_(noise * 0.1 + float(name.endswith("weight")))
