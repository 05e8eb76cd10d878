"""Devices by name, and where Python may look at numbers: on a CPU it costs nothing, on a GPU the program waits for it.

So what depends on values (boxes, lists of places, groups) is done on the CPU only, and a GPU computes everything with
fixed shapes. What Python must know at the end of a step comes over at once, by :func:`fetched`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.checks import shown
from videoinpaint.errors import InputError

FREE = frozenset({"cpu"})
"""Kinds of devices whose values Python may look at; none, where a test wants to see what a GPU would do."""


def may_look(x: Tensor) -> bool:
    """Whether it costs nothing to let Python see values of ``x``, and so to let shapes depend on them."""
    return x.device.type in FREE


def fetched(values: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
    """Numbers by name on the host, in one transfer; float64 holds all of theirs exactly.

    Args:
        values: of one shape, of any type that float64 includes, some perhaps on the CPU already.
    """
    there = {name: value for name, value in values.items() if not may_look(value)}
    found = {name: value.double().numpy() for name, value in values.items() if name not in there}
    if there:
        table = torch.stack([value.double() for value in there.values()]).cpu().numpy()
        found |= dict(zip(there, table))
    return found


def resolve_device(device: str | torch.device) -> torch.device:
    """The device behind a name; "auto" is the GPU where there is one.

    Raises:
        InputError: no such device on this machine.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reason = "it computes nothing"
    try:
        if not isinstance(device, str | torch.device):
            raise TypeError("that is no name of a device")
        resolved = torch.device(device)
        # "meta" has shapes and no numbers; others may be known to torch and not be built into it
        if float(torch.ones(1, device=resolved)) == 1:
            return resolved
    except Exception as error:  # each kind of device fails in a way of its own
        reason = " ".join(str(error).split())[:200]
    usable = "'auto', 'cpu' or 'cuda'" if torch.cuda.is_available() else "'auto' or 'cpu', as no GPU is here"
    raise InputError(f"cannot use device {shown(device)} ({reason}): say {usable}")
