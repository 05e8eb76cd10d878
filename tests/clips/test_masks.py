from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.clips import (
    Clip,
    MaskSource,
    MixedMasks,
    ObjectMasks,
    SquareMasks,
    StationaryMasks,
    make_masks,
    open_masks,
    read_masks,
)
from videoinpaint.errors import InputError, UnknownNameError

KINDS = ["stationary", "square", "object", "mixed", "studio", "studio:large", "first-frame:object"]
Save = Callable[..., Path]


def blank(count: int = 4, height: int = 48, width: int = 64, name: str = "clip", start: int = 0) -> Clip:
    return Clip(np.zeros((count, height, width, 3), np.uint8), name, None, start)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 9),
    height=st.integers(32, 90),
    width=st.integers(32, 160),
    dilate=st.integers(0, 4),
)
def test_no_frame_is_ever_empty_or_full(kind: str, seed: int, count: int, height: int, width: int, dilate: int) -> None:
    clip = blank(count, height, width)
    masks = make_masks(kind, dilate).sample(np.random.default_rng(seed), clip)
    assert masks.shape == (count, height, width)
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1}
    share = masks.mean(axis=(1, 2))
    assert (share > 0).all()
    assert (share < 1).all()
    np.testing.assert_array_equal(masks, make_masks(kind, dilate).sample(np.random.default_rng(seed), clip))


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_mask_sources(kind: str) -> None:
    assert isinstance(make_masks(kind), MaskSource)


def test_stationary_covers_8_to_18_percent_and_stands_still() -> None:
    rng = np.random.default_rng(0)
    masks = [make_masks("stationary").sample(rng, blank(3, 120, 216)) for _ in range(60)]
    assert 0.08 < np.mean([m.mean() for m in masks]) < 0.18
    assert all((m == m[:1]).all() for m in masks)
    assert len({m.tobytes() for m in masks}) == 60


def test_asked_area_is_met() -> None:
    rng = np.random.default_rng(0)
    for low in (0.03, 0.2, 0.45):
        share = np.mean([StationaryMasks((low, low)).sample(rng, blank(1, 120, 216)).mean() for _ in range(20)])
        assert low <= share < low + 0.05
        share = np.mean([ObjectMasks((low, low)).sample(rng, blank(1, 120, 216)).mean() for _ in range(20)])
        assert share == pytest.approx(low, rel=0.35)


@pytest.mark.parametrize("source", [StationaryMasks, ObjectMasks])
def test_holes_grow_only_where_that_is_asked_for(source: type[StationaryMasks] | type[ObjectMasks]) -> None:
    plain, none, grown = (
        source(**given).sample(np.random.default_rng(0), blank(2, 48, 64)).astype(bool)
        for given in ({}, {"dilate": 0}, {"dilate": 1})
    )
    np.testing.assert_array_equal(plain, none)
    assert grown[plain].all()
    assert grown.sum() > plain.sum()


def test_square_is_the_middle_quarter_of_each_side() -> None:
    mask = make_masks("square").sample(np.random.default_rng(0), blank(2, 48, 64))
    expected = np.zeros((2, 48, 64), np.uint8)
    expected[:, 18:30, 24:40] = 1
    np.testing.assert_array_equal(mask, expected)


def test_object_moves_at_about_the_asked_speed() -> None:
    source = ObjectMasks(area=(0.05, 0.05), speed=(3.0, 3.0))
    rows, columns = np.mgrid[:120, :216]
    steps = []
    for seed in range(10):
        masks = source.sample(np.random.default_rng(seed), blank(3, 120, 216))
        middles = [((m * rows).sum() / m.sum(), (m * columns).sum() / m.sum()) for m in masks]
        steps += list(np.linalg.norm(np.diff(middles, axis=0), axis=1))
    assert np.median(steps) == pytest.approx(3.0, abs=0.6)


def test_mixture_draws_every_kind() -> None:
    rng = np.random.default_rng(0)
    masks = [make_masks("mixed").sample(rng, blank()) for _ in range(40)]
    square = SquareMasks().sample(rng, blank())
    squares = sum(np.array_equal(m, square) for m in masks)
    moving = sum(not (m == m[:1]).all() for m in masks)
    assert 4 < squares < 25
    assert 4 < moving < 25


def test_dilation_grows_the_hole() -> None:
    plain, grown = (
        make_masks("object", dilate).sample(np.random.default_rng(3), blank()).astype(bool) for dilate in (0, 2)
    )
    assert (plain <= grown).all()
    assert grown.sum() > plain.sum()


@pytest.mark.parametrize(
    "make",
    [
        lambda: StationaryMasks((0.0, 0.1)),
        lambda: ObjectMasks((0.3, 0.2)),
        lambda: SquareMasks(1.0),
        lambda: MixedMasks([]),
        lambda: make_masks("square", -1),
        lambda: make_masks(SquareMasks(), 2),
    ],
)
def test_bad_arguments(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="stationary"):
        make_masks("circle")
    with pytest.raises(UnknownNameError, match="nobody"):
        make_masks("nobody_here:Masks")
    with pytest.raises(InputError, match="nothing is there"):
        make_masks("/nowhere/mask.png")
    with pytest.raises(InputError, match="no method 'sample'"):
        make_masks("collections:OrderedDict")


def test_plugged_in_mask_source() -> None:
    assert isinstance(make_masks("videoinpaint.clips.masks.synthetic:SquareMasks"), SquareMasks)


def moving_masks(count: int = 6, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    masks = np.zeros((count, height, width), np.uint8)
    for index in range(count):
        masks[index, 10:20, 5 + 4 * index : 20 + 4 * index] = 255
    return masks


def test_folder_of_masks_is_laid_over_every_clip(tmp_path: Path, save_frames: Save) -> None:
    masks = moving_masks()
    source = make_masks(str(save_frames(tmp_path / "hole", masks)))
    for seed in range(3):
        found = source.sample(np.random.default_rng(seed), blank(4))
        np.testing.assert_array_equal(found, masks[:4] // 255)


def test_a_short_series_is_never_stretched(tmp_path: Path, save_frames: Save, frames: NDArray[np.uint8]) -> None:
    save_frames(tmp_path / "clips" / "walk", frames[:8])
    one = make_masks(save_frames(tmp_path / "hole", moving_masks(3)))
    with pytest.raises(InputError, match="has 3 frames, its clip 5"):
        one.sample(np.random.default_rng(0), blank(5))
    kwargs = {"clips": str(tmp_path / "clips"), "num_frames": 4, "height": 48, "width": 64, "inpainter": "telea"}
    save_frames(tmp_path / "paired" / "walk", moving_masks(6))  # long enough for a window, not for every window
    for masks, told in ((tmp_path / "hole", "the longest has 3"), (tmp_path / "paired", "has 6 frames, its clip 8")):
        with pytest.raises(InputError, match=told):
            gymnasium.make("VideoInpaint-v1", masks=str(masks), **kwargs)
    with pytest.raises(InputError, match="the longest has 3"):
        gymnasium.make("VideoInpaint-v1", masks=f"object:{tmp_path / 'hole'}", **kwargs)


def test_only_masks_that_are_long_enough_are_drawn(tmp_path: Path, save_frames: Save) -> None:
    save_frames(tmp_path / "long", moving_masks(6))
    save_frames(tmp_path / "short", np.ascontiguousarray(moving_masks(3)[:, ::-1]))
    source = make_masks(tmp_path)
    found = {source.sample(np.random.default_rng(seed), blank(5, name="x")).tobytes() for seed in range(8)}
    assert found == {(moving_masks(6)[:5] // 255).tobytes()}
    assert len({source.sample(np.random.default_rng(seed), blank(3, name="x")).tobytes() for seed in range(8)}) == 2


def test_picture_stands_for_all_frames_and_is_scaled(tmp_path: Path) -> None:
    Image.fromarray(moving_masks()[0]).save(tmp_path / "hole.png")
    found = make_masks(str(tmp_path / "hole.png")).sample(np.random.default_rng(0), blank(3, 96, 128))
    assert found.shape == (3, 96, 128)
    assert found.mean() == pytest.approx((moving_masks()[0] > 0).mean(), rel=0.1)


def test_masks_are_paired_by_name_and_window(tmp_path: Path, save_frames: Save) -> None:
    masks = moving_masks()
    save_frames(tmp_path / "a", masks)
    save_frames(tmp_path / "b", np.ascontiguousarray(masks[:, :, ::-1]))
    source = make_masks(tmp_path)
    found = source.sample(np.random.default_rng(0), blank(3, name="b", start=2))
    np.testing.assert_array_equal(found, masks[2:5, :, ::-1] // 255)
    kinds = {source.sample(np.random.default_rng(seed), blank(6, name="x")).tobytes() for seed in range(12)}
    assert len(kinds) == 2


def test_object_masks_of_a_folder_are_shuffled(tmp_path: Path, save_frames: Save) -> None:
    save_frames(tmp_path / "a" / "first", moving_masks())
    save_frames(tmp_path / "b" / "second", moving_masks()[::-1])
    source = make_masks(f"object:{tmp_path}")
    found = {source.sample(np.random.default_rng(seed), blank(3)).tobytes() for seed in range(200)}
    assert len(found) == 2 * 4 * 2  # two masks, four windows, mirrored or not


def test_frames_that_the_object_left_take_the_nearest_hole(tmp_path: Path, save_frames: Save) -> None:
    masks = moving_masks()
    masks[0] = masks[4:] = 0
    found = make_masks(save_frames(tmp_path / "hole", masks)).sample(np.random.default_rng(0), blank(6))
    np.testing.assert_array_equal(found, masks[[1, 1, 2, 3, 3, 3]] // 255)


@pytest.mark.parametrize("value", [0, 255])
def test_mask_file_that_marks_nothing_or_everything(tmp_path: Path, save_frames: Save, value: int) -> None:
    folder = save_frames(tmp_path / "hole", np.full((3, 48, 64), value, np.uint8))
    with pytest.raises(InputError, match="all empty or all full"):
        make_masks(folder).sample(np.random.default_rng(0), blank(3))


def test_mask_video(tmp_path: Path, save_video: Save) -> None:
    masks = moving_masks()
    path = save_video(tmp_path / "hole.mkv", np.repeat(masks[..., None], 3, axis=3))
    np.testing.assert_array_equal(read_masks(path, 6, 48, 64), masks // 255)
    np.testing.assert_array_equal(make_masks(path).sample(np.random.default_rng(0), blank(4)), masks[:4] // 255)


def test_palette_masks_mark_every_object(tmp_path: Path) -> None:
    indices = np.zeros((32, 40), np.uint8)
    indices[3:9, 4:8], indices[20:25, 4:8] = 1, 2
    picture = Image.fromarray(indices).convert("P")
    picture.putdata(indices.ravel().tolist())
    picture.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_masks(tmp_path / "labels.png")[0], indices > 0)


def test_first_frame_is_held(tmp_path: Path, save_frames: Save) -> None:
    masks = moving_masks()
    source = make_masks(f"first-frame:{save_frames(tmp_path / 'hole', masks)}")
    np.testing.assert_array_equal(source.sample(np.random.default_rng(0), blank(4)), masks[[0, 0, 0, 0]] // 255)


def test_single_picture_reads_as_any_length(tmp_path: Path) -> None:
    Image.fromarray(moving_masks()[0]).save(tmp_path / "hole.png")
    assert read_masks(tmp_path / "hole.png", 5, 48, 64).shape == (5, 48, 64)
    assert open_masks(tmp_path / "hole.png", 100).read(90, 4).shape == (4, 48, 64)


def test_mask_of_another_length_or_size(tmp_path: Path, save_frames: Save) -> None:
    folder = save_frames(tmp_path / "hole", moving_masks())
    with pytest.raises(InputError, match="6 frames, the clip has 7"):
        read_masks(folder, 7, 48, 64)
    with pytest.raises(InputError, match="6 frames, the clip has 5"):
        read_masks(folder, 5, 48, 64)
    with pytest.raises(InputError, match="size 64x48, the clip 80x48"):
        read_masks(folder, 6, 48, 80)


def test_missing_mask_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no mask at"):
        read_masks(tmp_path / "none.png")
    with pytest.raises(InputError, match="no masks under"):
        make_masks(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        make_masks(tmp_path / "broken.png")


def test_object_masks_of_footage(outlines: Path) -> None:
    source = make_masks(f"object:{outlines}", dilate=1)
    rng = np.random.default_rng(0)
    for _ in range(10):
        share = source.sample(rng, blank(6, 60, 108)).mean(axis=(1, 2))
        assert ((share > 0) & (share < 1)).all()
