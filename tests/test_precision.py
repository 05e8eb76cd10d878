"""bfloat16 where the processor has it: faster, and nearly the same repair."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from videoinpaint.clips.studio.scenes import Studio
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
    firsts, found = [], []
    for _ in use_both(monkeypatch):
        loop = ClosedLoop(CompactInpainter(), CompactDetector(), CPU)
        state, _, detection = loop.refine(loop.begin(frames, holes), Controls().to_array()[None])
        firsts.append([state[name] for name in ("repaired", "masks")])
        # Channel weights average to the mask over the channels, to single precision whatever the network computes in.
        torch.testing.assert_close(detection.weights.mean(2, keepdim=True), detection.masks, atol=1e-5, rtol=0)
        for _ in range(2):
            state, *_ = loop.refine(state, Controls().to_array()[None])
        assert state["repaired"].dtype == state["masks"].dtype == torch.float32
        found.append([state[name][holes.expand_as(state[name]) > 0].numpy() for name in ("repaired", "masks")])
    assert not torch.equal(firsts[0][0], firsts[1][0])  # the inpainter's own difference: no detector has spoken
    seen = [CompactDetector().detect(firsts[1][0], holes).masks for _ in use_both(monkeypatch)]
    assert not torch.equal(*seen)
    differences = [np.abs(a - b) for a, b in zip(*found)]
    assert 0 < differences[0].mean() < 1 / 255
    assert differences[1].mean() < 0.02


def use_both(monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """With and without a processor that multiplies bfloat16."""
    for native in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native}, raising=False)
        cpu_has_bfloat16.cache_clear()
        yield native
