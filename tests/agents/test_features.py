"""Each feature says what its name says, and none depends on how many frames or clips there are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from videoinpaint.agents.policies.features import BOUND, FEATURES, clip_features
from videoinpaint.agents.policies.thumbnails import THUMBNAIL

NAMES = list(FEATURES)


def clip(time: int = 6, shift: int = 0, area: int = 8, fill: float | None = 128, hole_shift: int = 0) -> Tensor:
    """A noisy picture that moves ``shift`` columns a frame, under a square hole with a plain fill."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(60, 200, (3, THUMBNAIL[0], THUMBNAIL[1]), generator=generator).float()
    result = torch.zeros(1, time, 4, *THUMBNAIL)
    for t in range(time):
        result[0, t, :3] = picture.roll(shift * t, -1)
        left = 4 + hole_shift * t
        result[0, t, 3, 4 : 4 + area, left : left + area] = 255
        if fill is not None:
            result[0, t, :3, 4 : 4 + area, left : left + area] = fill
    return result.to(torch.uint8)


def value(name: str, thumbnails: Tensor) -> float:
    """A feature in its own unit."""
    mean, deviation = FEATURES[name]
    return float(clip_features(thumbnails)[0, NAMES.index(name)]) * deviation + mean


def test_features_have_a_bounded_finite_row_per_clip() -> None:
    found = clip_features(torch.cat([clip(), clip(shift=3, area=12)]))
    assert found.shape == (2, len(FEATURES))
    assert found.abs().max() <= BOUND
    torch.testing.assert_close(found[:1], clip_features(clip()), rtol=0, atol=0)


@pytest.mark.parametrize("time", [1, 2])
def test_features_of_very_short_clips_and_of_clips_without_a_flag_are_finite(time: int) -> None:
    nothing = clip(time)
    nothing[:, :, 3] = 0
    assert torch.isfinite(clip_features(torch.cat([clip(time), nothing]))).all()


def test_area_and_the_grey_of_a_fresh_hole_are_seen() -> None:
    assert value("area", clip(area=8)) == pytest.approx(64 / (THUMBNAIL[0] * THUMBNAIL[1]), abs=1e-5)
    assert value("untouched", clip(fill=128)) == pytest.approx(1, abs=1e-5)
    assert value("untouched", clip(fill=90)) == pytest.approx(0, abs=1e-5)


def test_motion_of_scene_hole_and_filling_are_told_apart() -> None:
    still, panning, moving_hole = clip(), clip(shift=1), clip(hole_shift=2)
    assert value("motion", still) == pytest.approx(0, abs=1e-6)
    assert value("motion", panning) > 0.03
    assert value("hole_motion", panning) == pytest.approx(0, abs=1e-5)
    assert value("hole_motion", moving_hole) > 0.2
    assert value("flicker", panning) == pytest.approx(0, abs=1e-5)
    assert value("flicker", clip(shift=1, fill=None)) > 0.03


def test_a_passing_hole_is_not_taken_for_motion_of_the_scene() -> None:
    passing = clip(hole_shift=2, fill=128)
    assert value("motion", passing) == pytest.approx(0, abs=1e-6)
    assert value("drift", passing) == pytest.approx(0, abs=1e-6)


def test_drift_compares_the_ends_and_light_and_contrast_are_those_of_all_pixels() -> None:
    back_and_forth, panning = clip(time=3), clip(time=3, shift=1)
    back_and_forth[0, 1] = panning[0, 1]
    assert value("drift", back_and_forth) == pytest.approx(0, abs=1e-6)
    assert value("drift", panning) > 0.04
    grey = clip(fill=None)[0, :, :3].float().mean(1) / 255
    assert value("brightness", clip(fill=None)) == pytest.approx(float(grey.mean()), abs=1e-4)
    assert value("contrast", clip(fill=None)) == pytest.approx(float(grey.std(correction=0)), abs=1e-4)


def test_texture_inside_and_outside_are_told_apart() -> None:
    smooth = clip(fill=128)
    assert value("inner_texture", smooth) == pytest.approx(0, abs=1e-5)
    assert value("inner_texture", clip(fill=None)) > 0.04
    assert value("texture", smooth) > 0.04
