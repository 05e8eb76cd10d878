"""What goes wrong with files and values: a good one damaged at random, and things that nobody should pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch


def mutated_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """The content with one to four things wrong with it."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            break
        # Half of all faults are where the file says what it holds.
        size = len(data) if rng.random() < 0.5 else min(len(data), 2_000)
        start = int(rng.integers(size))
        stop = start + int(rng.integers(1, 64))
        what = rng.integers(9)
        if what == 0:
            data[start] ^= 1 << int(rng.integers(8))
        elif what == 1:
            data[start:stop] = bytes(len(data[start:stop]))
        elif what == 2:
            data[start:stop] = b"\xff" * len(data[start:stop])
        elif what == 3:
            del data[start:stop]
        elif what == 4:
            data[start:start] = data[start:stop]
        elif what == 5:
            del data[start:]
        elif what == 6:
            data[start:stop] = rng.bytes(stop - start)
        elif what == 7:
            place = start // 4 * 4
            number = rng.choice(np.array([np.nan, np.inf, 3e38, -1e30, 1e-42], np.float32))
            data[place : place + 4] = np.float32(number).tobytes()
        else:
            data[start:stop] = [b"{", b'"', b"null", b"1e999", b"]]]]", b"NaN", b"\x80\x02c"][int(rng.integers(7))]
    return bytes(data)


def nonsense(rng: np.random.Generator) -> Any:
    """Something that somebody might pass."""
    huge = 10 ** int(rng.integers(5, 400))
    values: list[Any] = [
        None, True, -1, 0, 1, 2, 7, huge, -huge, 1.5, float("nan"), float("inf"), 1e308, 1e-300, 1j, "", "x", "auto",
        "studio", "x" * 300, "~nouser/a", "a\0b", "\udcff", ":", "a:b", "json:loads", "../..", "[/bold]", "a$b_{$c",
        "studio,studio:hard", "square", b"bytes", [], [1, 2], [[1], [2, 3]], {}, {"seed": 3}, (1,), set(), object(),
        Path("x"), Path("~nouser"), np.zeros(5), np.zeros((2, 5)), np.full(5, np.nan), np.array(["a"]), np.int64(3),
        np.zeros((2, 48, 64), np.uint8), np.ones((2, 48, 64, 3), np.uint8), np.float32(0.5), torch.zeros(5),
        torch.zeros(5, requires_grad=True), torch.zeros(5, device="meta"), torch.device("meta"), range(5), print, int,
        float(rng.normal()), int(rng.integers(-(2**62), 2**62)), "".join(map(chr, rng.integers(1, 0x2FF, 12))),
    ]  # fmt: skip
    return values[int(rng.integers(len(values)))]


def mutated(rng: np.random.Generator, value: Any) -> Any:
    """A nested value with one thing wrong with it, somewhere."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        key = list(value)[int(rng.integers(len(value)))]
        if rng.random() < 0.15:
            del value[key]
        else:
            value[key] = mutated(rng, value[key])
        return value
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = int(rng.integers(len(value)))
        value[place] = mutated(rng, value[place])
        return value
    if isinstance(value, torch.Tensor) and value.numel() and rng.random() < 0.85:
        return _mutated_tensor(rng, value)
    if isinstance(value, int | float) and rng.random() < 0.5:
        return [-value, value * 10**9, float("nan"), value + 1, str(value)][int(rng.integers(5))]
    return nonsense(rng)


def _mutated_tensor(rng: np.random.Generator, tensor: torch.Tensor) -> torch.Tensor:
    what, changed = rng.integers(8), tensor.clone()
    if what < 4:
        values = [np.nan, np.inf, 1e30, -1e30, 0.5, -1.0] if changed.is_floating_point() else [0, 1, 77, 255, -5]
        value = values[int(rng.integers(len(values)))]
        flat = changed.view(-1)
        if not changed.is_floating_point():
            value = min(abs(value), torch.iinfo(changed.dtype).max) if changed.dtype != torch.bool else value > 0
        flat[int(rng.integers(len(flat)))] = value
        return changed
    return [
        lambda: changed.transpose(0, -1), lambda: changed[..., None], lambda: changed[:0],
        lambda: changed.to(torch.float16 if changed.dtype != torch.float16 else torch.int64),
    ][what - 4]()  # fmt: skip
