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


def check_defaults() -> None:
    """Raise InputError where torch makes tensors elsewhere, or of another type, than it does by itself.

    Networks are float32, and what a tensor without a device holds is for the CPU: costs, counts, places.
    """
    if torch.get_default_dtype() != torch.float32:
        raise InputError(
            f"torch's default dtype is {torch.get_default_dtype()}, and networks here are float32: call "
            "torch.set_default_dtype(torch.float32)"
        )
    place = torch.empty(0).device  # torch.get_default_device fails in torch 2.6 where the default was set back to None
    if place.type != "cpu":
        raise InputError(
            f"torch's default device is {str(place)!r}, and numbers here are counted on the CPU: call "
            "torch.set_default_device('cpu'), and say by device= where networks compute"
        )


def resolve_device(device: str | torch.device) -> torch.device:
    """The device behind a name; "auto" is the GPU where there is one.

    Raises:
        InputError: no such device on this machine, or one without float64, such as "mps"; torch has other defaults
            than :func:`check_defaults` asks for.
    """
    check_defaults()
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reason = "it computes nothing"
    try:
        if not isinstance(device, str | torch.device):
            raise TypeError("that is no name of a device")
        resolved = torch.device(device)
        # "meta" has shapes and no numbers; others may be known to torch and not be built into it
        if float(torch.ones(1, device=resolved)) == 1:
            if _has_float64(resolved):
                return resolved
            reason = "it has no float64, in which costs and metrics are added up"
    except Exception as error:  # each kind of device fails in a way of its own
        reason = " ".join(str(error).split())[:200]
    usable = "'auto', 'cpu' or 'cuda'" if torch.cuda.is_available() else "'auto' or 'cpu', as no GPU is here"
    raise InputError(f"cannot use device {shown(device)} ({reason}): say {usable}")


def _has_float64(device: torch.device) -> bool:
    try:
        return float(torch.ones(1, dtype=torch.float64, device=device)) == 1
    except Exception:  # as above
        return False
