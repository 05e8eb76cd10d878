"""Episodes that stop: with ``skips=True`` an agent may leave cells, and in the end the whole repair, as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.composition import EMPTY_BELOW
from videoinpaint.controls import skipped
from videoinpaint.regions import summed


def at_rest(controls: NDArray[np.float32], masks: Tensor) -> NDArray[np.bool_]:
    """Bool ``(B,)``: episodes in which no cell that holds a flagged pixel is to be refined.

    Python looks at the masks only where some cells are skipped and others not; on a GPU that waits for nothing, as
    the agent who chose has seen them.

    Args:
        controls: ``(B, 5)`` or ``(B, rows, columns, 5)``, in natural units.
        masks: M_n ``(B, T, 1, H, W)``, before the pass.
    """
    left = skipped(controls).reshape(len(controls), -1)
    whole = np.asarray(left.all(1))
    if (whole | ~left.any(1)).all():
        return whole
    flagged = summed(masks.ge(EMPTY_BELOW).double().amax((1, 2)), controls.shape[1:3]).flatten(1).cpu().numpy() > 0
    return np.asarray(whole | (left.any(1) & ~(flagged & ~left).any(1)))
