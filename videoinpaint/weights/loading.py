"""Tensors of weights, and modules filled with them: by name, in torchvision's layout, strictly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from videoinpaint.device import check_defaults
from videoinpaint.errors import CorruptWeightsError, VideoInpaintError
from videoinpaint.weights.files import read_file, read_metadata
from videoinpaint.weights.hashes import check_recorded
from videoinpaint.weights.lookup import WEIGHTS, path_of
from videoinpaint.weights.terms import announce, stated

Module = TypeVar("Module", bound=nn.Module)


def load_safetensors(name: str, explicit: str | Path | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of the weights ``name``; ImageNet networks get torchvision's names, whatever their source.

    Raises:
        MissingWeightsError, UnknownNameError: see :func:`videoinpaint.weights.path_of`.
        CorruptWeightsError: the file is damaged.
        InputError: torch has other defaults than :func:`videoinpaint.device.check_defaults` asks for.
    """
    check_defaults()
    path = path_of(name, explicit)
    check_recorded(path)
    tensors, metadata = read_file(path)
    announce(name, stated(WEIGHTS.get(name), metadata))
    tensors = _unwrapped(tensors)
    return (_torchvision_names(tensors, path) if name in _CONVOLUTIONS else tensors), metadata


def load_tensors(name: str, explicit: str | Path | None = None) -> dict[str, Tensor]:
    """As :func:`load_safetensors`, without the metadata."""
    return load_safetensors(name, explicit)[0]


def _unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefix that a DataParallel wrapper leaves in published files."""
    if not tensors or not all(key.startswith("module.") for key in tensors):
        return tensors
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def terms_of(name: str, explicit: str | Path | None = None) -> str:
    """The terms of the weights ``name``, where they ask for more than attribution; else "".

    Raises:
        MissingWeightsError, UnknownNameError: see :func:`videoinpaint.weights.path_of`.
        CorruptWeightsError: the file is damaged.
    """
    return stated(WEIGHTS.get(name), read_metadata(path_of(name, explicit)))


# The places of the convolutions in torchvision's `features`, in order.
_CONVOLUTIONS = {"alexnet": (0, 3, 6, 8, 10), "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
_ROOTS = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}


def _torchvision_names(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Only the convolutions, as ``features.N.weight`` and ``.bias`` in OIHW, from either source's layout."""
    root = next((root for root in _ROOTS.values() if any(key.startswith(root + "/") for key in tensors)), None)
    if root is None:
        return {key: value for key, value in tensors.items() if key.startswith("features.")}
    name = next(name for name, value in _ROOTS.items() if value == root)
    converted = {}
    for order, place in enumerate(_CONVOLUTIONS[name]):
        try:
            kernel, bias = (tensors[f"{root}/Conv_{order}/{part}"] for part in ("kernel", "bias"))
        except KeyError as error:
            raise CorruptWeightsError(f"{path} lacks {error}") from error
        if kernel.ndim != 4:
            raise CorruptWeightsError(f"{path}: {root}/Conv_{order}/kernel has shape {tuple(kernel.shape)}, not 4-D")
        converted[f"features.{place}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
        converted[f"features.{place}.bias"] = bias
    return converted


def load_into(module: nn.Module, name: str, explicit: str | Path | None = None) -> dict[str, str]:
    """Load the weights ``name`` into a module, strictly; returns the file's metadata. Nothing is written on error.

    Raises:
        CorruptWeightsError: names the first tensor that is missing, unexpected or of another shape.
    """
    tensors, metadata = load_safetensors(name, explicit)
    _fill(module, tensors, name)
    return metadata


def build_loaded(build: Callable[[], Module], name: str, explicit: str | Path | None = None) -> Module:
    """A module with the weights ``name``, built without the random numbers that these would replace.

    Args:
        build: makes the module. It runs on the "meta" device, so it must not look at numbers, and every parameter and
            buffer of the module must be in the file.
        name: of the weights.
        explicit: a file; None for the lookup order of :mod:`videoinpaint.weights`.

    Raises:
        As :func:`load_into`.
    """
    tensors = load_tensors(name, explicit)
    try:
        with torch.device("meta"):
            module = build()
    except (ValueError, RuntimeError, ArithmeticError, TypeError) as error:  # sizes that a damaged file names
        if isinstance(error, VideoInpaintError):
            raise
        raise CorruptWeightsError(f"the weights {name!r} describe no network: {error}") from error
    _fill(module, tensors, name, assign=True)
    return module


def build_seeded(build: Callable[[], Module], seed: int = 0) -> Module:
    """A module with the random weights of a seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _fill(module: nn.Module, tensors: dict[str, Tensor], name: str, assign: bool = False) -> None:
    check_tensors(module, tensors, name)
    # Assigned tensors would bring the file's number format along.
    kinds = {key: value.dtype for key, value in module.state_dict().items()}
    module.load_state_dict({key: value.to(kinds[key]) for key, value in tensors.items()}, assign=assign)


def check_tensors(module: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Raise CorruptWeightsError unless ``tensors`` has exactly the module's names and shapes."""
    wanted = module.state_dict()
    for key, value in wanted.items():
        if key not in tensors:
            raise CorruptWeightsError(
                f"the weights {name!r} lack {key} {tuple(value.shape)}: fetch or train them again"
            )
        if tensors[key].shape != value.shape:
            shapes = f"{tuple(tensors[key].shape)}, the network needs {tuple(value.shape)}"
            raise CorruptWeightsError(f"in the weights {name!r}, {key} has shape {shapes}")
    for key in tensors:
        if key not in wanted:
            raise CorruptWeightsError(f"the weights {name!r} hold {key}, which the network does not have")
