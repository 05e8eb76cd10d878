"""Actions and controls are two views of the same five numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videoinpaint.controls import (
    DEFAULT,
    HIGH,
    LOW,
    Controls,
    action_to_controls,
    as_numbers,
    clip_controls,
    controls_to_action,
)
from videoinpaint.errors import InputError

actions = st.lists(st.floats(-1, 1), min_size=5, max_size=5)


@given(actions)
def test_every_action_lands_in_the_ranges_with_whole_heads(action):
    controls = action_to_controls([action])[0]
    assert (controls >= LOW.astype(np.float32)).all()
    assert (controls <= HIGH.astype(np.float32)).all()
    assert controls[0] == round(float(controls[0]))


@given(actions)
def test_round_trip_is_exact_but_for_the_rounding_of_heads(action):
    there = action_to_controls([action])
    back = controls_to_action(there)
    assert np.allclose(back[:, 1:], np.clip([action], -1, 1)[:, 1:], atol=1e-5)
    assert np.allclose(action_to_controls(back), there, atol=1e-6)


def test_ends_of_the_action_are_the_ends_of_the_ranges():
    assert np.allclose(action_to_controls([[-1] * 5])[0], LOW)
    assert np.allclose(action_to_controls([[1] * 5])[0], HIGH)
    assert np.allclose(action_to_controls([[9] * 5])[0], HIGH)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64, torch.int64])
def test_tensors_of_every_kind_are_numbers(kind):
    assert as_numbers(torch.tensor([1, -0.5, 0], dtype=kind)).tolist() == [1, -0.5 * kind.is_floating_point, 0]
    with pytest.raises(InputError, match="must hold numbers"):
        as_numbers(torch.zeros(5, dtype=torch.complex64))


@pytest.mark.parametrize("bad", [[np.nan, 0, 0, 0, 0], [0, np.inf, 0, 0, 0], [0, 0, 0, 0]])
def test_bad_actions_are_refused(bad):
    with pytest.raises(InputError):
        action_to_controls([bad])


def test_nan_controls_are_refused():
    with pytest.raises(InputError, match="finite"):
        clip_controls([[np.nan] * 5])


def test_dataclass_clips_and_rounds():
    controls = Controls.from_array([7.6, 0.9, 0.9, 0.55, 0.2])
    assert controls == Controls(heads=8, fusion=0.8, beta=0.55)
    assert Controls.from_array(controls.to_array()) == controls


def test_the_neutral_setting_is_the_middle_of_every_range_with_all_heads():
    assert np.allclose(DEFAULT.to_array()[1:], (LOW + HIGH)[1:] / 2)
    assert DEFAULT.heads == HIGH[0]
