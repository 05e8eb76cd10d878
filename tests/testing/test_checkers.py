"""The shipped checkers pass what is right and name the rule that is broken."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from videoinpaint.detectors import DETECTORS, make_detector
from videoinpaint.inpainters import AROUND_PUBLISHED, INPAINTERS, PUBLISHED, make_inpainter
from videoinpaint.protocols import Detection, Refinement
from videoinpaint.testing import check_detector, check_inpainter, check_policy


# The published networks are too large for this, and "internal" trains in every pass: tests/inpainters/ has them, small.
@pytest.mark.parametrize("name", sorted(set(INPAINTERS.names()) - {*PUBLISHED, *AROUND_PUBLISHED, "internal"}))
def test_every_registered_inpainter_keeps_the_rules(name):
    check_inpainter(make_inpainter(name))


@pytest.mark.parametrize("name", [n for n in DETECTORS.names() if not n.startswith("focal")])  # needs weights
def test_every_registered_detector_keeps_the_rules(name):
    check_detector(make_detector(name))


class Good:
    """Honours all controls."""

    name, controls, min_size = "good", frozenset({"heads", "fusion", "objective"}), (16, 16)

    def begin(self, frames, masks):
        return {"mean": frames.mean((1, 3, 4), keepdim=True)}

    def refine(self, state, repaired, masks, controls):
        shift = torch.from_numpy(controls).sum(1).view(-1, 1, 1, 1, 1) * 0.01
        frames = (repaired + state["mean"] * masks + shift).clamp(0, 1)
        return Refinement(frames, torch.from_numpy(controls[:, 0]).double())


class Stateful(Good):
    def begin(self, frames, masks):
        return {"mean": frames.mean((0, 1, 3, 4), keepdim=True)}


class Listed(Good):
    def begin(self, frames, masks):
        return [frames]


class Overwriting(Good):
    def refine(self, state, repaired, masks, controls):
        repaired[masks.expand_as(repaired) > 0] = 0.25
        return super().refine(state, repaired, masks, controls)


class Random(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement((result.frames * torch.rand(1)), result.gflops)


class Mixing(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(0.5 * result.frames + 0.5 * result.frames.mean(0, keepdim=True), result.gflops)


class OutOfRange(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames * 1.5, result.gflops)


class Wide(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames[..., :-1], result.gflops)


class OneCost(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames, result.gflops * 0 + 3)


class WrongCost(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames, result.gflops.sum())


class WrongFull(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames, result.gflops, result.gflops)


class Growing(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames, result.gflops, state={"more": state["mean"]})


class Reshaping(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames, result.gflops, state={"mean": state["mean"].flatten(1)})


class Remembering(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames, result.gflops, state={"mean": 0.5 * state["mean"]})


class Undeclared(Good):
    controls = frozenset({"heads", "fusion"})


class Deaf(Good):
    def refine(self, state, repaired, masks, controls):
        quiet = controls.copy()
        quiet[:, 1] = 0.6
        return super().refine(state, repaired, masks, quiet)


class Inventive(Good):
    controls = frozenset({"heads", "colour"})


class Sizeless(Good):
    min_size = 16


class Far(Good):
    """Its mean is that of all frames in reach."""

    def begin_within(self, frames, masks, wanted, before=None):
        return self.begin(frames, masks), {"seen": frames}


class Short(Far):
    def begin_within(self, frames, masks, wanted, before=None):
        return {"mean": self.begin(frames, masks)["mean"].flatten(1)}, {"seen": frames}


class Forgetful(Far):
    def begin_within(self, frames, masks, wanted, before=None):
        state = self.begin(frames, masks)
        return state if before is None else {"mean": 0.5 * state["mean"]}, {"seen": frames}


class Summary(Far):
    def begin_within(self, frames, masks, wanted, before=None):
        return self.begin(frames, masks), {"seen": frames.mean(1)}


def test_a_good_inpainter_passes():
    check_inpainter(Good())
    check_inpainter(Far())
    check_inpainter(Remembering())


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        (Stateful, "leads with the batch dimension"),
        (Listed, "dict of tensors"),
        (Overwriting, "does not write"),
        (Random, "deterministic"),
        (Mixing, "alone"),
        (OutOfRange, r"lies in \[0, 1\]"),
        (Wide, "has shape"),
        (OneCost, "fewer heads cost less"),
        (WrongCost, "gflops is float64"),
        (WrongFull, "full_gflops"),
        (Growing, "'more' is none of them"),
        (Reshaping, "keeps shapes"),
        (Undeclared, "'objective' is not declared"),
        (Deaf, "'fusion' changes the output"),
        (Inventive, "controls is a frozenset"),
        (Sizeless, "min_size"),
        (Short, "shapes of begin"),
        (Forgetful, "learnt before"),
        (Summary, "frame by frame"),
    ],
)
def test_broken_inpainters_are_named_by_their_rule(part, rule):
    with pytest.raises(AssertionError, match=rule):
        check_inpainter(part())


class Watchful:
    name = "watchful"

    def detect(self, repaired, masks):
        return Detection(masks * repaired.mean(2, keepdim=True), torch.ones_like(repaired))


class Loud(Watchful):
    def detect(self, repaired, masks):
        return Detection(torch.ones_like(masks), torch.ones_like(repaired))


class Thin(Watchful):
    def detect(self, repaired, masks):
        return Detection(masks, masks)


class Negative(Watchful):
    def detect(self, repaired, masks):
        return Detection(masks, -torch.ones_like(repaired))


class Fickle(Watchful):
    def __init__(self):
        self.count = itertools.count(1)

    def detect(self, repaired, masks):
        return Detection(masks / next(self.count), torch.ones_like(repaired))


class Comparing(Watchful):
    def detect(self, repaired, masks):
        return Detection(masks * repaired.mean(), torch.ones_like(repaired))


OPTIONAL = [
    ("name", None, "has a name, a string that is the same in every run"),
    ("name", "<Good object at 0x7f2b8c01d>", "no memory address"),
    ("random_weights", "random", "random_weights is True or False"),
    ("precision", "auto", "precision is 'float32' or 'bfloat16', got 'auto'"),
    ("stream", (10, 40), "stream is .*the second less than the first"),
    ("stream", 40, "stream is"),
]


@pytest.mark.parametrize(("attribute", "value", "rule"), OPTIONAL)
def test_attributes_that_are_there_say_what_they_promise(attribute, value, rule):
    for base, check in ((Good, check_inpainter), (Watchful, check_detector)):
        part = type("Part", (base,), {"random_weights": False, "precision": "float32", "stream": (40, 10)})()
        check(part)
        setattr(part, attribute, value)
        with pytest.raises(AssertionError, match=rule):
            check(part)


def test_a_good_detector_passes():
    check_detector(Watchful())


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        (Loud, "outside the hole"),
        (Thin, "weights has shape"),
        (Negative, "at least 0"),
        (Fickle, "deterministic"),
        (Comparing, "alone"),
    ],
)
def test_broken_detectors_are_named_by_their_rule(part, rule):
    with pytest.raises(AssertionError, match=rule):
        check_detector(part())


class Mean:
    def act(self, observation):
        level = observation["masks"].mean((1, 2, 3), dtype=np.float64) / 127.5 - 1
        return np.repeat(level[:, None], 5, 1).astype(np.float32)


def drawing(observation):
    return np.random.default_rng().uniform(-1, 1, (len(observation["masks"]), 5)).astype(np.float32)


def writing(observation):
    observation["frames"][:] = 0
    return Mean().act(observation)


def policy(act):
    return type("Foreign", (), {"act": staticmethod(act)})()


def test_good_policies_pass():
    check_policy(Mean())
    check_policy(policy(drawing), deterministic=False)


@pytest.mark.parametrize(
    ("act", "rule"),
    [
        (drawing, "deterministic"),
        (writing, "does not write"),
        (lambda o: Mean().act(o) * 2, r"\[-1, 1\]"),
        (lambda o: Mean().act(o).astype(np.float64), "float32"),
        (lambda o: Mean().act(o)[0], "one action of 5 values"),
        (lambda o: Mean().act(o).tolist(), "NumPy array"),
        (lambda o: Mean().act(o) * np.float32(np.nan), "NaN"),
        (lambda o: Mean().act(o) - Mean().act(o).mean(0) * (len(o["masks"]) > 1), "alone"),
    ],
)
def test_broken_policies_are_named_by_their_rule(act, rule):
    with pytest.raises(AssertionError, match=rule):
        check_policy(policy(act))


def test_something_without_act_is_no_policy():
    with pytest.raises(AssertionError, match="act"):
        check_policy(object())
