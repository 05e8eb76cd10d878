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


class Amnesic(Good):
    def refine(self, state, repaired, masks, controls):
        result = super().refine(state, repaired, masks, controls)
        return Refinement(result.frames, result.gflops, state={"mean": state["mean"] * torch.nan})


class Exotic(Good):
    def begin(self, frames, masks):
        return super().begin(frames, masks) | {"more": torch.zeros(len(frames), dtype=torch.uint16)}


class Beginless:
    name, controls, min_size = "beginless", frozenset(), (16, 16)


class Network(torch.nn.Module, Good):
    """Has weights, and leaves it to the loop that no gradient is kept."""

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.ones(1))

    def begin(self, frames, masks):
        return {"mean": self.level * frames.mean((1, 3, 4), keepdim=True)}


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


class Careless(Far):
    """Frame by frame, and of all frames, whatever is wanted."""

    def begin(self, frames, masks):
        return {"mean": frames.mean((3, 4), keepdim=True)}


class Careful(Careless):
    def begin_within(self, frames, masks, wanted, before=None):
        part = slice(wanted.start, wanted.stop)
        return self.begin(frames[:, part], masks[:, part]), {"seen": frames}


class Single(Far):
    def begin_within(self, frames, masks, wanted, before=None):
        return self.begin(frames, masks)


class Undecided(Good):
    """Begins with what it does not know yet."""

    def begin(self, frames, masks):
        return super().begin(frames, masks) | {"later": torch.full((len(frames), 3), torch.nan)}


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
    check_inpainter(Careful())
    check_inpainter(Network())
    check_inpainter(Undecided())


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
        (Summary, "learns 'seen' of shape"),
        (Single, "must give a state and what was learnt, a pair"),
        (Careless, "the state of the wanted frames alone"),
        (Amnesic, "holds no NaN"),
        (Exotic, "states hold bool, .* 'more' is torch.uint16"),
        (Beginless, "an inpainter has a method begin"),
        (lambda: Good, "an inpainter is an object, got the class"),
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


class Precise(Watchful):
    def detect(self, repaired, masks):
        return Detection(masks, torch.ones_like(repaired).double())


class Blind:
    name = "blind"


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
        (Precise, "weights is float32"),
        (Blind, "a detector has a method detect"),
        (lambda: Watchful, "a detector is an object, got the class"),
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


class ByCell(Mean):
    """Chooses the same for all cells, as `spoil` leaves it."""

    def __init__(self, spoil=lambda actions: actions):
        self.spoil = spoil

    def act_by_cell(self, observation, rows, columns):
        return self.spoil(np.repeat(np.repeat(self.act(observation)[:, None, None], rows, 1), columns, 2))


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda a: a.swapaxes(1, 2), r"act_by_cell returns an action of 5 values for every cell, \(3, 2, 3, 5\)"),
        (lambda a: a.astype(np.float64), "float32"),
        (lambda a: a * 2, r"\[-1, 1\]"),
        (lambda a: a + np.random.default_rng().uniform(-0.01, 0.01, a.shape).astype(np.float32), "act_by_cell is det"),
        (lambda a: a.tolist(), "act_by_cell returns a NumPy array"),
    ],
)
def test_what_a_policy_chooses_by_cell_is_checked(spoil, rule):
    check_policy(ByCell())
    with pytest.raises(AssertionError, match=rule):
        check_policy(ByCell(spoil))


def test_something_without_act_is_no_policy():
    with pytest.raises(AssertionError, match="act"):
        check_policy(object())
