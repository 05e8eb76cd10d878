"""Parts that break their protocol: one clear error that names the part, whatever the number of episodes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from videoinpaint.envs import VideoInpaintEnv, VideoInpaintVectorEnv
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.protocols import Detection, Refinement


def spoiled(part, method, spoil):
    """A part of which one method's result is another."""
    own = getattr(part, method)

    class Spoiled(type(part)):
        pass

    made = Spoiled()
    setattr(made, method, lambda *args: spoil(own(*args)))
    return made


REFINED = {
    "nothing": (lambda r: None, ".*must give a Refinement"),
    "an array": (lambda r: r.frames.numpy(), ".*must give a Refinement"),
    "another type": (lambda r: dataclasses.replace(r, frames=r.frames.double()), "the frames that .* float32"),
    "one frame for all": (
        lambda r: dataclasses.replace(r, frames=r.frames[:, :1]),
        "the frames that .* got float32",
    ),
    "pictures": (lambda r: dataclasses.replace(r, frames=r.frames.mul(255).byte()), ".* got uint8"),
    "a plain cost": (lambda r: dataclasses.replace(r, gflops=1.0), "the gflops that refine"),
    "a cost too many": (lambda r: dataclasses.replace(r, gflops=torch.zeros(99)), "the gflops that refine"),
    "a cost of all heads": (lambda r: dataclasses.replace(r, full_gflops=2), "the full_gflops that refine"),
    "a new entry": (
        lambda r: dataclasses.replace(r, state={"new": torch.ones(len(r.frames))}),
        ".*values for new",
    ),
}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("how", REFINED)
def test_what_refine_gives_is_checked(toy, how, count):
    spoil, message = REFINED[how]
    env = VideoInpaintVectorEnv(count, **toy | {"inpainter": spoiled(toy["inpainter"], "refine", spoil)})
    env.reset(seed=0)
    with pytest.raises(InputError, match=f"(?=.*inpainter 'toy'){message}"):
        env.step(np.zeros((count, 5), np.float32))


@pytest.mark.parametrize("begun", [None, [], torch.zeros(1), {"mean": 1.0}, {1: torch.zeros(1)}])
def test_what_begin_gives_is_checked(toy, begun):
    env = VideoInpaintEnv(**toy | {"inpainter": spoiled(toy["inpainter"], "begin", lambda _: begun)})
    with pytest.raises(InputError, match="begin of the inpainter 'toy' must give a dict of tensors"):
        env.reset(seed=0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: None, "must give a Detection"),
        (lambda d: d.masks, "must give a Detection"),
        (lambda d: Detection(d.masks[:, :1], d.weights), "the masks that detect"),
        (lambda d: Detection(d.masks, d.weights[:, :, :1]), "the weights that detect"),
        (lambda d: Detection(d.masks.double(), d.weights), "the masks that detect .* float32"),
    ],
)
def test_what_detect_gives_is_checked(toy, spoil, message):
    env = VideoInpaintEnv(**toy | {"detector": spoiled(toy["detector"], "detect", spoil)})
    env.reset(seed=0)
    with pytest.raises(InputError, match=message):
        env.step(np.zeros(5, np.float32))


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: dataclasses.replace(r, frames=r.frames * torch.nan),
        lambda r: dataclasses.replace(r, gflops=r.gflops * torch.nan),
        lambda r: dataclasses.replace(r, full_gflops=r.gflops + torch.inf),
    ],
    ids=["frames", "cost", "cost of all heads"],
)
def test_no_number_is_named_and_never_a_reward(toy, spoil, count):
    env = VideoInpaintVectorEnv(count, **toy | {"inpainter": spoiled(toy["inpainter"], "refine", spoil)})
    env.reset(seed=0)
    with pytest.raises(CorruptWeightsError, match="the inpainter 'toy' gives values that are not finite"):
        env.step(np.zeros((count, 5), np.float32))


def test_what_keeps_to_its_protocol_passes(toy):
    kept = spoiled(toy["inpainter"], "refine", lambda r: Refinement(r.frames, r.gflops, r.gflops * 2))
    env = VideoInpaintEnv(**toy | {"inpainter": kept})
    env.reset(seed=0)
    assert np.isfinite(env.step(np.zeros(5, np.float32))[1])
