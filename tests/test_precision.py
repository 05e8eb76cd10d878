"""bfloat16 where the processor has it: faster, and nearly the same repair."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
import torch

from videoinpaint.clips.studio.scenes import Studio
from videoinpaint.controls import Controls
from videoinpaint.detectors import make_detector
from videoinpaint.detectors.compact import CompactDetector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.compact import CompactInpainter
from videoinpaint.precision import autocast, cpu_has_bfloat16, resolve_precision
from videoinpaint.protocols import precision_of

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cpu_has_bfloat16.cache_clear()
    yield
    cpu_has_bfloat16.cache_clear()


def dtype_of_a_product(precision: str = "auto") -> torch.dtype:
    with autocast(CPU, resolve_precision(precision, CPU)):
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


@pytest.mark.parametrize("native", [True, False])
def test_a_named_precision_holds_on_every_processor(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native}, raising=False)
    assert dtype_of_a_product("float32") == torch.float32
    assert dtype_of_a_product("bfloat16") == torch.bfloat16
    parts = [make_inpainter("compact", precision="float32"), make_detector("compact", precision="bfloat16")]
    assert [precision_of(part) for part in parts] == ["float32", "bfloat16"]
    assert precision_of(make_inpainter("compact")) == ("bfloat16" if native else "float32")


def test_parts_without_a_choice_compute_in_float32() -> None:
    assert precision_of(make_inpainter("telea", precision="bfloat16")) == "float32"


def test_an_unknown_precision_is_refused_before_anything_is_built() -> None:
    with pytest.raises(InputError, match=r"unknown precision 'half': use 'auto', 'float32', 'bfloat16'"):
        make_inpainter("telea", precision="half")
    with pytest.raises(InputError, match="unknown precision 'double'"):
        gymnasium.make("VideoInpaint-v0", precision="double")


def test_a_finished_part_keeps_its_precision() -> None:
    part = CompactDetector(precision="float32")
    assert make_detector(part) is make_detector(part, precision="float32") is part
    with pytest.raises(InputError, match="'compact' is built already, with precision 'float32'"):
        make_detector(part, precision="bfloat16")


def test_the_environment_passes_its_precision_on() -> None:
    settings = {"num_frames": 2, "height": 48, "width": 64, "device": "cpu"}
    for precision in ("float32", "bfloat16"):
        core = gymnasium.make("VideoInpaint-v0", precision=precision, **settings).unwrapped._core
        assert {precision_of(part) for part in (core.loop.inpainter, core.loop.detector)} == {precision}


def test_repairs_and_masks_hardly_depend_on_it() -> None:
    frames = torch.from_numpy(Studio().load("studio-mixed-000003", 4, 64, 96).frames).permute(0, 3, 1, 2)[None]
    holes = torch.zeros(1, 4, 1, 64, 96)
    holes[..., 20:44, 30:60] = 1
    known = holes.expand_as(frames) == 0
    firsts, found = [], []
    for precision in ("bfloat16", "float32"):
        loop = ClosedLoop(CompactInpainter(precision=precision), CompactDetector(precision=precision), CPU)
        state, _, detection = loop.refine(loop.begin(frames, holes), Controls().to_array()[None])
        firsts.append([state[name] for name in ("repaired", "masks")])
        # Channel weights average to the mask over the channels, to single precision whatever the network computes in.
        torch.testing.assert_close(detection.weights.mean(2, keepdim=True), detection.masks, atol=1e-5, rtol=0)
        for _ in range(2):
            state, *_ = loop.refine(state, Controls().to_array()[None])
        assert torch.equal(state["repaired"][known], loop.begin(frames, holes)["corrupted"][known])
        assert state["repaired"].dtype == state["masks"].dtype == torch.float32
        found.append([state[name][holes.expand_as(state[name]) > 0].numpy() for name in ("repaired", "masks")])
    assert not torch.equal(firsts[0][0], firsts[1][0])  # the inpainter's own difference: no detector has spoken
    seen = [CompactDetector(precision=p).detect(firsts[1][0], holes).masks for p in ("bfloat16", "float32")]
    assert not torch.equal(*seen)
    differences = [np.abs(a - b) for a, b in zip(*found)]
    assert 0 < differences[0].mean() < 1 / 255
    assert differences[1].mean() < 0.02
