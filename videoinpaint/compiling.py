"""Fusing element-wise work with ``torch.compile``: fewer passes over memory, for a wait before the first step."""

from __future__ import annotations

import torch

from videoinpaint.errors import InputError


def check_compiler(device: torch.device) -> None:
    """Compile something small.

    Raises:
        InputError: it does not work here; on a CPU that needs a C++ compiler.
    """
    try:
        torch.compile(lambda x: (x + 1).sin())(torch.zeros(7, device=device))
    except Exception as error:  # each toolchain fails in a way of its own
        told = " ".join(str(error).split())[:200]
        raise InputError(
            f"compile=True does not work here ({type(error).__name__}: {told}): install a C++ compiler, or leave it out"
        ) from error


def compile_methods(owner: object, *names: str) -> None:
    """Compile methods of one object in place; they compile when they are first called, once for each kind of shape.

    A method that is compiled already stays as it is, so that two environments may share a part.
    """
    for name in names:
        if name not in vars(owner):
            setattr(owner, name, torch.compile(getattr(owner, name)))
