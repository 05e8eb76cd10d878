"""In which type the compact networks multiply: float32, or bfloat16, which halves the work where a CPU has it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from videoinpaint.checks import shown
from videoinpaint.errors import InputError

PRECISIONS = ("auto", "float32", "bfloat16")


@cache
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively; without that, bfloat16 is slower than float32."""
    if not hasattr(torch.cpu, "get_capabilities"):  # older versions of torch do not say
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def check_precision(precision: str) -> str:
    """The argument itself.

    Raises:
        InputError: it is none of `PRECISIONS`.
    """
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise InputError(f"unknown precision {shown(precision)}: use {', '.join(map(repr, PRECISIONS))}")
    return precision


def resolve_precision(precision: str, device: torch.device) -> str:
    """What will be used, "float32" or "bfloat16": "auto" is bfloat16 on a CPU that multiplies it natively.

    So "auto" gives other bits on other processors; results that are to be compared name one of the two.

    Raises:
        InputError: the precision is none of `PRECISIONS`.
    """
    if check_precision(precision) != "auto":
        return precision
    return "bfloat16" if device.type == "cpu" and cpu_has_bfloat16() else "float32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context for inference on ``device`` whose products are made in ``precision``, "float32" or "bfloat16"."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def multiplied(x: Tensor) -> Tensor:
    """``x`` in the type in which products are made here, so that it is converted once and not for each of several."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x
