"""Pictures that are stored turned or mirrored, with a display matrix that says how to show them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Matrix = tuple[int, ...]
"""Nine int32 ``a b u c d v x y w``: a stored pixel ``(x, y)`` is shown at ``(a x + c y, b x + d y)``. Or nothing."""


def upright(array: NDArray[Any], matrix: Matrix) -> NDArray[Any]:
    """An array ``(H, W, ...)`` as it is shown."""
    turned, rows, columns = _steps(matrix)
    return (array.swapaxes(0, 1) if turned else array)[rows, columns]


def as_stored(array: NDArray[Any], matrix: Matrix) -> NDArray[Any]:
    """An array ``(H, W, ...)`` that is shown like this, as it is stored: what undoes `upright`."""
    turned, rows, columns = _steps(matrix)
    array = array[rows, columns]
    return array.swapaxes(0, 1) if turned else array


def _steps(matrix: Matrix) -> tuple[bool, slice, slice]:
    """Whether rows become columns, and whether then rows and columns run backwards. Angles are quarter turns."""
    if len(matrix) != 9:
        return False, slice(None), slice(None)
    a, b, _, c, d = matrix[:5]
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if turned else (a, d)
    return turned, slice(None, None, -1 if down < 0 else 1), slice(None, None, -1 if across < 0 else 1)
