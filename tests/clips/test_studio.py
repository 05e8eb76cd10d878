import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoinpaint.clips import SUITES, Clip, ClipSource, Studio, StudioConfig, make_clips, make_masks
from videoinpaint.clips.studio.config import PHOTOGRAPHS
from videoinpaint.clips.studio.photographs import photograph
from videoinpaint.errors import InputError, UnknownNameError

SIZE = (4, 48, 64)


def change(frames: np.ndarray) -> float:
    return float(np.abs(np.diff(frames.astype(float), axis=0)).mean())


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_clip_has_the_asked_shape_and_is_a_picture(suite: str) -> None:
    source = make_clips(f"studio:{suite}")
    assert isinstance(source, ClipSource)
    clip = source.sample(np.random.default_rng(0), *SIZE)
    assert clip.frames.shape == (4, 48, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.frames.std() > 5
    assert clip.objects is not None
    assert clip.objects.shape == (4, 48, 64)
    assert set(np.unique(clip.objects)) == {0, 1}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9_999_999), suite=st.sampled_from(sorted(SUITES)), start=st.integers(0, 40))
def test_clip_is_a_function_of_its_name(seed: int, suite: str, start: int) -> None:
    name = Studio(suite).clip_name(seed)
    first = Studio(suite).load(name, 3, 32, 40, start)
    again = Studio(suite).load(name, 3, 32, 40, start)
    np.testing.assert_array_equal(first.frames, again.frames)
    later = Studio(suite).load(name, 1, 32, 40, start + 2)
    np.testing.assert_array_equal(first.frames[2:], later.frames)


def test_same_bits_in_another_process() -> None:
    code = (
        "import zlib; from videoinpaint.clips import Studio;"
        "print(zlib.crc32(Studio('hard').load('studio-hard-000007', 3, 48, 64).frames.tobytes()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    import zlib

    here = zlib.crc32(Studio("hard").load("studio-hard-000007", 3, 48, 64).frames.tobytes())
    assert int(printed) == here


def test_sampled_clips_can_be_loaded_again_and_are_not_the_listed_ones() -> None:
    source = Studio("fast")
    rng = np.random.default_rng(1)
    clips = [source.sample(rng, *SIZE) for _ in range(5)]
    assert len({clip.name for clip in clips}) == 5
    assert not {clip.name for clip in clips} & set(source.names())
    np.testing.assert_array_equal(clips[0].frames, source.load(clips[0].name, *SIZE).frames)
    assert source.names()[123] == "studio-fast-000123"


@pytest.mark.parametrize("name", ["studio-mixed-00000\u0663", "studio-mix\u0435d-000003", "studio-mixed-00000\uff13"])
def test_a_name_in_other_letters_or_digits_is_another_name(name: str) -> None:
    with pytest.raises(UnknownNameError):
        Studio().load(name, *SIZE)


def test_every_listed_clip_differs() -> None:
    source = Studio()
    assert len({source.load(name, 1, 32, 40).frames.tobytes() for name in source.names()[:30]}) == 30


def test_fast_moves_more_than_easy_and_hard_has_a_moving_background() -> None:
    seeds = range(8)
    mean = {
        suite: np.mean([change(Studio(suite).load(f"studio-{suite}-{s:06d}", 3, 60, 108).frames) for s in seeds])
        for suite in ("easy", "hard", "fast")
    }
    assert mean["fast"] > 1.5 * mean["easy"]
    assert mean["hard"] > 1.2 * mean["easy"]


STILL = {
    "camera_speed": (0.0, 0.0),
    "camera_zoom": (0.0, 0.0),
    "camera_rotation": (0.0, 0.0),
    "background_motion": (0.0, 0.0),
    "texture_speed": (0.0, 0.0),
    "sprites": (0.0, 0.0),
    "lighting": (0.0, 0.0),
}
MOVING = {
    "camera_speed": (3.0, 3.0),
    "camera_zoom": (0.2, 0.2),
    "camera_rotation": (8.0, 8.0),
    "background_motion": (3.0, 3.0),
    "texture_speed": (3.0, 3.0),
    "sprites": (2.0, 2.0),
    "lighting": (0.3, 0.3),
}


def custom(**ranges: tuple[float, float]) -> np.ndarray:
    return Studio(StudioConfig(**{**STILL, **ranges})).load("studio-custom-000005", 4, 60, 108).frames


def test_without_any_motion_the_scene_stands_still() -> None:
    assert change(custom()) == 0


@pytest.mark.parametrize("attribute", sorted(MOVING))
def test_every_attribute_moves_the_scene(attribute: str) -> None:
    assert change(custom(**{attribute: MOVING[attribute]})) > 0.1


def test_changing_one_attribute_keeps_the_rest_of_the_scene() -> None:
    still, with_sprites = custom(), custom(sprites=(2.0, 2.0))
    objects = Studio(StudioConfig(**{**STILL, "sprites": (2.0, 2.0)})).load("studio-custom-000005", 4, 60, 108).objects
    assert objects is not None
    outside = cv2.dilate(objects[0], np.ones((9, 9), np.uint8)) == 0
    assert outside.any()
    np.testing.assert_array_equal(still[0][outside], with_sprites[0][outside])


def test_sprites_bounce_off_the_border() -> None:
    source = Studio(StudioConfig(**{**STILL, "sprites": (1.0, 1.0), "sprite_speed": (10.0, 10.0)}))
    for seed in range(4):
        clips = [source.load(f"studio-custom-{seed:06d}", 1, 48, 64, start) for start in (20, 40, 60)]
        assert all(clip.objects is not None and clip.objects.any() for clip in clips)


def test_camera_speed_is_in_pixels_a_frame_at_width_216() -> None:
    frames = (
        Studio(StudioConfig(**{**STILL, "camera_speed": (4.0, 4.0)})).load("studio-custom-000009", 2, 120, 216).frames
    )
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames]
    (x, y), _ = cv2.phaseCorrelate(*grey, cv2.createHanningWindow((216, 120), cv2.CV_32F))
    assert np.hypot(x, y) == pytest.approx(4.0, abs=0.4)


def test_scene_looks_the_same_at_twice_the_size() -> None:
    small = Studio().load("studio-mixed-000011", 2, 60, 108).frames
    large = Studio().load("studio-mixed-000011", 2, 120, 216).frames
    reduced = np.stack([cv2.resize(frame, (108, 60), interpolation=cv2.INTER_AREA) for frame in large])
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.9


def test_photographs_can_be_held_out() -> None:
    scenes = [Studio(StudioConfig(photographs=("grass.png",), sprites=(0.0, 0.0)))]
    frames = scenes[0].load("studio-custom-000001", 2, 48, 64).frames
    other = Studio(StudioConfig(photographs=("brick.png",), sprites=(0.0, 0.0))).load("studio-custom-000001", 2, 48, 64)
    assert not np.array_equal(frames, other.frames)


def test_photographs_with_other_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = StudioConfig(photographs=("coins.png",))
    monkeypatch.setitem(PHOTOGRAPHS, "coins.png", "0123456789abcdef")
    photograph.cache_clear()
    with pytest.raises(InputError, match=r"coins\.png is not the photograph that scikit-image"):
        Studio(config).load("studio-custom-000001", *SIZE)


@pytest.mark.parametrize(
    "bad",
    [
        {"camera_speed": (2.0, 1.0)},
        {"sprites": (-1.0, 1.0)},
        {"hole_area": (0.1, 0.9)},
        {"moving_holes": 1.5},
        {"photographs": ()},
        {"photographs": ("nobody.png",)},
        {"lighting": (0.0, float("nan"))},
    ],
)
def test_bad_configuration_is_named(bad: dict) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        StudioConfig(**bad)


def test_unknown_suite_and_unknown_clip() -> None:
    with pytest.raises(UnknownNameError, match="large"):
        make_clips("studio:enormous")
    with pytest.raises(UnknownNameError, match="studio-easy-000123"):
        Studio("easy").load("studio-hard-000123", *SIZE)


def test_suite_is_clips_and_masks_paired_by_the_seed() -> None:
    clips, masks = make_clips("studio:large"), make_masks("studio:large")
    clip = clips.load("studio-large-000004", *SIZE)
    first, second = (masks.sample(np.random.default_rng(seed), clip) for seed in (0, 1))
    np.testing.assert_array_equal(first, second)
    areas = [masks.sample(np.random.default_rng(0), clips.load(n, *SIZE)).mean() for n in clips.names()[:20]]
    assert min(areas) > 0.15
    foreign = [masks.sample(np.random.default_rng(seed), Clip(clip.frames, "other")) for seed in (0, 1)]
    assert not np.array_equal(*foreign)


def test_window_of_a_studio_clip_keeps_its_hole() -> None:
    config = StudioConfig(moving_holes=1.0)
    clips, masks = make_clips(config), make_masks(config)
    whole = masks.sample(np.random.default_rng(0), clips.load("studio-custom-000002", 8, 48, 64))
    tail = masks.sample(np.random.default_rng(0), clips.load("studio-custom-000002", 4, 48, 64, start=4))
    np.testing.assert_array_equal(whole[4:], tail)


def test_source_survives_pickling() -> None:
    source = pickle.loads(pickle.dumps(make_clips("studio:hard")))
    np.testing.assert_array_equal(
        source.load("studio-hard-000001", *SIZE).frames, Studio("hard").load("studio-hard-000001", *SIZE).frames
    )
