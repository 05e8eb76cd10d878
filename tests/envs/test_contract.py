"""Parts that break their protocol: one clear error that names the part, whatever the number of episodes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from videoinpaint.detectors import make_detector
from videoinpaint.envs import ClosedLoop, VideoInpaintEnv, VideoInpaintOneShotEnv, VideoInpaintVectorEnv
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.protocols import Detection, Refinement


def spoiled(part, method, spoil):
    """A part of which one method's result is another."""
    own = getattr(part, method)

    class Spoiled(type(part)):
        pass

    made = Spoiled()
    setattr(made, method, lambda *args: spoil(own(*args)))
    return made


def remembering(result, mean):
    return dataclasses.replace(result, state={"mean": mean})


REFINED = {
    "nothing": (lambda r: None, ".*must give a Refinement"),
    "an array": (lambda r: r.frames.numpy(), ".*must give a Refinement"),
    "another type": (lambda r: dataclasses.replace(r, frames=r.frames.double()), "the frames that .* float32"),
    "bfloat16": (
        lambda r: dataclasses.replace(r, frames=r.frames.bfloat16()),
        "the frames that .*, got bfloat16 .*: convert it to float32",
    ),
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
    "an entry of another shape": (lambda r: remembering(r, torch.zeros(1, 3)), "the new 'mean' that refine"),
    "an entry of another type": (lambda r: remembering(r, r.frames[:, :1, :, :1, :1].double()), "the new 'mean'"),
    "no tensor": (lambda r: dataclasses.replace(r, state={"mean": 3}), ".*as its state must give a dict of tensors"),
    "a list": (lambda r: dataclasses.replace(r, state=[1]), ".*as its state must give a dict of tensors"),
    "a negative cost": (lambda r: dataclasses.replace(r, gflops=-r.gflops), ".*: gflops must be at least 0"),
    "frames in 0..255": (lambda r: dataclasses.replace(r, frames=r.frames * 255), r".*: frames must lie in \[0, 1\]"),
    "frames in -1..1": (lambda r: dataclasses.replace(r, frames=r.frames * 2 - 1), r".*: frames must lie in \[0, 1\]"),
    "another device": (
        lambda r: dataclasses.replace(r, frames=r.frames.to("meta")),
        ".*the frames that .* must lie where the clip does, not on meta: the clip lies on cpu",
    ),
    "an entry on another device": (
        lambda r: remembering(r, r.frames[:, :1, :, :1, :1].to("meta")),
        ".*the new 'mean' .* must lie where the clip does, not on meta",
    ),
    "a tensor": (lambda r: r.frames, ".*must give a Refinement, got a Tensor$"),
    "a complex cost": (lambda r: dataclasses.replace(r, gflops=r.gflops.cfloat()), "the gflops that refine"),
}


@pytest.mark.parametrize(("count", "fusion"), [(1, "network"), (5, "network"), (1, "boundary")])
@pytest.mark.parametrize("how", REFINED)
def test_what_refine_gives_is_checked(toy, how, count, fusion):
    spoil, message = REFINED[how]
    parts = {"inpainter": spoiled(toy["inpainter"], "refine", spoil), "fusion": fusion}
    env = VideoInpaintVectorEnv(count, **toy | parts)
    env.reset(seed=0)
    with pytest.raises(InputError, match=f"(?=.*inpainter 'toy){message}"):
        env.step(np.zeros((count, 5), np.float32))


@pytest.mark.parametrize("fusion", ["network", "boundary"])
@pytest.mark.parametrize(
    ("begun", "message"),
    [
        (None, "must give a dict of tensors"),
        ([], "must give a dict of tensors"),
        (torch.zeros(1), "must give a dict of tensors"),
        ({"mean": 1.0}, "must give a dict of tensors"),
        ({1: torch.zeros(1)}, "must give a dict of tensors"),
        ({"mean": torch.zeros(7, 3)}, r"gives 'mean' of shape \(7, 3\): it must lead with \([12]\)"),
        ({"mean": torch.tensor(3.0)}, "gives 'mean' of shape"),
        ({"mean": torch.zeros(1, 3, dtype=torch.complex128)}, "gives 'mean' as complex128: a state may hold bool, "),
        ({"mean": torch.ones(1, 3).to_sparse()}, "gives 'mean' as a sparse tensor"),
        ({"mean": torch.zeros(1, 3, dtype=torch.uint16)}, "gives 'mean' as uint16: a state may hold bool, "),
        ({"mean": torch.zeros(1, 3, device="meta")}, "gives 'mean' on meta: the clip lies on cpu, move it there"),
    ],
)
def test_what_begin_gives_is_checked(toy, begun, message, fusion):
    parts = {"inpainter": spoiled(toy["inpainter"], "begin", lambda _: begun), "fusion": fusion}
    env = VideoInpaintEnv(**toy | parts)
    with pytest.raises(InputError, match=f"begin of the inpainter 'toy' {message}"):
        env.reset(seed=0)


def remade(part, method, give):
    """A part with one more method, which gives what `give` makes of its arguments."""
    return type("Remade", (type(part),), {method: give})()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda own: None, "a pair, got None"),
        (dict, "a pair, got"),
        (lambda own: ([1], {}), "must give a dict of tensors"),
        (lambda own: (own, None), "as what was learnt must give a dict of tensors, got None"),
        (lambda own: (own, {"x": torch.zeros(1, 9)}), r"learns 'x' of shape \(1, 9\): it must lead with \(1, 4\)"),
        (lambda own: ({"mean": torch.zeros(2, 3)}, {}), "gives 'mean' of shape"),
        (lambda own: (own, {"x": torch.zeros(1, 4, device="meta")}), "learns 'x' on meta: the clip lies on cpu"),
    ],
)
def test_what_begin_within_gives_is_checked(toy, given, message):
    reaching = remade(toy["inpainter"], "begin_within", lambda self, f, m, *_: given(self.begin(f, m)))
    frames, holes = torch.rand(1, 4, 3, 48, 64), torch.zeros(1, 4, 1, 48, 64)
    holes[..., 10:20, 10:20] = 1
    with pytest.raises(InputError, match=f"begin_within of the inpainter 'toy' .*{message}"):
        ClosedLoop(reaching, toy["detector"]).begin_within(frames, holes, range(2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda own, m: None, "a pair, got None"),
        (lambda own, m: ([1], m), "must give a dict of tensors"),
        (lambda own, m: (own, m[:, 0]), "the masks that begin_one_shot"),
        (lambda own, m: (own, m.numpy()), "the masks that begin_one_shot"),
        (lambda own, m: (own, m * torch.nan), r"must lie in \[0, 1\], got values from nan"),
        (lambda own, m: (own, m - 1), r"must lie in \[0, 1\], got values from -1"),
        (lambda own, m: (own, m.to("meta")), "must lie where the clip does, not on meta"),
    ],
)
def test_what_begin_one_shot_gives_is_checked(toy, given, message):
    def give(self, frames, trackers):
        masks = torch.stack([tracker.masks() for tracker in trackers])
        return given(self.begin(frames, masks), masks)

    settings = toy | {"inpainter": remade(toy["inpainter"], "begin_one_shot", give), "propagator": "held"}
    with pytest.raises(InputError, match=f"(?=.*begin_one_shot of the inpainter 'toy').*{message}"):
        VideoInpaintOneShotEnv(**settings).reset(seed=0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: None, "must give a Detection"),
        (lambda d: d.masks, "must give a Detection, got a Tensor$"),
        (lambda d: Detection(d.masks[:, :1], d.weights), "the masks that detect"),
        (lambda d: Detection(d.masks, d.weights[:, :, :1]), "the weights that detect"),
        (lambda d: Detection(d.masks.double(), d.weights), "the masks that detect .* float32"),
        (
            lambda d: Detection(d.masks.bfloat16(), d.weights),
            "the masks that detect .*bfloat16 .*: convert it to float32",
        ),
        (
            lambda d: Detection(d.masks, d.weights.bfloat16()),
            "the weights that detect .*bfloat16 .*: convert it to float",
        ),
        (
            lambda d: Detection(d.masks * 2 + 1, d.weights),
            r"detect of the detector 'toy': masks must lie in \[0, 1\]",
        ),
        (lambda d: Detection(d.masks - 1, d.weights), r"detect of the detector 'toy': masks must lie in \[0, 1\]"),
        (lambda d: Detection(d.masks, -d.weights), "detect of the detector 'toy': weights must be at least 0"),
        (lambda d: Detection(d.masks * torch.nan, d.weights), "detect of the detector 'toy': masks are not finite"),
        (lambda d: Detection(d.masks, d.weights / 0), "detect of the detector 'toy': weights are not finite"),
        (lambda d: Detection(d.masks.clamp(min=0.4), d.weights), "detect .*: masks must be 0 outside the hole"),
        (
            lambda d: Detection(d.masks, d.weights.to("meta")),
            "weights that detect .* must lie where the clip does, not on",
        ),
    ],
)
def test_what_detect_gives_is_checked(toy, spoil, message):
    env = VideoInpaintEnv(**toy | {"detector": spoiled(toy["detector"], "detect", spoil)})
    env.reset(seed=0)
    with pytest.raises(InputError, match=message):
        env.step(np.zeros(5, np.float32))


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(
    ("field", "spoil"),
    [
        ("frames are not finite", lambda r: dataclasses.replace(r, frames=r.frames * torch.nan)),
        ("gflops are not finite", lambda r: dataclasses.replace(r, gflops=r.gflops * torch.nan)),
        ("full_gflops are not finite", lambda r: dataclasses.replace(r, full_gflops=r.gflops + torch.inf)),
        (
            "the new 'mean' of its state holds NaN",
            lambda r: remembering(r, torch.full_like(r.frames[:, :1, :, :1, :1], torch.nan)),
        ),
    ],
)
def test_no_number_is_named_and_never_a_reward(toy, field, spoil, count):
    env = VideoInpaintVectorEnv(count, **toy | {"inpainter": spoiled(toy["inpainter"], "refine", spoil)})
    env.reset(seed=0)
    said = f"^refine of the inpainter 'toy': {field}: look for a division by 0; if it has weights, they may be damaged"
    with pytest.raises(InputError, match=said) as told:
        env.step(np.zeros((count, 5), np.float32))
    assert not isinstance(told.value, CorruptWeightsError)


@pytest.mark.parametrize("role", ["inpainter", "detector"])
def test_no_number_of_a_network_of_ours_means_damaged_weights(role):
    part = make_inpainter("compact") if role == "inpainter" else make_detector("compact")
    network = next(value for value in vars(part).values() if isinstance(value, torch.nn.Module))
    for weight in network.parameters():
        weight.data *= torch.nan
    other = {"detector": "none"} if role == "inpainter" else {"inpainter": "telea"}
    env = VideoInpaintEnv(**{role: part}, **other, num_frames=2, height=48, width=64, device="cpu")
    env.reset(seed=0)
    with pytest.raises(CorruptWeightsError, match=f"of the {role} 'compact': .* its weights are damaged: get or train"):
        env.step(np.zeros(5, np.float32))


WRITTEN = {
    "what a detector gets": ("detector", "detect", 0),
    "the hole": ("detector", "detect", 1),
    "frames that it begins with": ("inpainter", "begin", 0),
    "the repair": ("inpainter", "refine", 1),
    "the mask": ("inpainter", "refine", 2),
    "its own state": ("inpainter", "refine", 0),
}


@pytest.mark.parametrize("fusion", ["network", "boundary"])
@pytest.mark.parametrize("what", WRITTEN)
def test_a_part_that_writes_into_what_others_keep_is_named(toy, what, fusion):
    role, method, place = WRITTEN[what]
    part = toy[role]
    own = getattr(part, method)

    def write(*given):
        written = given[place]["mean"] if isinstance(given[place], dict) else given[place]
        written[:] = 0.25
        return own(*given)

    setattr(part, method, write)
    env = VideoInpaintEnv(**toy, fusion=fusion)
    said = rf"{role} 'toy': {method} writes into what it is given, .* a clone\(\) of it"
    with pytest.raises(InputError, match=said):  # noqa: PT012 - whichever of the two calls the method
        env.reset(seed=0)
        env.step(np.zeros(5, np.float32))


def test_what_keeps_to_its_protocol_passes(toy):
    kept = spoiled(toy["inpainter"], "refine", lambda r: Refinement(r.frames, r.gflops, r.gflops * 2))
    env = VideoInpaintEnv(**toy | {"inpainter": kept})
    env.reset(seed=0)
    assert np.isfinite(env.step(np.zeros(5, np.float32))[1])


def test_masks_that_rounding_carried_out_of_range_are_brought_back(toy):
    rounded = spoiled(toy["detector"], "detect", lambda d: Detection((d.masks > 0).float() * (1 + 1e-6), d.weights))
    env = VideoInpaintEnv(**toy | {"detector": rounded})
    env.reset(seed=0)
    env.step(np.zeros(5, np.float32))
    assert env.get_state()["tensors"]["loop/masks"].max() == 1


@pytest.mark.parametrize("rounded", [lambda m: m * (1 + 1e-6), lambda m: m - 1e-7, lambda m: m.byte()])
def test_masks_of_begin_one_shot_may_be_rounded_or_whole_numbers(toy, rounded):
    def give(self, frames, trackers):
        masks = torch.stack([tracker.masks() for tracker in trackers])
        return self.begin(frames, masks), rounded(masks)

    settings = toy | {"inpainter": remade(toy["inpainter"], "begin_one_shot", give), "propagator": "held"}
    env = VideoInpaintOneShotEnv(**settings)
    env.reset(seed=0)
    holes = env.get_state()["tensors"]["loop/holes"]
    assert set(holes.unique().tolist()) == {0, 1}
