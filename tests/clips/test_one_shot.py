"""One-shot clips: a target before a background that is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from videoinpaint.clips import (
    MASK_ERRORS,
    Clip,
    FileMasks,
    ObjectMasks,
    OneShotClips,
    SegmentedClips,
    Studio,
    file_source,
    inaccurate,
    make_clips,
)
from videoinpaint.clips.sources.augmented import OneShotWindows
from videoinpaint.clips.sources.pasted import MIN_FIRST_AREA
from videoinpaint.errors import InputError, UnknownNameError

SIZE = (6, 48, 80)


def source(kind: str, leaving: float = 0.25) -> OneShotClips:
    clips = OneShotClips(outlines=ObjectMasks(), segmented=Studio("easy"), leaving=leaving)
    clips.kinds = (kind,)
    return clips


def drawn(clips: OneShotClips, seed: int, size: tuple[int, int, int] = SIZE) -> tuple[np.ndarray, ...]:
    clip = clips.sample(np.random.default_rng(seed), *size)
    assert clip.observed is not None
    assert clip.objects is not None
    return clip.frames, clip.observed, clip.objects


@pytest.mark.parametrize("kind", ["sprite", "outline", "cut-out"])
def test_the_target_stands_before_a_true_background(kind: str) -> None:
    clips, changed = source(kind), []
    for seed in range(8):
        frames, observed, objects = drawn(clips, seed)
        assert observed.shape == frames.shape == (*SIZE, 3)
        assert objects.dtype == observed.dtype == np.uint8
        assert set(np.unique(objects)) <= {0, 1}
        np.testing.assert_array_equal(observed[objects == 0], frames[objects == 0])
        assert objects[0].mean() >= MIN_FIRST_AREA
        assert not objects[0].all()
        changed.append((observed != frames).any(axis=3)[objects == 1].mean())
    assert np.mean(changed) > 0.9


def test_everything_follows_from_the_seed_and_from_the_name() -> None:
    clips = make_clips("one_shot")
    for one, two in zip(drawn(clips, 3), drawn(make_clips("one_shot"), 3)):  # type: ignore[arg-type]
        np.testing.assert_array_equal(one, two)
    clip = clips.sample(np.random.default_rng(3), *SIZE)
    again = clips.load(clip.name, *SIZE)
    np.testing.assert_array_equal(clip.observed, again.observed)  # type: ignore[arg-type]
    assert len(set(clips.names())) == len(clips.names()) == 1000
    assert clips.load(clips.names()[7], 2, 32, 40).objects is not None
    with pytest.raises(UnknownNameError, match="named like"):
        clips.load("studio-mixed-000003", *SIZE)


def test_windows_of_other_lengths_see_the_same_first_frames() -> None:
    short, long = (make_clips("one_shot").load("studio-mixed-000003@001234", n, 48, 80) for n in (3, 6))
    np.testing.assert_array_equal(short.observed, long.observed[:3])  # type: ignore[index]


def test_the_texture_is_attached_to_the_target() -> None:
    """Undo the motion of a target without light or blur: its middle looks the same in the first and the last frame."""
    differences, controls = [], []
    for seed in range(12):
        _, observed, objects = drawn(source("sprite", leaving=0.0), seed, (5, 96, 160))
        middles = [np.argwhere(objects[t]).mean(axis=0).round().astype(int) for t in (0, 4)]
        if any((m < 8).any() or (m > (87, 151)).any() for m in middles):
            continue
        one, two = (
            observed[t, m[0] - 6 : m[0] + 7, m[1] - 6 : m[1] + 7].astype(float) for t, m in zip((0, 4), middles)
        )
        differences.append(np.abs(one - two).mean())
        controls.append(np.abs(one - one[::-1, ::-1]).mean())
    assert len(differences) >= 6
    assert np.median(differences) < 0.6 * np.median(controls)


def test_targets_have_the_asked_size_and_some_leave() -> None:
    clips = OneShotClips(area=(0.05, 0.05), leaving=0.0)
    areas = [drawn(clips, seed, (3, 60, 108))[2].mean() for seed in range(15)]
    assert np.mean(areas) == pytest.approx(0.05, rel=0.35)
    gone = [not drawn(OneShotClips(leaving=1.0), seed, (16, 48, 80))[2][-1].any() for seed in range(12)]
    assert sum(gone) > 2
    stays = [drawn(OneShotClips(leaving=0.0), seed, (16, 48, 80))[2].any(axis=(1, 2)).all() for seed in range(12)]
    assert all(stays)


def test_folders_of_clips_and_of_outlines(tmp_path: Path, save_frames, frames) -> None:
    for name in ("a", "b"):
        save_frames(tmp_path / "clips" / name, frames if name == "a" else frames[::-1])
    outline = np.zeros((12, 48, 64), np.uint8)
    for index in range(12):
        outline[index, 10:30, 5 + index : 20 + index] = 255
    save_frames(tmp_path / "masks" / "a", outline)
    clips = make_clips(f"one_shot:{tmp_path / 'clips'}#{tmp_path / 'masks'}")
    assert (clips.name, make_clips("one_shot").name) == (
        f"one_shot:{tmp_path / 'clips'}#{tmp_path / 'masks'}",
        "one_shot",
    )
    assert isinstance(clips, OneShotClips)
    assert clips.kinds == ("sprite", "outline")
    assert clips.names() == ["a@000000", "b@000001"]
    np.testing.assert_array_equal(clips.load("a@000000", 4, 48, 64, start=3).frames, frames[3:7])
    assert make_clips(f"one_shot:#{tmp_path / 'masks'}").kinds == ("sprite", "outline")  # type: ignore[attr-defined]

    segmented = SegmentedClips(tmp_path / "clips", tmp_path / "masks")
    assert segmented.names() == ["a"]
    longer = segmented.load("a", 14, 48, 64)
    np.testing.assert_array_equal(longer.frames[12:], frames[[10, 9]])
    np.testing.assert_array_equal(longer.objects, (outline > 0)[[*range(12), 10, 9]])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="both in"):
        SegmentedClips(tmp_path / "clips", tmp_path / "masks", ["b"])
    clips = OneShotClips(file_source(tmp_path / "clips"), segmented=segmented)
    assert clips.sample(np.random.default_rng(0), 4, 48, 64).observed is not None


@pytest.mark.parametrize(("arguments", "message"), [({"area": (0.0, 0.1)}, "area"), ({"leaving": 2.0}, "leaving")])
def test_impossible_settings_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        OneShotClips(**arguments)


def test_outlines_of_footage_make_targets(outlines: Path) -> None:
    clips = OneShotClips(outlines=FileMasks(outlines, shuffle=True))
    clips.kinds = ("outline",)
    for seed in range(3):
        frames, observed, objects = drawn(clips, seed, (8, 60, 108))
        np.testing.assert_array_equal(observed[objects == 0], frames[objects == 0])


def test_windows_show_the_target_in_their_first_frame() -> None:
    data = OneShotWindows(num_frames=3, height=40, width=56, batch=8, least=0.02)
    observed, reference, masks = data.draw(np.random.default_rng(1))
    assert observed.shape == reference.shape == (8, 3, 3, 40, 56)
    assert masks.shape == (8, 3, 1, 40, 56)
    assert set(masks.unique().tolist()) == {0, 1}
    assert (masks[:, 0].mean(dim=(1, 2, 3)) >= 0.02).all()
    known = masks.expand_as(observed) == 0
    assert torch.equal(observed[known], reference[known])
    for one, two in zip((observed, reference, masks), data.draw(np.random.default_rng(1))):
        assert torch.equal(one, two)
    with pytest.raises(InputError, match="use one_shot, or one_shot:CLIPS"):
        OneShotWindows([Studio()], 2, 32, 40).draw(np.random.default_rng(0))


def moving(count: int = 8) -> np.ndarray:
    masks = np.zeros((count, 60, 100), np.uint8)
    for index, mask in enumerate(masks):
        mask[15:40, 20 + 4 * index : 50 + 4 * index] = 1
    return masks


@pytest.mark.parametrize("kind", MASK_ERRORS)
def test_masks_go_wrong_in_the_way_they_are_asked_to(kind: str) -> None:
    true, areas, overlaps = moving(), [], []
    for seed in range(6):
        wrong = inaccurate(true, np.random.default_rng(seed), kind, severity=1.0)
        np.testing.assert_array_equal(wrong, inaccurate(true, np.random.default_rng(seed), kind, severity=1.0))
        assert wrong.dtype == np.uint8
        np.testing.assert_array_equal(wrong[0], true[0])
        assert set(np.unique(wrong)) == {0, 1}
        later = slice(1, None)
        areas.append(wrong[later].sum() / true[later].sum())
        overlaps.append((wrong & true)[later].sum() / (wrong | true)[later].sum())
        if kind in ("eroded", "missing_parts"):
            assert (wrong <= true).all()
        if kind in ("dilated", "extra"):
            assert (wrong >= true).all()
        if kind == "late":
            np.testing.assert_array_equal(wrong[-1], true[3])
    assert 0.2 < np.mean(overlaps) < 0.93
    if kind == "shifted":
        assert np.mean(areas) == pytest.approx(1.0, abs=0.1)
    np.testing.assert_array_equal(true, moving())


def test_the_kind_and_the_severity_of_errors_are_drawn() -> None:
    true = moving()
    wrong = [inaccurate(true, np.random.default_rng(seed)) for seed in range(24)]
    areas = np.array([w[1:].mean() / true[1:].mean() for w in wrong])
    assert (areas < 0.95).any()
    assert (areas > 1.05).any()
    mild, severe = (
        np.mean([(inaccurate(true, np.random.default_rng(s), None, level) != true).mean() for s in range(24)])
        for level in (0.2, 1.0)
    )
    assert 0 < mild < 0.7 * severe
    with pytest.raises(UnknownNameError, match="eroded"):
        inaccurate(true, np.random.default_rng(0), "torn")
    with pytest.raises(InputError, match="severity"):
        inaccurate(true, np.random.default_rng(0), "late", 0.0)
    with pytest.raises(InputError, match="first frame"):
        inaccurate(np.zeros_like(true), np.random.default_rng(0))
    np.testing.assert_array_equal(inaccurate(true[:1], np.random.default_rng(0)), true[:1])


def test_a_source_without_objects_cannot_be_cut_out() -> None:
    class Bare(Studio):
        def load(self, *args: object, **kwargs: object) -> Clip:
            return Clip(super().load(*args, **kwargs).frames, "bare")  # type: ignore[arg-type]

    clips = OneShotClips(segmented=Bare())
    clips.kinds = ("cut-out",)
    with pytest.raises(InputError, match="no object masks"):
        drawn(clips, 0)
