"""What may come from outside: numbers within their ranges, tensors that hold numbers; one place for all front doors.

Plain numbers are looked at without torch, which takes seconds to load: registering the environments must not need it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from videoinpaint.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

LARGEST = float(np.finfo(np.float32).max)
"""What lies beyond becomes infinite in the type that everything computes in."""

MAX_SEED = 2**63 - 1


def whole_number(value: Any, name: str, low: int, high: int) -> int:
    """A whole number of any type, Python's or NumPy's.

    Raises:
        InputError: another type (a truth value is none), or out of ``low..high``.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} must be a whole number of {low} to {high}, got {shown(value)}")
    if not low <= value <= high:
        raise InputError(f"{name} must lie in {low} to {high}, got {shown(value)}")
    return int(value)


def is_number(value: Any, largest: float | None = None) -> bool:
    """Whether a value is a number as JSON has them, an int or a float; a truth value is none.

    Args:
        value: anything.
        largest: beyond which nothing is accepted, nor NaN; None: every number.
    """
    return type(value) in (int, float) and (largest is None or -largest <= value <= largest)


def plain_array(value: Any, name: str) -> NDArray[Any]:
    """An array of what was given, which may be nested lists; an array itself is not copied.

    Raises:
        InputError: its parts are of different sizes, or it is a tensor that NumPy cannot read: of bfloat16, on a GPU.
    """
    try:
        return np.asarray(value)
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"{name} must be an array of numbers that NumPy can read, got {shown(value)} ({error}): convert it first"
        ) from error
    except ValueError as error:
        raise InputError(f"{name} must be one array of numbers, got parts of different sizes") from error


def check_grid(grid: Any, height: int, width: int, name: str = "action_grid") -> tuple[int, int]:
    """Rows and columns of a grid over a frame.

    Args:
        grid: what was given.
        height: rows at most, as every cell has a pixel.
        width: columns at most, likewise.
        name: of the argument.

    Raises:
        InputError: no two whole numbers, or out of their ranges.
    """
    if not isinstance(grid, tuple | list) or len(grid) != 2:
        raise InputError(f"{name} is (rows, columns), or None for one action a frame, got {shown(grid)}")
    rows, columns = grid
    return (
        whole_number(rows, f"the number of rows of {name}", 1, int(height)),
        whole_number(columns, f"the number of columns of {name}", 1, int(width)),
    )


def real_number(value: Any, name: str, low: float, high: float, *, above: bool = False) -> float:
    """A finite number of any type.

    Args:
        value: what was given.
        name: of the argument.
        low: the least.
        high: the greatest.
        above: `low` itself is not admitted.

    Raises:
        InputError: another type (a truth value is none), NaN, or out of range.
    """
    least = f"above {low:g}" if above else f"at least {low:g}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"{name} must be a number, {least} and at most {high:g}, got {shown(value)}")
    if not low <= value <= high or (above and value == low):
        raise InputError(f"{name} must be {least} and at most {high:g}, got {shown(value)}")
    return float(value)


def seed_number(value: Any, name: str = "seed", high: int = MAX_SEED) -> int:
    """A seed.

    Raises:
        InputError: no whole number, negative, or too large.
    """
    return whole_number(value, name, 0, high)


def shown(value: Any) -> str:
    """A value for a message: its repr, short and on one line, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # integers of thousands of digits, nested a thousand times, or somebody's own __repr__
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


MAX_FRAMES, MAX_SIDE, MAX_COUNT, MAX_PIXELS = 10_000, 16_384, 4_096, 2**30
"""What environments and training windows may ask for: frames, pixels a side, clips in a batch, pixels of all of it."""

_BYTES_A_PIXEL = 120
"""What an episode's state takes with the compact parts, measured."""


def check_sides(num_frames: Any, height: Any, width: Any, least: tuple[int, int] = (1, 1)) -> None:
    """Look at each size of a clip by itself; the arguments are those of :func:`check_extent`.

    Raises:
        InputError: no whole number, or out of bounds.
    """
    whole_number(num_frames, "num_frames", least[0], MAX_FRAMES)
    whole_number(height, "height", least[1], MAX_SIDE)
    whole_number(width, "width", least[1], MAX_SIDE)


def check_extent(num_frames: Any, height: Any, width: Any, count: Any = 1, least: tuple[int, int] = (1, 1)) -> None:
    """Look at sizes before anything of them is allocated.

    Args:
        num_frames: of a clip.
        height: pixels.
        width: pixels.
        count: clips in the batch.
        least: frames, and pixels a side.

    Raises:
        InputError: no whole number, out of bounds, or more than the machine's memory in all.
    """
    check_sides(num_frames, height, width, least)
    whole_number(count, "the number of clips at once", 1, MAX_COUNT)
    pixels, told = int(count) * int(num_frames) * int(height) * int(width), f"{count}x{num_frames}x{height}x{width}"
    if pixels > MAX_PIXELS:
        raise InputError(
            f"clips x num_frames x height x width = {told} pixels are more than {MAX_PIXELS}: ask for less"
        )
    check_room(pixels * _BYTES_A_PIXEL, f"clips x num_frames x height x width = {told}")


def unusable(tensor: Tensor) -> str | None:
    """Why a tensor that was read from a file cannot be computed with; None if it can.

    Not plain real numbers in memory, see :func:`misshapen`, or values that are NaN or, in float32, infinite.
    """
    if wrong := misshapen(tensor):
        return wrong
    if tensor.dtype.is_complex:
        return "is no tensor of real numbers"
    if tensor.is_floating_point() and tensor.numel() and not _all_finite(tensor.detach()):
        return "holds NaN or infinite values"
    return None


def misshapen(tensor: Tensor) -> str | None:
    """Why a tensor that was read from a file is no plain array, whatever its values; None if it is one.

    Not numbers in memory (sparse, quantised, on no device), or a view that pretends to be larger than its file.
    """
    import torch

    if tensor.layout != torch.strided or tensor.device.type == "meta" or tensor.is_quantized:
        return "is no plain tensor of numbers"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"claims the shape {tuple(tensor.shape)}, which its data do not fill"
    return None


def _all_finite(tensor: Tensor) -> bool:
    import torch

    # One pass without a copy: both ends are NaN where any value is.
    low, high = torch.aminmax(tensor if tensor.element_size() > 1 else tensor.float())
    return float(low) >= -LARGEST and float(high) <= LARGEST


def check_room(count: int, name: str) -> None:
    """Look whether this many bytes fit into this machine's memory, before they are asked for.

    Raises:
        InputError: they do not.
    """
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return
    if 0 < there < count:
        raise InputError(
            f"{name} would take about {count / 2**30:,.0f} GiB, here are {there / 2**30:.0f}: ask for less"
        )


def find_unusable(value: Any, name: str = "") -> str | None:
    """The first place in nested mappings and lists where :func:`unusable` or a float says no; None if all is well."""
    from torch import Tensor

    if isinstance(value, Tensor):
        wrong = unusable(value)
        return f"{name} {wrong}" if wrong else None
    if isinstance(value, np.ndarray):
        return None if value.dtype.kind != "f" or np.isfinite(value).all() else f"{name} holds NaN or infinite values"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{name} is {value}"
    if isinstance(value, Mapping):
        entries: Any = value.items()
    elif isinstance(value, list | tuple):
        entries = enumerate(value)
    else:
        return None
    found = (find_unusable(entry, f"{name}/{key}" if name else str(key)) for key, entry in entries)
    return next(filter(None, found), None)


def plain_content(path: Any) -> Any:
    """What a torch file holds, read without running anything that it names.

    Raises:
        ValueError: it is damaged, or holds more than tensors and plain values. Torch's own message has many lines, and
            advises to run what the file names.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail in nearly any way
        raise ValueError("it is damaged, or holds more than tensors and plain values") from error
