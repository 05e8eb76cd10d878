"""Half the work where the processor can: the compact networks run in bfloat16 on CPUs that multiply it natively."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively; without that, bfloat16 is slower than single precision."""
    if not hasattr(torch.cpu, "get_capabilities"):  # older versions of torch do not say
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def fast(device: torch.device) -> torch.autocast:
    """A context for inference on ``device``: bfloat16 products on a CPU that has them, else single precision."""
    native = device.type == "cpu" and cpu_has_bfloat16()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=native)


def multiplied(x: Tensor) -> Tensor:
    """``x`` in the type in which products are made here, so that it is converted once and not for each of several."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x
