"""The five controls an agent sets at every refinement, and the map between them and actions in [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videoinpaint.checks import shown
from videoinpaint.errors import InputError

NAMES = ("heads", "fusion", "alpha", "beta", "gamma")
HEADS, FUSION, ALPHA, BETA, GAMMA = range(5)

# CLIP-RL, Section 3.1.3: the range each dimension of the action is clipped to, in natural units.
LOW = np.array([2.0, 0.5, 0.8, 0.3, 0.1])
HIGH = np.array([12.0, 0.8, 1.0, 0.6, 0.3])

# Where an environment lets cells be skipped, its actions go on to where the same affine map gives no heads. Actions
# within [-1, 1] mean the same with and without, and so do the policies that choose them.
SKIP = -1.4
"""The lowest heads of an action that may skip; whatever is below the middle of [-1.4, -1] skips."""


@dataclass(frozen=True)
class Controls:
    """One refinement's controls in natural units.

    The defaults are what "default" means everywhere: the policy of that name, `videoinpaint.inpaint`, and, of alpha,
    beta and gamma, the fixed weights of the reward. All heads run, and everything else stands at the middle of its
    range; with these one pass of the compact inpainter repairs best (docs/models/inpainter-compact.md).

    Attributes:
        heads: attention heads that run, an integer in 2..12; 0 where nothing is refined (``skips=True``).
        fusion: weight of hallucinated against propagated content, 0.5..0.8.
        alpha: weight of SSIM and PSNR in the reward, 0.8..1.0.
        beta: weight of the perceptual and LPIPS losses, 0.3..0.6.
        gamma: weight of the temporal-alignment loss, 0.1..0.3.
    """

    heads: int = 12
    fusion: float = 0.65
    alpha: float = 0.9
    beta: float = 0.45
    gamma: float = 0.2

    def to_array(self) -> NDArray[np.float32]:
        """The controls as float32 ``(5,)`` in the order of ``NAMES``."""
        return np.array([getattr(self, name) for name in NAMES], dtype=np.float32)

    @classmethod
    def from_array(cls, values: ArrayLike) -> Controls:
        """Controls from five natural values; they are clipped to their ranges and heads is rounded.

        Raises:
            InputError: not five finite numbers.
        """
        array = as_numbers(values, "controls")
        if array.size != 5:
            raise InputError(f"controls are 5 values {NAMES}, got shape {array.shape}")
        clipped = clip_controls(array.reshape(1, 5))[0]
        return cls(round(float(clipped[HEADS])), *(round(float(v), 6) for v in clipped[1:]))

    def as_dict(self) -> dict[str, float]:
        """The controls by name."""
        return {name: getattr(self, name) for name in NAMES}


DEFAULT = Controls()
"""The default controls."""

OBJECTIVES = {
    "average": (DEFAULT.alpha, DEFAULT.beta, DEFAULT.gamma),
    "fidelity": (1.0, 0.3, 0.1),
    "texture": (0.8, 0.6, 0.1),
    "motion": (0.8, 0.3, 0.3),
    "largest": (1.0, 0.6, 0.3),
}
"""alpha, beta, gamma. Where an agent weighs its own reward, `fidelity` maximises an absolute reward (the largest weight
on what adds to it, the smallest on what lowers it), and `largest` maximises an improvement in every term."""


def as_numbers(values: Any, what: str = "an action", *, finite: bool = True) -> NDArray[np.float64]:
    """Actions or controls as float64, whatever they come as: arrays, lists, tensors.

    Args:
        values: what was given.
        what: it is, for the message.
        finite: NaN and infinities are refused.

    Raises:
        InputError: text, mappings, ragged lists, integers beyond all types, NaN, infinities.
    """
    try:
        array = np.asarray(_on_host(values) if hasattr(values, "detach") else values)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"values of type {array.dtype}")
        array = array.astype(np.float64)
    except Exception as error:  # NumPy refuses each kind of nonsense in another way
        reason = " ".join(str(error).split())
        raise InputError(f"{what} must hold numbers, got {shown(values)} ({reason})") from error
    if finite and not np.isfinite(array).all():
        raise InputError(f"{what} must hold finite numbers, got {shown(array.tolist())}")
    return array


def _on_host(tensor: Any) -> Any:
    """A tensor as NumPy can read it, which knows no bfloat16."""
    values = tensor.detach().cpu()
    return values.double() if values.is_floating_point() else values


def clip_controls(values: ArrayLike) -> NDArray[np.float32]:
    """Natural values ``(..., 5)`` clipped to their ranges, heads rounded; fewer heads than 1 are 0.

    Raises:
        InputError: a value is NaN or infinite.
    """
    array = as_numbers(values, "controls")
    if array.shape[-1:] != (5,):
        raise InputError(f"controls are 5 values {NAMES}, got shape {array.shape}")
    clipped = np.clip(array, LOW, HIGH)
    clipped[..., HEADS] = np.where(array[..., HEADS] < 1, 0, np.rint(clipped[..., HEADS]))
    return clipped.astype(np.float32)


def check_controls(values: ArrayLike, count: int) -> NDArray[np.float32]:
    """Natural values as float32, just as they are: whoever takes an action has clipped it already.

    Args:
        values: ``(count, 5)``, or a map of them over the frame, ``(count, rows, columns, 5)``.
        count: episodes of the batch.

    Raises:
        InputError: another shape, a value that is not finite or out of its range (no heads is in it: such cells are
            skipped), or a fraction of a head.
    """
    array = as_numbers(values, "controls").astype(np.float32)
    if array.ndim not in (2, 4) or (len(array), array.shape[-1]) != (count, 5) or not array.size:
        raise InputError(f"controls must have shape {(count, 5)} in the order {NAMES}, got {array.shape}")
    slack = 1e-6  # float32 cannot hold the ends of all ranges
    asked = refining(array)
    if not ((asked >= LOW - slack) & (asked <= HIGH + slack)).all() or (array[..., HEADS] % 1).any():
        ranges = ", ".join(f"{name} {low:g}..{high:g}" for name, low, high in zip(NAMES, LOW, HIGH))
        raise InputError(f"controls must lie within {ranges}, heads whole, got {array.tolist()}")
    return array


def skipped(controls: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where controls ``(..., 5)`` ask for no heads, ``(...)``: the repair stays there as it is."""
    return controls[..., HEADS] == 0


def refining(controls: NDArray[np.float32]) -> NDArray[np.float32]:
    """Controls as an inpainter takes them, which knows nothing of skipping: the fewest heads where none are asked."""
    asked = controls.copy()
    asked[..., HEADS] = np.where(skipped(controls), LOW[HEADS], controls[..., HEADS])
    return asked


def least_action(skips: bool = True) -> NDArray[np.float32]:
    """The lowest action ``(5,)``, where cells may be skipped or not."""
    low = np.full(5, -1, np.float32)
    low[HEADS] = SKIP if skips else -1
    return low


def clip_action(actions: NDArray, skips: bool = True) -> NDArray:
    """Actions ``(..., 5)`` clipped to where they mean something."""
    return np.clip(actions, least_action(skips).astype(actions.dtype), 1)


def action_to_controls(actions: ArrayLike, skips: bool = False) -> NDArray[np.float32]:
    """Actions ``(..., 5)`` in [-1, 1] to controls in natural units, same shape: an affine map, clipping and rounding.

    Args:
        actions: what was chosen.
        skips: heads below -1.2 stand for none; else they are clipped to -1 as all others, and stand for 2.

    Raises:
        InputError: wrong shape, or a value is NaN or infinite.
    """
    array = as_numbers(actions)
    if array.shape[-1:] != (5,):
        raise InputError(f"an action has 5 values {NAMES}, got shape {array.shape}")
    controls = LOW + (clip_action(array, skips) + 1) / 2 * (HIGH - LOW)
    return clip_controls(controls)


def mean_controls(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Controls ``(B, rows, columns, 5)`` as their mean over the frame, ``(B, 5)``; ``(B, 5)`` as they are.

    The mean of heads need not be whole.
    """
    return values if values.ndim == 2 else values.reshape(len(values), -1, 5).mean(1)


def framewide(controls: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps of one cell as ``(B, 5)``: one cell is the whole frame, and any inpainter takes it; others as they are."""
    return mean_controls(controls) if controls.shape[1:-1] == (1, 1) else controls


def controls_to_action(values: ArrayLike) -> NDArray[np.float32]:
    """The inverse of :func:`action_to_controls` (exact up to the rounding of heads)."""
    array = clip_controls(values).astype(np.float64)
    return clip_action((array - LOW) / (HIGH - LOW) * 2 - 1).astype(np.float32)
