"""Reading and writing weight files: safetensors, torch files with ``weights_only=True``, pickled NumPy dicts.

Nothing here ever runs code that a file names. The reader for pickled dicts admits NumPy arrays and plain containers:
the NumPy names such a file refers to are answered by inert stand-ins, and anything else is refused.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from videoinpaint.checks import plain_content, unusable
from videoinpaint.errors import CorruptWeightsError
from videoinpaint.files import write_bytes

FILES_READ: dict[Path, None] = {}
"""The weight files that this process has read, in order: what a record of a run names."""

THIRD_BYTE = ".third_byte"
"""Ends the name of a tensor that holds the third bytes of another one's numbers; see :func:`shortened`."""

_DTYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


class _DType:
    """Stands in for ``numpy.dtype`` while unpickling."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in _DTYPES:
            raise pickle.UnpicklingError(f"arrays of dtype {code!r} are not admitted")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1]) if state[1] in ("<", ">", "=") else "="


class _Array:
    """Stands in for ``numpy.ndarray`` while unpickling; becomes a real array afterwards."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _DType) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("an array without plain bytes")
        flat = np.frombuffer(raw, np.dtype(dtype.order + dtype.code)).astype(dtype.code)  # native byte order
        self.array = flat.reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that admits NumPy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}; only NumPy arrays are admitted")
        return _ADMITTED[module, name]


def read_array_pickle(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a pickled, possibly nested dict, keyed by ``"outer/inner"`` paths.

    Raises:
        CorruptWeightsError: the file holds anything but dicts of numeric arrays, or is damaged.
    """
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="latin1").load()
        arrays: dict[str, NDArray[Any]] = {}
        _flatten(content, "", arrays)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise CorruptWeightsError(f"{path} is not a dict of NumPy arrays: {error}") from error
    return arrays


def _flatten(content: Any, prefix: str, into: dict[str, NDArray[Any]]) -> None:
    if isinstance(content, _Array):
        into[prefix] = content.array
    elif isinstance(content, dict):
        for key, value in content.items():
            _flatten(value, f"{prefix}/{key}" if prefix else str(key), into)
    else:
        raise pickle.UnpicklingError(f"{prefix or 'its content'} is a {type(content).__name__}")


def read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a weight file, by its suffix: ``.safetensors``, ``.pth``/``.pt``, ``.ckpt`` (arrays).

    Raises:
        CorruptWeightsError: damaged, or it holds something other than named tensors of finite numbers.
    """
    found = read_as(path, path.suffix)
    FILES_READ[path.resolve()] = None
    return found


def read_as(path: Path, suffix: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """As :func:`read_file`, of a file that does not bear its name yet."""
    found = _read_as(path, suffix)
    for name, tensor in found[0].items():
        if wrong := unusable(tensor):
            raise CorruptWeightsError(f"in {path}, {name} {wrong}: the file is damaged, get or train it again")
    return found


def _read_as(path: Path, suffix: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    if suffix == ".safetensors":
        return _read_safetensors(path)
    if suffix == ".ckpt":
        return {name: torch.from_numpy(np.array(array)) for name, array in read_array_pickle(path).items()}, {}
    try:
        content = plain_content(path)
    except ValueError as error:
        raise CorruptWeightsError(f"{path} cannot be read as plain tensors: {error}") from error
    for container in ("state_dict", "netG"):  # netG: the generator, as STTN and DSTT publish it
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
    named = isinstance(content, dict) and all(isinstance(key, str) for key in content)
    if not named or not all(isinstance(value, Tensor) for value in content.values()):
        raise CorruptWeightsError(f"{path} does not hold a dict of named tensors")
    return {key: value.detach() for key, value in content.items()}, {}


def metadata_number(metadata: Mapping[str, str], name: str, low: int, high: int) -> int:
    """A whole number that a weight file's metadata hold.

    Raises:
        CorruptWeightsError: it is not there, no number, or out of ``low..high``.
    """
    text = metadata.get(name, "")
    number = int(text) if text.isdecimal() and len(text) < 10 else -1
    if not low <= number <= high:
        told = f"its metadata say {name}={text!r}" if text else f"its metadata do not say {name}"
        raise CorruptWeightsError(f"a weight file cannot be used: {told}, which lies in {low} to {high}; get it again")
    return number


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptWeightsError(f"{path} is not a valid safetensors file: {error}") from error
    return _lengthened(tensors, path), metadata


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a weight file alone; only ``.safetensors`` have any.

    Raises:
        CorruptWeightsError: it is damaged.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptWeightsError(f"{path} is not a valid safetensors file: {error}") from error


def shortened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Numbers of float32 in three bytes instead of four, for a file: :func:`read_file` gives float32 again.

    Each is rounded to 16 significant bits (a relative error of at most 2^-16). The first two bytes are a tensor of
    bfloat16 under the same name, which is of use by itself; the third is one of uint8, its name ends in
    ``.third_byte``.

    Args:
        tensors: float32, finite and not within a rounding of the largest number that there is.
    """
    short = {}
    for name, tensor in tensors.items():
        bits = (tensor.contiguous().view(torch.int32) + 0x80) >> 8
        short[name] = (bits >> 8).to(torch.int16).view(torch.bfloat16)
        short[name + THIRD_BYTE] = (bits & 0xFF).to(torch.uint8)
    return short


def _lengthened(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Tensors without those of third bytes, which are joined to the ones that they belong to."""
    long = {name: tensor for name, tensor in tensors.items() if not name.endswith(THIRD_BYTE)}
    for name in tensors.keys() - long.keys():
        low, high = tensors[name], long.get(name.removesuffix(THIRD_BYTE))
        kinds = (low.dtype, high is not None and high.dtype)
        if high is None or kinds != (torch.uint8, torch.bfloat16) or low.shape != high.shape:
            raise CorruptWeightsError(f"in {path}, {name} fits no tensor: the file is damaged, get it again")
        bits = high.view(torch.int16).to(torch.int32) << 16 | low.to(torch.int32) << 8
        long[name.removesuffix(THIRD_BYTE)] = bits.view(torch.float32)
    return long


def save_safetensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write tensors and string metadata (values are passed through ``str``), whole or not at all.

    Equal tensors and metadata make equal files, byte for byte.

    Args:
        path: where; folders are made, an existing file is replaced in one step.
        tensors: name -> tensor, moved to the CPU.
        metadata: a model's configuration, for the one who loads it.
    """
    path = Path(path)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return write_bytes(path, _with_metadata(save(plain), {str(k): str(v) for k, v in (metadata or {}).items()}))


def _with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    """A safetensors file with sorted metadata: as the library writes them their order is another in every process."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items()))} | json.loads(content[8:start])
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]
