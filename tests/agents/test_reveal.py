"""What other frames show of a hole is counted right where the answer is plain."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from videoinpaint.agents.policies.reveal import REACHES, revealed, shifted, translation

HEIGHT, WIDTH, SIZE = 30, 54, 8


def scene(time: int = 16, speed: int = 0, hole_speed: int = 0) -> tuple[Tensor, Tensor]:
    """A smooth random picture that moves ``speed`` columns a frame under a square hole that moves ``hole_speed``."""
    generator = torch.Generator().manual_seed(1)
    wide = torch.rand(1, 1, HEIGHT, WIDTH + 16 * 40, generator=generator)
    wide = torch.nn.functional.avg_pool2d(wide, 3, 1, 1)[0, 0]
    grey, holes = torch.zeros(1, time, HEIGHT, WIDTH), torch.zeros(1, time, HEIGHT, WIDTH)
    for t in range(time):
        grey[0, t] = wide[:, 200 - speed * t : 200 - speed * t + WIDTH]
        left = 18 + hole_speed * t
        holes[0, t, 10 : 10 + SIZE, left : left + SIZE] = 1
        grey[0, t, 10 : 10 + SIZE, left : left + SIZE] = 0.5
    return grey, holes


def shown(found: dict[str, Tensor]) -> list[float]:
    """The share of the hole, not of the picture, that each reach shows first."""
    return [float(found[f"shown_{reach}"]) * HEIGHT * WIDTH / SIZE**2 for reach in REACHES]


def test_a_still_scene_under_a_still_hole_shows_nothing() -> None:
    found = revealed(*scene())
    for name in ("shown", "worth", "misfit"):
        assert all(float(found[f"{name}_{reach}"]) == 0 for reach in REACHES)
    assert float(found["beside"]) > 0.02


@pytest.mark.parametrize(("speed", "hole_speed"), [(1, 0), (0, 1), (-1, 0), (0, -1)])
def test_the_nearest_frame_that_shows_a_pixel_is_given_the_credit(speed: int, hole_speed: int) -> None:
    found = revealed(*scene(speed=speed, hole_speed=hole_speed))
    # Of the six frames looked at, the first and the last can look one way alone; each column of distance shows one.
    columns = (4 * 2 + 2 * 1) / 6
    assert shown(found)[:2] == pytest.approx([columns / SIZE, columns / SIZE], abs=1e-5)
    assert sum(shown(found)) == pytest.approx(1, abs=1e-4)
    assert all(float(found[f"misfit_{reach}"]) < 1e-5 for reach in REACHES)
    assert float(found["worth_1"]) == pytest.approx(shown(found)[0] * float(found["beside"]), abs=1e-4)


def test_an_object_that_moves_before_a_still_scene_is_not_taken_for_the_camera() -> None:
    generator = torch.Generator().manual_seed(4)
    grey = torch.linspace(0.2, 0.8, WIDTH).expand(1, 16, HEIGHT, WIDTH).clone()
    thing, holes = 0.3 + 0.3 * torch.rand(10, 10, generator=generator), torch.zeros(1, 16, HEIGHT, WIDTH)
    for t in range(16):
        grey[0, t, 18:28, 2 * t : 2 * t + 10] = thing
    holes[..., 4:12, 20:28] = 1
    known = 1 - holes[:, 0]
    assert translation(grey[:, 4], grey[:, 6], known, known).tolist() == [[0, 4]]
    assert shown(revealed(grey, holes)) == [0] * len(REACHES)


def test_what_moves_with_the_hole_stays_hidden() -> None:
    assert shown(revealed(*scene(speed=1, hole_speed=1))) == [0] * len(REACHES)


def test_light_that_changes_is_a_misfit_and_costs_what_is_shown_its_worth() -> None:
    grey, holes = scene(speed=1)
    plain, flickering = revealed(grey, holes), revealed(grey + torch.linspace(0, 0.3, 16).view(1, -1, 1, 1), holes)
    assert shown(flickering)[:3] == pytest.approx(shown(plain)[:3], abs=1e-5)
    assert float(flickering["misfit_4"]) == pytest.approx(0.3 * 4 / 15, abs=1e-3)
    assert float(flickering["worth_4"]) < 0 < float(plain["worth_4"])


@pytest.mark.parametrize("time", [1, 2, 5])
def test_a_reach_beyond_the_clip_shows_nothing(time: int) -> None:
    found = revealed(*scene(time=time, speed=1))
    assert all(torch.isfinite(value).all() for value in found.values())
    for reach, value in zip(REACHES, shown(found)):
        assert (value > 0) == (reach < time)


def test_clips_do_not_disturb_each_other_and_an_empty_hole_is_no_error() -> None:
    first, second = scene(speed=1), scene(hole_speed=1)
    both = revealed(torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]]))
    for name, value in revealed(*first).items():
        torch.testing.assert_close(both[name][:1], value, rtol=0, atol=1e-6)
    assert all(float(value) == 0 for value in revealed(first[0], torch.zeros_like(first[1])).values())


@settings(deadline=None, max_examples=40)
@given(st.integers(-8, 8), st.integers(-12, 12))
def test_translation_finds_any_shift_that_leaves_enough_in_view(down: int, right: int) -> None:
    generator = torch.Generator().manual_seed(2)
    picture = torch.rand(1, 1, HEIGHT + 30, WIDTH + 30, generator=generator)
    picture = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)[0, 0]
    a = picture[15 : 15 + HEIGHT, 15 : 15 + WIDTH]
    b = picture[15 - down : 15 - down + HEIGHT, 15 - right : 15 - right + WIDTH]
    everything = torch.ones(1, HEIGHT, WIDTH)
    assert translation(a[None], b[None], everything, everything).tolist() == [[down, right]]
    inside = shifted(everything, torch.tensor([[down, right]])) > 0
    torch.testing.assert_close(shifted(b[None], torch.tensor([[down, right]]))[inside], a[None][inside])
