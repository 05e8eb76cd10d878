"""Functions of which every processor and every version of NumPy gives the same bits.

NumPy's own `sin`, `exp` and `power` differ in the last bit between processors and versions. These are made of
additions, multiplications, divisions, square roots and rounding of float64 alone, each of which IEEE 754 defines to
the bit, and which NumPy never fuses. They agree with `math` to 1e-12 for arguments up to ten thousand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PI_HIGH, _PI_LOW = 3.1415926218032837, 3.178650954705639e-08  # the first has 26 bits: whole multiples of it are exact
_LN2_HIGH, _LN2_LOW = 0.6931471675634384, 1.2996506893889889e-08
_SIN = [(-1) ** i / math.factorial(2 * i + 1) for i in range(9)]
_EXP = [1 / math.factorial(i) for i in range(14)]
_ODD = [1 / (2 * i + 1) for i in range(11)]


def sin(x: Any) -> Any:
    """The sine of a number or an array, in radians."""
    # Python's floats are float64 as well: the same bits, without the cost of an array for one number.
    one = isinstance(x, float | int)
    x = float(x) if one else np.asarray(x, np.float64)
    turns = float(round(x * (1 / math.pi))) if one else np.rint(x * (1 / math.pi))
    rest = (x - turns * _PI_HIGH) - turns * _PI_LOW
    odd = turns - 2 * (math.floor(0.5 * turns) if one else np.floor(0.5 * turns))
    return (1 - 2 * odd) * rest * _polynomial(_SIN, rest * rest)


def cos(x: Any) -> Any:
    """The cosine of a number or an array, in radians."""
    return sin(x + 0.5 * math.pi)


def exp(x: Any) -> Any:
    """e to the power of a number or an array."""
    x = np.asarray(x, np.float64)
    power = np.rint(x * (1 / math.log(2)))
    rest = (x - power * _LN2_HIGH) - power * _LN2_LOW
    return np.ldexp(_polynomial(_EXP, rest), power.astype(np.int32))


def log(x: Any) -> Any:
    """The natural logarithm of a positive number or array."""
    fraction, power = np.frexp(np.asarray(x, np.float64))
    small = fraction < math.sqrt(0.5)
    fraction, power = np.where(small, 2 * fraction, fraction), power - small
    ratio = (fraction - 1) / (fraction + 1)
    return 2 * ratio * _polynomial(_ODD, ratio * ratio) + power * _LN2_LOW + power * _LN2_HIGH


def angle_of(x: float, y: float) -> float:
    """The direction of a vector in radians, as ``atan2(y, x)``; 0 for the zero vector."""
    if x == 0 and y == 0:
        return 0.0
    slope = min(abs(x), abs(y)) / max(abs(x), abs(y))
    for _ in range(2):  # halve the angle twice: the series converges fast below pi / 16
        slope = slope / (1 + math.sqrt(1 + slope * slope))
    angle = 4 * slope * float(_polynomial([(-1) ** i * c for i, c in enumerate(_ODD)], slope * slope))
    angle = 0.5 * math.pi - angle if abs(y) > abs(x) else angle
    angle = math.pi - angle if x < 0 else angle
    return -angle if y < 0 else angle


def mean(values: Iterable[float]) -> float:
    """The mean, from the exactly rounded sum: the order of the values does not matter."""
    values = [float(value) for value in values]
    return math.fsum(values) / len(values)


def _polynomial(coefficients: list[float], x: Any) -> Any:
    total: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
