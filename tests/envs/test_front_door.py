"""What comes to an environment from outside and is no use: one error each, before anything changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoinpaint.controls import Controls
from videoinpaint.envs import VideoInpaintEnv, VideoInpaintVectorEnv
from videoinpaint.errors import InputError, UnknownNameError, VideoInpaintError

HUGE = 10**400
NONSENSE = [
    "left", b"left", None, {}, {"heads": 3}, [], [1, 2], [[1, 2], [3]], [HUGE] * 5, [1, 2, 3, 4, "five"], [None] * 5,
    [1j] * 5, np.array(["a"] * 5), np.array([{}] * 5), [float("nan")] * 5, [float("inf")] * 5, object(), 3, [[[]]],
    torch.full((5,), torch.nan), torch.zeros(5, device="meta"), torch.zeros(5).to_sparse(), np.zeros((5, 5, 5)),
    np.zeros(5, dtype="datetime64[s]"),
]  # fmt: skip
USABLE = [
    [0.0] * 5, (0, 0, 0, 0, 0), np.zeros(5), np.zeros(5, np.int64), torch.zeros(5), torch.zeros(5, requires_grad=True),
    torch.zeros(5, dtype=torch.bfloat16).float(), [np.float32(0)] * 5, [torch.zeros(())] * 5,
]  # fmt: skip


def names(value):
    shown = "" if type(value) is object else value  # an address would be another one in every process
    return f"{type(value).__name__}-{shown}"[:30]


@pytest.fixture(scope="module")
def env():
    made = VideoInpaintEnv(inpainter="telea", detector="none", num_frames=2, height=48, width=64, device="cpu")
    made.reset(seed=0)
    return made


@pytest.mark.parametrize("action", NONSENSE, ids=names)
def test_actions_that_are_none(env, action):
    before = env.get_state()["tensors"]["iteration"].item()
    for refuse in (env.step, env.to_controls, Controls.from_array):
        with pytest.raises(InputError) as caught:
            refuse(action)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert env.get_state()["tensors"]["iteration"].item() == before


@pytest.mark.parametrize("action", USABLE, ids=names)
def test_actions_come_as_they_like(env, action):
    env.reset(seed=0)
    assert np.isfinite(env.step(action)[1])


@pytest.mark.parametrize("actions", NONSENSE, ids=names)
def test_a_batch_refuses_the_same(toy, actions):
    batch = VideoInpaintVectorEnv(num_envs=2, **toy)
    batch.reset(seed=0)
    with pytest.raises(InputError):
        batch.step(actions)
    with pytest.raises(InputError):
        batch.step([actions, actions])


SEEDS = [-1, 1.5, "7", HUGE, 2**63, True, [1], {}, float("nan")]


@pytest.mark.parametrize("seed", SEEDS, ids=names)
def test_seeds_that_are_none(env, toy, seed):
    with pytest.raises(InputError, match="seed"):
        env.reset(seed=seed)
    batch = VideoInpaintVectorEnv(num_envs=2, **toy)
    for asked in (seed, [0, seed]):
        with pytest.raises(InputError):
            batch.reset(seed=asked)


def test_seeds_of_numpy_are_seeds(env):
    assert env.reset(seed=np.int64(3))[1]["seed"] == env.reset(seed=3)[1]["seed"] == 3
    assert env.reset(seed=2**63 - 1)[1]["seed"] == 2**63 - 1


OPTIONS = [
    "clip", [1], {"clips": 1}, {3: 4}, {"clip": {}}, {"clip": [[1], [2, 3]]}, {"clip": "~nouser/a"}, {"clip": 3},
    {"clip": "x" * 300}, {"clip": "a\0b"}, {"mask": {}}, {"mask": "x" * 300}, {"mask": "~nouser"}, {"mask": 1.5},
    {"mask": ["a", "b"]}, {"mask": np.full((2, 48, 64), np.nan)}, {"clip": object()}, {"mask": torch.zeros(3)},
    {"clip": np.zeros((2, 48, 64, 3), object)}, {"mask": "no_such_module:Thing"}, {"clip": ""}, {"mask": ""},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=names)
def test_options_that_are_none(env, options):
    before = env.get_state()["episode"]
    with pytest.raises(VideoInpaintError):
        env.reset(seed=0, options=options)
    assert env.get_state()["episode"] == before


ARGUMENTS = [
    {"num_frames": HUGE}, {"num_frames": 10**6}, {"width": 10**7}, {"height": 2.5}, {"num_frames": "8"},
    {"width": None},
    {"num_frames": 10_000, "width": 16_000, "height": 16_000}, {"num_frames": 8_000, "width": 360, "height": 360},
    {"max_iterations": 0}, {"max_iterations": HUGE}, {"psnr_scale": 1e-300}, {"psnr_scale": float("nan")},
    {"psnr_scale": "50"}, {"compute_price": 1e308}, {"compute_price": -1}, {"compute_price": None}, {"device": "meta"},
    {"device": "nonsense"}, {"device": 3}, {"device": None}, {"device": "cuda:99"}, {"reward": []},
    {"reward": "x" * 300},
    {"reward_weights": {}}, {"precision": 8}, {"precision": ["auto"]}, {"backbone": 5}, {"backbone": []},
    {"backbone": "~nouser"}, {"render_mode": 4}, {"render_mode": ["human"]}, {"weights": "~nouser/w.safetensors"},
    {"weights": "x" * 300}, {"weights": 3}, {"weights": "a\0b"}, {"detector_weights": {}}, {"clips": "x" * 300},
    {"clips": "~nouser"}, {"clips": "a\0b"}, {"clips": 3}, {"clips": {}}, {"clips": object()}, {"clips": ["studio"]},
    {"clips": ""}, {"clips": "studio,"}, {"clips": ":"}, {"clips": "a:b:c"}, {"clips": "studio:nothing"},
    {"clips": "photographs:~nouser"}, {"clips": "davis:" + "x" * 300}, {"clips": "one_shot:~nouser#a"},
    {"masks": 3}, {"masks": []}, {"masks": "~nouser"}, {"masks": "x" * 300}, {"masks": object()},
    {"masks": "object:~no"},
    {"masks": "first-frame:" + "x" * 300}, {"inpainter": 3}, {"inpainter": []}, {"inpainter": object()},
    {"inpainter": "x" * 300}, {"inpainter": ":"}, {"inpainter": "os:nothing"}, {"inpainter": "json:loads"},
    {"inpainter": "videoinpaint:__version__"}, {"detector": 3}, {"detector": {}}, {"detector": object()},
    {"detector": "..:x"}, {"detector": "\0:x"}, {"flat_info": "yes"},
]  # fmt: skip


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=names)
def test_arguments_that_are_none_fail_before_an_episode(arguments):
    small = {"num_frames": 2, "height": 48, "width": 64, "inpainter": "telea", "detector": "none", "device": "cpu"}
    if "weights" in arguments:
        small["inpainter"] = "compact"
    if "detector_weights" in arguments:
        small["detector"] = "compact"
    for make in (VideoInpaintEnv, lambda **kwargs: VideoInpaintVectorEnv(num_envs=2, **kwargs)):
        with pytest.raises(VideoInpaintError) as caught:
            make(**(small | arguments))
        assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("count", [0, -1, HUGE, 10**6, 2.5, "4", None, True], ids=names)
def test_numbers_of_environments(toy, count):
    with pytest.raises(InputError, match="num_envs"):
        VideoInpaintVectorEnv(num_envs=count, **toy)


def test_a_batch_that_no_memory_holds():
    with pytest.raises(InputError, match=r"GiB|pixels"):
        VideoInpaintVectorEnv(num_envs=4_000, num_frames=16, height=240, width=432)


def test_a_part_says_what_it_is_before_an_episode_begins(toy):
    class NoControls:
        name = "mine"
        min_size = (1, 1)
        begin = refine = print

    class NoSize(NoControls):
        controls = frozenset({"heads"})
        min_size = None

    class NoRefine:
        name, controls, min_size, begin = "mine", frozenset(), (1, 1), print

    for part, told in ((NoControls(), "controls"), (NoSize(), "min_size"), (NoRefine(), "refine")):
        with pytest.raises(InputError, match=told):
            VideoInpaintEnv(**(toy | {"inpainter": part}))
    with pytest.raises(UnknownNameError):
        VideoInpaintEnv(**(toy | {"detector": "nobody"}))
