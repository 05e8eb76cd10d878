"""The closed loop by itself, and the batches it works on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from videoinpaint.composition import GREY
from videoinpaint.controls import Controls
from videoinpaint.device import resolve_device
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.envs.observing import observe
from videoinpaint.envs.states.batch import batch_size, join, nested, put, take, within
from videoinpaint.errors import InputError

CONTROLS = np.repeat(Controls().to_array()[None], 3, 0)


@pytest.fixture
def loop(toy):
    return ClosedLoop(toy["inpainter"], toy["detector"], "cpu", measure_full=True)


@pytest.fixture
def clip():
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (3, 4, 3, 32, 40), generator=generator, dtype=torch.uint8)
    holes = torch.zeros(3, 4, 1, 32, 40)
    for i in range(3):
        holes[i, :, :, 4 + i : 20 + i, 8:30] = 1
    return frames, holes


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_begin_overwrites_holes_with_the_grey_that_uint8_holds_exactly(loop, clip):
    frames, holes = clip
    state = loop.begin(frames, holes)
    inside = holes.expand_as(frames) > 0
    assert (state["corrupted"][inside] == GREY).all()
    assert torch.equal((state["corrupted"] * 255).round().byte()[~inside], frames[~inside])
    assert same(state, loop.begin(frames.float() / 255, holes.bool()))


def test_first_pass_takes_the_proposal_in_the_whole_hole(loop, clip, toy):
    frames, holes = clip
    state = loop.begin(frames, holes)
    proposal = toy["inpainter"].refine(within("inpainter", state), state["repaired"], holes, CONTROLS).frames
    after, gflops, detection = loop.refine(state, CONTROLS)
    assert torch.equal(after["repaired"], torch.where(holes > 0, proposal, state["corrupted"]))
    assert gflops.dtype == torch.float64
    assert gflops.shape == (3,)
    assert torch.equal(detection.masks, after["masks"])


def test_batch_equals_single_and_states_are_not_written_to(loop, clip):
    frames, holes = clip
    state = loop.begin(frames, holes)
    copy = {name: tensor.clone() for name, tensor in state.items()}
    controls = CONTROLS + np.arange(3)[:, None] * np.array([-3, 0.05, 0.01, 0.02, 0.03])
    after = loop.refine(loop.refine(state, controls)[0], controls)[0]
    assert same(state, copy)
    for i in range(3):
        alone = loop.begin(frames[i : i + 1], holes[i : i + 1])
        for _ in range(2):
            alone = loop.refine(alone, controls[i : i + 1])[0]
        for name, tensor in take(after, [i]).items():
            torch.testing.assert_close(tensor, alone[name], rtol=0, atol=1e-6)


def test_what_an_inpainter_remembers_reaches_its_next_pass(toy, clip):
    class Counting(type(toy["inpainter"])):
        def begin(self, frames, masks):
            return super().begin(frames, masks) | {"passes": torch.zeros(len(frames), dtype=torch.int64)}

        def refine(self, state, repaired, masks, controls):
            result = super().refine(state, repaired, masks, controls)
            return replace(result, state={"passes": state["passes"] + 1})

    loop = ClosedLoop(Counting(), toy["detector"], measure_full=True)
    begun = loop.begin(*clip)
    once = loop.refine(begun, CONTROLS)[0]
    twice = loop.refine(once, CONTROLS)[0]
    assert [state["inpainter/passes"].tolist() for state in (begun, once, twice)] == [[0] * 3, [1] * 3, [2] * 3]
    assert torch.equal(twice["inpainter/mean"], begun["inpainter/mean"])
    assert put(begun, [1], take(twice, [0]))["inpainter/passes"].tolist() == [0, 2, 0]


def test_a_detector_that_flags_known_pixels_is_overruled_where_it_rounds_and_refused_where_it_means_it(toy, clip):
    class Loud(type(toy["detector"])):
        share = 1.0

        def detect(self, repaired, masks):
            found = super().detect(repaired, masks)
            return replace(found, masks=found.masks.clamp(min=self.share))

    loop = ClosedLoop(toy["inpainter"], Loud())
    frames, holes = clip
    with pytest.raises(InputError, match="detect of the detector 'toy': masks must be 0 outside the hole"):
        loop.refine(loop.begin(frames, holes), CONTROLS)
    loop.detector.share = 1e-6
    state, _, detection = loop.refine(loop.begin(frames, holes), CONTROLS)
    assert not state["masks"][holes == 0].any()
    assert not detection.masks[holes == 0].any()


def test_full_gflops_are_those_of_twelve_heads(loop, clip):
    controls = CONTROLS.copy()
    controls[:, 0] = (2, 6, 12)
    state, gflops, _ = loop.refine(loop.begin(*clip), controls)
    assert (gflops / state["full_gflops"]).tolist() == pytest.approx([2 / 12, 0.5, 1.0])


@pytest.mark.parametrize(
    "bad", [np.full((3, 5), np.nan), CONTROLS[:2], CONTROLS[:, :4], 2 * CONTROLS, CONTROLS - (0.5, 0, 0, 0, 0)]
)
def test_unusable_controls_are_refused(loop, clip, bad):
    with pytest.raises(InputError, match="controls"):
        loop.refine(loop.begin(*clip), bad)


@pytest.mark.parametrize(
    "part", [lambda f, h: (f[0], h[0]), lambda f, h: (f, h[:, :2]), lambda f, h: (f[..., :8], h[..., :8])]
)
def test_unusable_clips_are_refused(loop, clip, part):
    with pytest.raises(InputError):
        loop.begin(*part(*clip))


def test_batches_are_picked_replaced_and_joined(loop, clip):
    frames, holes = clip
    state = loop.begin(frames, holes)
    other = loop.begin(255 - frames, holes)
    mixed = put(state, [2, 0], take(other, [1, 2]))
    assert batch_size(mixed) == 3
    assert same(take(mixed, [1]), take(state, [1]))
    assert same(take(mixed, [2, 0]), take(other, [1, 2]))
    assert same(state, loop.begin(frames, holes))
    assert same(join([take(state, [0]), take(state, [1, 2])]), state)
    assert same(within("a", nested("a", state) | nested("ab", other)), state)


def test_states_of_other_shapes_do_not_mix(loop, clip):
    state = loop.begin(*clip)
    wider = {**take(state, [0]), "masks": torch.zeros(1, 4, 1, 32, 41)}
    with pytest.raises(InputError, match="masks"):
        put(state, [0], wider)
    with pytest.raises(InputError):
        put(state, [0], {"masks": state["masks"]})
    with pytest.raises(InputError):
        join([state, wider])
    with pytest.raises(InputError):
        batch_size({**state, "masks": state["masks"][:1]})


def test_devices_are_resolved_or_refused():
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="'auto'"):
        resolve_device("cuda:77")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="say 'auto' or 'cpu', as no GPU is here"):
            resolve_device("cuda")


@pytest.mark.parametrize("to_the_end", [False, True])
def test_rounds_end_where_nothing_is_flagged_any_more(clip, toy, content, to_the_end):
    frames, holes = clip
    chosen = []

    def choose(state):
        chosen.append(observe(state)["masks"].any())
        return CONTROLS

    calm = ClosedLoop(content["inpainter"], content["detector"], "cpu")
    assert len(list(calm.run(calm.begin(frames, holes), choose, 3, to_the_end=to_the_end))) == (3 if to_the_end else 1)
    assert chosen == ([True, False, False] if to_the_end else [True])
    busy = ClosedLoop(toy["inpainter"], toy["detector"], "cpu")
    states = list(busy.run(busy.begin(frames, holes), lambda _: CONTROLS, 3))
    expected = busy.begin(frames, holes)
    for state in states:
        expected = busy.refine(expected, CONTROLS)[0]
        assert same(state, expected)
    assert len(states) == 3


@pytest.mark.parametrize("part", ["inpainter", "detector"])
def test_a_part_that_gives_no_numbers_stops_the_loop(toy, clip, part):
    """Weights may be finite and still so large that what they make is not."""

    class Broken:
        def __init__(self, whole):
            self.whole = whole

        def __getattr__(self, name):
            return getattr(self.whole, name)

        def refine(self, *inputs):
            done = self.whole.refine(*inputs)
            return replace(done, frames=done.frames * torch.nan)

        def detect(self, *inputs):
            found = self.whole.detect(*inputs)
            return replace(found, weights=found.weights / 0)

    parts = {name: toy[name] for name in ("inpainter", "detector")}
    loop = ClosedLoop(**(parts | {part: Broken(toy[part])}))
    state = loop.begin(*clip)
    with pytest.raises(InputError, match=rf"(refine|detect) of the {part} .* not finite: look for a division by 0"):
        loop.refine(state, CONTROLS)
