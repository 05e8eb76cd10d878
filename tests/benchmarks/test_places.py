"""What belongs to the clip and what to the place of its hole: made-up returns, and a small run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from videoinpaint.benchmarks.policies import places
from videoinpaint.errors import InputError

SMALL = {"num_frames": 2, "height": 48, "width": 64}


def returns(clips: int = 40, count: int = 4, settings: int = 5, *, of_clip: float, of_place: float) -> np.ndarray:
    """Returns whose settings differ by clip and by place, with these deviations; holes differ far more."""
    rng = np.random.default_rng(0)
    made = rng.normal(0, 3, (clips, count, 1)) + of_clip * rng.normal(0, 1, (clips, 1, settings))
    return made + of_place * rng.normal(0, 1, (clips, count, settings))


def test_what_the_clip_decides_is_all_captured() -> None:
    found = places.compared(returns(of_clip=1.0, of_place=0.0))
    assert found["captured"] == pytest.approx(1)
    assert found["clip_share"] == pytest.approx(1)
    assert found["oracle"]["mean"] == pytest.approx(found["elsewhere"]["mean"])
    assert found["headroom"]["low"] > 0


def test_what_the_place_decides_is_not() -> None:
    found = places.compared(returns(of_clip=0.0, of_place=1.0))
    assert abs(found["captured"]) < 0.15
    assert found["clip_share"] < 0.05
    assert found["headroom"]["low"] > 0


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_share_of_the_clip_is_that_of_its_variance(share: float) -> None:
    made = returns(400, of_clip=math.sqrt(share), of_place=math.sqrt(1 - share))
    assert places.clip_share(made) == pytest.approx(share, abs=0.05)
    constant = np.linspace(0, 9, 5)  # how good settings are everywhere, and holes for all settings, changes nothing
    assert places.clip_share(made + constant) == pytest.approx(places.clip_share(made))


def test_one_setting_that_is_best_everywhere_leaves_nothing() -> None:
    found = places.compared(returns(of_clip=0.0, of_place=0.0) + np.linspace(0, 1, 5))
    assert found["headroom"]["mean"] == found["gain"]["mean"] == found["clip_share"] == 0
    assert math.isnan(found["captured"])


def test_few_places_say_little_and_are_trusted_little() -> None:
    """With two holes and a clip that explains a tenth, the one beside must not overrule all other clips."""
    made = returns(60, 2, of_clip=0.3, of_place=0.9) + np.array([0, 0, 0, 0, 0.6])
    found = places.compared(made)
    raw = np.mean([
        made[clip, place, made[clip, 1 - place].argmax()] for clip in range(len(made)) for place in range(2)
    ])  # fmt: skip
    assert found["elsewhere"]["mean"] > raw
    assert found["gain"]["mean"] > -0.1


def test_every_clip_is_repaired_in_so_many_places(capsys: pytest.CaptureFixture[str]) -> None:
    flags = places.Places(suites=("studio",), masks="mixed", heads=(2, 12), fusion=(0.65,), objectives=("average",),
                          clips=2, places=2, **SMALL)  # fmt: skip
    results = places.run(flags)
    suite = results["suites"]["studio"]
    assert len(set(suite["clips"])) == 2
    assert suite["oracle"]["mean"] >= suite["constant"]["mean"]
    assert [setting["heads"] for setting in results["candidates"]] == [2, 12]
    again = places.run(flags)["suites"]["studio"]
    assert again["clip_share"] == suite["clip_share"]
    assert again["oracle"]["mean"] == suite["oracle"]["mean"]
    places.report(results)
    assert "what belongs to the clip" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"clips": 1}, "clips must be 2 or more"),
        ({"places": 1}, "places must be 2 or more"),
        ({"max_iterations": 0}, "max_iterations must be 1 or more"),
        ({"heads": (12,), "fusion": (0.65,), "objectives": ("average",)}, "leaves nothing to choose"),
        ({"env_id": "VideoInpaintRegions-v1"}, "take one with actions for whole frames"),
    ],
)
def test_what_cannot_be_measured_is_refused(asked: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        places.run(places.Places(suites=("studio",), **SMALL, **asked))


def test_holes_that_never_differ_are_refused(tmp_path) -> None:
    """One mask of one's own is the same wherever it is drawn."""
    from PIL import Image

    Image.fromarray(np.pad(np.full((10, 10), 255, np.uint8), ((10, 28), (10, 44)))).save(tmp_path / "mask.png")
    flags = places.Places(suites=("studio",), masks=str(tmp_path / "mask.png"), clips=2, places=2, **SMALL)
    with pytest.raises(InputError, match="has 1 different holes, not 2"):
        places.run(flags)
