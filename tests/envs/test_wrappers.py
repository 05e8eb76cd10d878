"""Other views of the environment show the same thing."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import ClipAction, RescaleAction

from videoinpaint.controls import HIGH, LOW
from videoinpaint.envs import (
    ChannelsLast,
    FloatObservation,
    NaturalControls,
    SingleImage,
    SquareImage,
    Thumbnails,
    TimeAxis,
)
from videoinpaint.errors import InputError

VIEWS = [
    TimeAxis,
    ChannelsLast,
    SingleImage,
    NaturalControls,
    FloatObservation,
    lambda env: Thumbnails(env, 8, 12),
    SquareImage,
    lambda env: ChannelsLast(SingleImage(env)),
    lambda env: SingleImage(ChannelsLast(env)),
    lambda env: SingleImage(TimeAxis(FloatObservation(env))),
    lambda env: FloatObservation(ChannelsLast(SingleImage(Thumbnails(env, 8, 12)))),
]


def test_views_show_the_same_pixels(env):
    moving = np.zeros((4, 48, 64), np.uint8)
    for index, mask in enumerate(moving):
        mask[10:30, 8 * index : 8 * index + 20] = 1
    options = {"mask": moving}
    plain, _ = env.reset(seed=0, options=options)
    frames, masks = plain["frames"].reshape(4, 3, 48, 64), plain["masks"]
    video, _ = TimeAxis(env).reset(seed=0, options=options)
    assert np.array_equal(video["frames"], frames.transpose(0, 2, 3, 1))
    assert np.array_equal(video["masks"], masks[..., None])
    last, _ = ChannelsLast(env).reset(seed=0, options=options)
    assert np.array_equal(last["frames"].transpose(2, 0, 1), plain["frames"])
    assert np.array_equal(last["masks"].transpose(2, 0, 1), masks)
    image, _ = SingleImage(env).reset(seed=0, options=options)
    assert np.array_equal(image[:12], plain["frames"])
    assert np.array_equal(image[12:], masks)


@pytest.mark.parametrize("view", VIEWS)
def test_views_keep_gymnasiums_rules(env, view):
    wrapped = view(env)
    assert wrapped.reset(seed=0)[0] in wrapped.observation_space
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is wrapped, and that natural units are not normalised: both are meant
        check_env(wrapped, skip_render_check=True)
    again = gymnasium.make(wrapped.spec)
    assert again.observation_space == wrapped.observation_space


def test_natural_controls_reach_the_network_unchanged(env):
    wrapped = NaturalControls(env)
    assert wrapped.action_space.contains(LOW.astype(np.float32))
    wrapped.reset(seed=0)
    natural = np.array([5, 0.7, 0.81, 0.33, 0.3], np.float32)
    info = wrapped.step(natural)[4]
    assert list(info["controls"].values()) == pytest.approx(natural, abs=1e-6)
    for bad in (np.full(5, np.nan), HIGH[:4]):
        with pytest.raises(InputError):
            wrapped.step(bad)


@pytest.mark.parametrize(
    ("index", "value", "told"),
    [(0, 99, "heads must lie in 2 to 12, got 99"), (0, 1, "got 1"), (1, 5, "fusion must lie in 0.5 to 0.8, got 5"),
     (4, 0.31, "gamma must lie in 0.1 to 0.3")],
)  # fmt: skip
def test_natural_controls_out_of_range_are_refused(env, index, value, told):
    action = np.array([5, 0.65, 0.9, 0.45, 0.2])
    action[index] = value
    with pytest.raises(InputError, match=told):
        NaturalControls(env).action(action)


def test_the_ends_of_natural_ranges_in_any_precision_are_the_unit_range_s(env):
    for end, unit in ((LOW, -1), (HIGH, 1)):
        for kind in (np.float32, np.float64):
            assert NaturalControls(env).action(end.astype(kind)) == pytest.approx(np.full(5, unit), abs=1e-6)


@pytest.mark.parametrize("view", [TimeAxis, ChannelsLast, SingleImage])
def test_views_do_not_stack(env, view):
    with pytest.raises(InputError, match="observes"):
        view(view(env) if view is SingleImage else TimeAxis(env))


def test_views_compose_in_either_order(env):
    first, _ = ChannelsLast(SingleImage(env)).reset(seed=0)
    second, _ = SingleImage(ChannelsLast(env)).reset(seed=0)
    assert first.shape == (48, 64, 16)
    assert np.array_equal(first, second)
    floats, _ = FloatObservation(ChannelsLast(SingleImage(env))).reset(seed=0)
    assert np.array_equal((floats * 255).round().astype(np.uint8), first)
    plain, (parts, _) = env.reset(seed=0)[0], FloatObservation(env).reset(seed=0)
    assert all(np.array_equal((parts[key] * 255).round().astype(np.uint8), plain[key]) for key in plain)
    assert SingleImage(TimeAxis(env)).reset(seed=0)[0].shape == (4, 48, 64, 4)


def test_thumbnails_average_cells(env):
    plain, _ = env.reset(seed=0)
    small, _ = Thumbnails(env, 8, 16).reset(seed=0)
    for key, images in plain.items():
        cells = images.reshape(len(images), 8, 6, 16, 4).mean((2, 4))
        assert np.abs(small[key] - cells).max() <= 0.51
    small, square = (view.reset(seed=0)[0] for view in (Thumbnails(env, 16, 16), SquareImage(env, 16)))
    assert np.array_equal(square.transpose(2, 0, 1), np.concatenate([small["frames"], small["masks"]]))
    for height in (100, "8", 8.0):
        with pytest.raises(InputError, match=r"the height of thumbnails must .* 1 to 48"):
            Thumbnails(env, height, 16)
    for size in (0, 84.0):
        with pytest.raises(InputError, match="size must"):
            SquareImage(env, size)


@pytest.mark.parametrize(
    "other", [NaturalControls, lambda env: RescaleAction(env, np.float32(0), np.float32(1)), ClipAction]
)
def test_natural_controls_stand_on_the_unit_range_alone(env, other):
    with pytest.raises(InputError, match="leave out wrappers"):
        NaturalControls(other(env))


@pytest.mark.parametrize("view", [Thumbnails, SquareImage, FloatObservation])
def test_views_say_what_they_cannot_show(env, view):
    with pytest.raises(InputError, match=r"observes|uint8"):
        view(FloatObservation(ChannelsLast(env)))
