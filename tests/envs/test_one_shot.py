"""One-shot episodes: a predicted hole, the truth as the measure, and nothing of the truth for anyone to see."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from torch import Tensor

from videoinpaint.clips import Clip, ClipSource, make_clips
from videoinpaint.composition import GREY, widened
from videoinpaint.envs import ClosedLoop, VideoInpaintOneShotEnv, make_sb3_vec
from videoinpaint.envs.page import environment_page
from videoinpaint.errors import InputError
from videoinpaint.protocols import Refinement, State

SHAPE = (4, 48, 64)
ID = "VideoInpaintOneShot-v0"


class Given:
    """A tracker that knows its masks."""

    def __init__(self, masks: Tensor) -> None:
        self._masks = masks

    def masks(self) -> Tensor:
        return self._masks

    def parameters(self) -> list[torch.nn.Parameter]:
        return []


class Drift:
    """A propagator that moves the mask two pixels a frame to the right, whatever it sees."""

    name = "drift"

    def start(self, frames: Tensor, first: Tensor) -> Given:
        return Given(torch.stack([first.float().roll(2 * t, dims=-1) for t in range(len(frames))]))


class Bright:
    """A propagator that looks: what is brighter than the target's mean in the first frame."""

    name = "bright"

    def start(self, frames: Tensor, first: Tensor) -> Given:
        level = (frames[0].mean(0, keepdim=True) * first).sum() / first.sum()
        found = torch.sigmoid(20 * (frames.mean(1, keepdim=True) - level))
        return Given(torch.cat([first[None].float(), found[1:]]))


class Seeing:
    """A one-shot inpainter: it may change the left half, and sees what stands there."""

    name, controls, min_size = "seeing", frozenset[str](), (16, 16)

    def begin(self, frames: Tensor, masks: Tensor) -> State:
        raise AssertionError("the masks are not known")

    def begin_one_shot(self, frames: Tensor, trackers: Any) -> tuple[State, Tensor]:
        holes = torch.zeros_like(frames[:, :, :1])
        holes[..., : frames.shape[-1] // 2] = 1
        return {"seen": frames}, holes

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: Any) -> Refinement:
        # 255 - what the camera saw, where the loop has not shown it grey.
        return Refinement(1 - repaired, torch.zeros(len(repaired), dtype=torch.float64))


def pasted(seed: int = 0, hidden: int = 0) -> Clip:
    """A bright square before noise; `hidden` fills the background under it."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 120, (SHAPE[0], 12, 16, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    objects = np.zeros(SHAPE, np.uint8)
    for index in range(SHAPE[0]):
        objects[index, 12:30, 10 + 3 * index : 30 + 3 * index] = 1
    inside = objects[..., None] == 1
    return Clip(
        np.where(inside, hidden, frames).astype(np.uint8),
        "pasted",
        objects,
        0,
        np.where(inside, 230, frames).astype(np.uint8),
    )


class Source:
    """Always the same clip."""

    name = "pasted"

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def sample(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
        return self.clip

    def names(self) -> list[str]:
        return ["pasted"]

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        return self.clip


def actions(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 5)).astype(np.float32)


@pytest.fixture
def settings(toy: dict[str, Any]) -> dict[str, Any]:
    return {**toy, "propagator": Bright()}


@pytest.fixture
def env(settings: dict[str, Any]) -> gymnasium.Env:
    return gymnasium.make(ID, **settings)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64, torch.bool, torch.uint8])
def test_masks_of_any_real_type_are_taken_as_float32(settings: dict[str, Any], kind: torch.dtype) -> None:
    class Typed(Drift):
        def start(self, frames: Tensor, first: Tensor) -> Given:
            return Given(super().start(frames, first).masks().to(kind))

    class TypedHoles(Seeing):
        def begin_one_shot(self, frames: Tensor, trackers: Any) -> tuple[State, Tensor]:
            state, holes = super().begin_one_shot(frames, trackers)
            return state, holes.to(kind)

    for inpainter, typed in ((settings["inpainter"], settings["inpainter"]), (Seeing(), TypedHoles())):
        played = []
        for parts in ((inpainter, Drift()), (typed, Typed())):
            env = VideoInpaintOneShotEnv(**settings | dict(zip(("inpainter", "propagator"), parts)))
            start, _ = env.reset(seed=3)
            after, reward, *_ = env.step(actions()[0])
            played.append([start["frames"], start["masks"], after["frames"], after["masks"], reward])
        assert all(np.array_equal(one, other) for one, other in zip(*played))


def test_the_sources_are_clip_sources() -> None:
    assert isinstance(Source(pasted()), ClipSource)


def test_an_episode_begins_with_what_the_camera_saw(settings: dict[str, Any]) -> None:
    clip = pasted()
    env = gymnasium.make(ID, **{**settings, "clips": Source(clip), "propagator": Drift()})
    observation, info = env.reset(seed=0)
    frames = observation["frames"].reshape(4, 3, 48, 64).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(frames, clip.observed)  # type: ignore[arg-type]
    predicted = Drift().start(torch.zeros(4, 3, 48, 64), torch.from_numpy(clip.objects)[:1]).masks()  # type: ignore[arg-type]
    np.testing.assert_array_equal(observation["masks"], 255 * widened(predicted[None])[0, :, 0].byte().numpy())
    assert info["mask"] == "drift"
    assert info["clip"] == "pasted"
    # 2 pixels a frame instead of 3, on a square 20 wide: 1, 2 and 3 pixels are wrong on either side.
    assert info["mask_iou"] == pytest.approx(np.mean([(20 - d) / (20 + d) for d in (1, 2, 3)]))
    assert 0.5 < info["mask_j_and_f"] < 1
    assert env.step(actions()[0])[4]["mask_iou"] == info["mask_iou"]


def test_pixels_outside_the_predicted_hole_stay_bit_for_bit(env: gymnasium.Env) -> None:
    for seed in range(3):
        first, _ = env.reset(seed=seed)
        known = np.repeat(first["masks"] == 0, 3, axis=0)
        assert known.any()
        for action in actions():
            observation, _, done, _, _ = env.step(action)
            np.testing.assert_array_equal(observation["frames"][known], first["frames"][known])
            if done:
                break


@pytest.mark.parametrize("inpainter", ["toy", "seeing", "compact", "ciri"])
def test_the_reference_never_leaks(settings: dict[str, Any], inpainter: str) -> None:
    part = {"toy": settings["inpainter"], "seeing": Seeing()}.get(inpainter, inpainter)
    settings |= {"weights": "random"} if inpainter == "ciri" else {}
    runs: list[list[Any]] = []
    for hidden in (0, 200):
        env = gymnasium.make(ID, **{**settings, "clips": Source(pasted(hidden=hidden)), "inpainter": part})
        steps: list[Any] = [env.reset(seed=3)]
        steps += [env.step(action) for action in actions()]
        runs.append(steps)
        assert env.unwrapped.get_state()["tensors"]["loop/corrupted"].max() == np.float32(230 / 255)  # type: ignore[attr-defined]
    for one, two in zip(*runs):
        for key in ("frames", "masks"):
            np.testing.assert_array_equal(one[0][key], two[0][key])
    measured = ("metrics", "quality")
    first, second = ({k: v for k, v in run[0][1].items() if k not in measured} for run in runs)
    assert first == second
    for one, two in zip(runs[0][1:], runs[1][1:]):
        assert one[1] != two[1]
        assert one[4]["gflops"] == two[4]["gflops"]


def test_an_ordinary_inpainter_never_sees_what_stands_in_the_hole(toy: dict[str, Any]) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    class Watching(type(toy["inpainter"])):  # type: ignore[misc]
        def begin(self, frames: Tensor, masks: Tensor) -> State:
            seen.append((frames, masks))
            return super().begin(frames, masks)

        def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: Any) -> Refinement:
            seen.append((repaired, masks))
            return super().refine(state, repaired, masks, controls)

    env = gymnasium.make(ID, **{**toy, "clips": Source(pasted()), "propagator": Drift(), "inpainter": Watching()})
    env.reset(seed=0)
    env.step(actions()[0])
    observation = env.step(actions()[1])[0]
    holes = seen[0][1].expand(-1, -1, 3, -1, -1) > 0
    for frames, _ in seen[:2]:
        assert (frames[holes] == GREY).all()
    assert not (seen[2][0][holes] == GREY).any()
    assert observation["frames"].max() <= 255


def test_a_one_shot_inpainter_decides_itself(settings: dict[str, Any]) -> None:
    clip = pasted()
    env = gymnasium.make(ID, **{**settings, "clips": Source(clip), "inpainter": Seeing(), "propagator": Drift()})
    first, info = env.reset(seed=0)
    assert (first["masks"][:, :, :32] == 255).all()
    assert (first["masks"][:, :, 32:] == 0).all()
    assert info["mask_iou"] < 1
    frames = env.step(actions()[0])[0]["frames"]
    np.testing.assert_array_equal(frames[:, :, :32], 255 - first["frames"][:, :, :32])
    np.testing.assert_array_equal(frames[:, :, 32:], first["frames"][:, :, 32:])


def test_scores_are_taken_inside_the_true_masks(settings: dict[str, Any]) -> None:
    """A propagator that finds nothing: the target stays, and the hole's PSNR is that of the target."""

    class Blind:
        name = "blind"

        def start(self, frames: Tensor, first: Tensor) -> Given:
            return Given(torch.cat([first[None].float(), torch.zeros(len(frames) - 1, 1, *first.shape[1:])]))

    clip = pasted(hidden=100)
    env = gymnasium.make(ID, **{**settings, "clips": Source(clip), "propagator": Blind()})
    _, info = env.reset(seed=0)
    assert info["mask_iou"] == 0
    metrics = env.step(actions()[0])[4]["metrics"]
    stays = 20 * np.log10(255 / 130)  # of the three later frames, whose target is 230 before 100
    assert 3 < 4 * metrics["psnr_hole"] - 3 * stays < 40  # the first frame's, which was repaired


def test_a_target_may_leave_and_a_propagator_may_see_that(settings: dict[str, Any]) -> None:
    clip = pasted()
    objects, observed = clip.objects.copy(), clip.observed.copy()  # type: ignore[union-attr]
    objects[2:], observed[2:] = 0, clip.frames[2:]
    gone = replace(clip, objects=objects, observed=observed)

    class Sharp(Bright):
        def start(self, frames: Tensor, first: Tensor) -> Given:
            return Given((frames.amin(1, keepdim=True) > 0.8).float())

    env = gymnasium.make(ID, **{**settings, "clips": Source(gone), "propagator": Sharp()})
    observation, info = env.reset(seed=0)
    assert info["mask_iou"] == 1
    assert not observation["masks"][2:].any()
    after = env.step(actions()[0])[0]["frames"]
    np.testing.assert_array_equal(after[6:], observation["frames"][6:])
    assert np.isfinite(env.step(actions()[1])[1])


def test_a_target_at_the_border_is_fine(settings: dict[str, Any]) -> None:
    clip = pasted()
    objects = np.zeros(SHAPE, np.uint8)
    objects[:, 30:, :20] = 1
    observed = np.where(objects[..., None] == 1, 255, clip.frames).astype(np.uint8)
    env = gymnasium.make(ID, **{**settings, "clips": Source(replace(clip, objects=objects, observed=observed))})
    env.reset(seed=0)
    assert np.isfinite(env.step(actions()[0])[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: replace(c, observed=None), "clips='one_shot'"),
        (lambda c: replace(c, objects=None), "clips='one_shot'"),
        (lambda c: replace(c, objects=c.objects * np.array([0, 1, 1, 1], np.uint8)[:, None, None]), "absent"),
        (lambda c: replace(c, objects=np.maximum(c.objects, np.arange(4)[:, None, None] == 0)), "whole first frame"),
        (lambda c: replace(c, observed=c.observed[:, :40]), "observed"),
    ],
)
def test_unusable_clips_are_refused(env: gymnasium.Env, change: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        env.reset(seed=0, options={"clip": change(pasted())})


def test_other_misuse_is_refused(settings: dict[str, Any]) -> None:
    env = gymnasium.make(ID, **{**settings, "clips": "studio"})
    with pytest.raises(InputError, match="one_shot:FOLDER"):
        env.reset(seed=0)
    with pytest.raises(InputError, match="takes no mask"):
        gymnasium.make(ID, **settings).reset(seed=0, options={"mask": "square"})
    with pytest.raises(InputError, match="num_frames must lie in 2"):
        gymnasium.make(ID, **{**settings, "num_frames": 1})
    for make in (gymnasium.make, gymnasium.make_vec):
        with pytest.raises(InputError, match="name one, or use VideoInpaint"):
            make(ID, **{**settings, "propagator": None})

    class All(Drift):
        def start(self, frames: Tensor, first: Tensor) -> Given:
            return Given(torch.ones(len(frames), 1, *first.shape[1:]))

    with pytest.raises(InputError, match="cover every pixel"):
        gymnasium.make(ID, **{**settings, "propagator": All()}).reset(seed=0)


def test_options_choose_the_clip(env: gymnasium.Env) -> None:
    name = make_clips("one_shot").names()[5]
    assert env.reset(seed=0, options={"clip": name})[1]["clip"] == name
    assert env.reset(seed=0, options={"clip": pasted()})[1]["clip"] == "pasted"


@pytest.mark.parametrize("inpainter", ["toy", "seeing", "ciri"])
@pytest.mark.parametrize("reward", ["absolute", "improvement"])
def test_many_at_once_equal_one_by_one(settings: dict[str, Any], inpainter: str, reward: str) -> None:
    parts: dict[str, dict[str, Any]] = {
        "toy": {},
        "seeing": {"inpainter": Seeing()},
        "ciri": {"inpainter": "ciri", "weights": "random"},
    }
    settings |= {"reward": reward} | parts[inpainter]
    many = gymnasium.make_vec(ID, num_envs=3, vectorization_mode="vector_entry_point", **settings)
    observations, infos = many.reset(seed=10)
    singles = [gymnasium.make(ID, **settings) for _ in range(3)]
    for i, single in enumerate(singles):
        observation, info = single.reset(seed=10 + i)
        for key, value in observation.items():
            np.testing.assert_array_equal(observations[key][i], value)
        assert infos["mask_iou"][i] == info["mask_iou"]
        assert infos["clip"][i] == info["clip"]
    batch = np.random.default_rng(1).uniform(-1, 1, (3, 5)).astype(np.float32)
    observations, rewards, terminated, _, infos = many.step(batch)
    for i, single in enumerate(singles):
        observation, score, done, _, info = single.step(batch[i])
        for key, value in observation.items():
            np.testing.assert_array_equal(observations[key][i], value)
        assert rewards[i] == pytest.approx(score, abs=1e-5)
        assert terminated[i] == done
        assert infos["mask_j_and_f"][i] == info["mask_j_and_f"]


def test_states_continue_identically(settings: dict[str, Any]) -> None:
    env, other = (gymnasium.make(ID, **settings).unwrapped for _ in range(2))
    env.reset(seed=4)
    state = env.get_state()  # type: ignore[attr-defined]
    expected = [env.step(actions()[0]), env.reset()]
    other.reset(seed=0)
    other.set_state(state)  # type: ignore[attr-defined]
    found = [other.step(actions()[0]), other.reset()]
    np.testing.assert_array_equal(found[0][0]["frames"], expected[0][0]["frames"])
    np.testing.assert_array_equal(found[1][0]["frames"], expected[1][0]["frames"])
    assert found[0][1] == expected[0][1]
    assert found[0][4] == expected[0][4]
    follows_otherwise = gymnasium.make(ID, **{**settings, "propagator": Drift()}).unwrapped
    with pytest.raises(InputError, match="propagator"):
        follows_otherwise.set_state(state)  # type: ignore[attr-defined]


def test_checkers_are_content(settings: dict[str, Any]) -> None:
    check_env(gymnasium.make(ID, render_mode="rgb_array", **settings).unwrapped, skip_render_check=True)
    sb3_check_env(gymnasium.make(ID, render_mode="rgb_array", **settings), warn=True)
    vec = make_sb3_vec(2, ID, **settings)
    vec.seed(0)
    vec.reset()
    for action in actions(4):
        _, rewards, _, infos = vec.step(np.stack([action, action]))
        assert np.isfinite(rewards).all()
        assert all("mask_iou" in info for info in infos)


def test_the_loop_takes_pictures_of_bytes_as_of_numbers(toy: dict[str, Any]) -> None:
    loop = ClosedLoop(toy["inpainter"], toy["detector"])
    clip = pasted()
    frames = torch.from_numpy(clip.observed).permute(0, 3, 1, 2)[None]  # type: ignore[arg-type]
    tracker = Drift().start(frames[0].float() / 255, torch.from_numpy(clip.objects[:1]))  # type: ignore[index]
    (one, masks), (two, _) = (loop.begin_one_shot(f, [tracker]) for f in (frames, frames.float() / 255))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(masks[0], tracker.masks())
    with pytest.raises(InputError, match="holes must have shape"):
        loop.begin_one_shot(frames[:, :3], [tracker])


def test_every_argument_stands_in_the_page_with_its_default() -> None:
    page = environment_page("one_shot.md")
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    told = {n.strip(" `"): v.strip(" `") for names, values in rows for n, v in zip(names.split(","), values.split(","))}
    for name, parameter in inspect.signature(VideoInpaintOneShotEnv).parameters.items():
        shown = f'"{parameter.default}"' if isinstance(parameter.default, str) else repr(parameter.default)
        assert told[name] == shown, name


@pytest.mark.parametrize(("width", "share", "grown"), [(32, 1 / 72, 3), (216, 1 / 72, 7), (216, 0.0, 1)])
def test_masks_are_widened_by_a_share_of_the_width(width: int, share: float, grown: int) -> None:
    masks = torch.zeros(1, 1, 1, 21, width)
    masks[..., 10, 16] = 0.6
    assert float(widened(masks, share).sum()) == grown**2
