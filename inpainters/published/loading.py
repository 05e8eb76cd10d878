"""Weights of published networks: official files, strictly, or random numbers from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from videoinpaint.errors import CorruptWeightsError, MissingWeightsError
from videoinpaint.files import user_path
from videoinpaint.inpainters.published.sizes import Sizes
from videoinpaint.weights import ORIGIN, build_loaded, entry_of, handed_on, load_into, save_safetensors, terms_of


def load_networks(networks: nn.ModuleDict, entries: Mapping[str, str], weights: str | Path | None) -> tuple[str, ...]:
    """Load official files into networks, strictly.

    Args:
        networks: by part.
        entries: part -> name in the weights registry.
        weights: None for the cache; a folder with the official file names; a file, for the part "main" alone.

    Returns:
        the terms of each file, "" where they ask for no more than attribution.

    Raises:
        MissingWeightsError: a file is absent; the message names the command that gets it.
        CorruptWeightsError: a file holds another network.
    """
    folder = None if weights is None else user_path(weights)
    terms = []
    for part, name in entries.items():
        explicit: Path | None = None
        if folder is not None and folder.is_dir():
            explicit = folder / entry_of(name).filename
            if not explicit.is_file():
                raise MissingWeightsError(f"the folder {folder} lacks {explicit.name}, the weights {name!r}")
        elif part == "main":
            explicit = folder
        load_into(networks[part], name, explicit)
        terms.append(terms_of(name, explicit))
    return tuple(terms)


def trained_here(networks: nn.ModuleDict) -> nn.Module:
    """What a file that is written here holds of some networks: the single one, by the official names, or all parts."""
    return networks["main"] if len(networks) == 1 else networks


def save_trained(networks: nn.ModuleDict, sizes: Sizes, output: Path, terms: Sequence[str] = ()) -> Path:
    """Write trained networks, their sizes and the terms of what they began from; :func:`load_trained` reads them."""
    state = {key: value.detach().cpu().contiguous() for key, value in trained_here(networks).state_dict().items()}
    return save_safetensors(output, state, {ORIGIN: "videoinpaint pretrain"} | handed_on(*terms) | sizes.as_metadata())


def load_trained(build: Callable[[], dict[str, nn.Module]], name: str, path: str | Path) -> nn.ModuleDict:
    """Networks from a file of :func:`save_trained`, strictly.

    Args:
        build: makes the networks by part, of the file's sizes.
        name: of the main part in the weights registry.
        path: the file.

    Raises:
        CorruptWeightsError: the file holds other networks, or its sizes describe none.
    """
    networks: list[nn.ModuleDict] = []

    def built() -> nn.Module:
        networks.append(nn.ModuleDict(build()))
        return trained_here(networks[0])

    try:
        build_loaded(built, name, user_path(path))
    except (AttributeError, AssertionError, OverflowError) as error:
        raise CorruptWeightsError(f"the weights {name!r} describe no network: {error}") from error
    return networks[0]


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
