"""bfloat16 where the processor has it: faster, and nearly the same repair."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from videoinpaint.clips.studio import Studio
from videoinpaint.controls import Controls
from videoinpaint.detectors.compact import CompactDetector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.inpainters.compact import CompactInpainter
from videoinpaint.precision import cpu_has_bfloat16, fast

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cpu_has_bfloat16.cache_clear()
    yield
    cpu_has_bfloat16.cache_clear()


def dtype_of_a_product() -> torch.dtype:
    with fast(CPU):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)],
)
def test_bfloat16_is_for_processors_that_multiply_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert dtype_of_a_product() == dtype


def test_a_torch_that_does_not_say_means_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert dtype_of_a_product() == torch.float32


def test_repairs_and_masks_hardly_depend_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = torch.from_numpy(Studio().load("studio-mixed-000003", 4, 64, 96).frames).permute(0, 3, 1, 2)[None]
    holes = torch.zeros(1, 4, 1, 64, 96)
    holes[..., 20:44, 30:60] = 1
    found = []
    for native in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native}, raising=False)
        cpu_has_bfloat16.cache_clear()
        loop = ClosedLoop(CompactInpainter(), CompactDetector(), CPU)
        state = loop.begin(frames, holes)
        for _ in range(3):
            state, *_ = loop.refine(state, Controls().to_array()[None])
        assert state["repaired"].dtype == state["masks"].dtype == torch.float32
        found.append([state[name][holes.expand_as(state[name]) > 0].numpy() for name in ("repaired", "masks")])
    differences = [np.abs(a - b) for a, b in zip(*found)]
    assert 0 < differences[0].mean() < 1 / 255
    assert differences[1].mean() < 0.02
