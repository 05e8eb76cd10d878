import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.clips import (
    ClipSource,
    ImageFolder,
    Studio,
    check_length,
    file_source,
    make_clips,
    make_masks,
    resize_frames,
    resize_masks,
)
from videoinpaint.clips.files import opened as keeping
from videoinpaint.envs.states.episodes import EpisodeSource
from videoinpaint.errors import InputError, UnknownNameError

Save = Callable[..., Path]
Frames = NDArray[np.uint8]


def test_folder_of_frames_is_one_clip(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    source = make_clips(str(save_frames(tmp_path / "walk", frames)))
    assert isinstance(source, ClipSource)
    assert source.names() == ["walk"]
    clip = source.load("walk", 5, 48, 64, start=3)
    np.testing.assert_array_equal(clip.frames, frames[3:8])
    assert (clip.name, clip.start, clip.objects) == ("walk", 3, None)


def test_frames_are_taken_in_the_order_of_their_numbers(tmp_path: Path, frames: Frames) -> None:
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame{index}.png")
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "._frame3.png").write_text("")
    (tmp_path / "notes.txt").write_text("")
    np.testing.assert_array_equal(ImageFolder(tmp_path).read(0, 12), frames)


def test_folder_of_clips_holds_folders_and_videos(
    tmp_path: Path, frames: Frames, save_frames: Save, save_video: Save
) -> None:
    save_frames(tmp_path / "clip10", frames)
    save_frames(tmp_path / "clip9", frames[::-1])
    save_frames(tmp_path / ".hidden", frames)
    save_video(tmp_path / "film.mkv", frames)
    (tmp_path / "README.md").write_text("")
    source = make_clips(tmp_path)
    assert source.names() == ["clip9", "clip10", "film.mkv"]
    for name, expected in (("clip9", frames[::-1]), ("clip10", frames), ("film.mkv", frames)):
        np.testing.assert_array_equal(source.load(name, 12, 48, 64).frames, expected)


def test_sampling_reaches_every_clip_and_window_and_repeats(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    save_frames(tmp_path / "a", frames)
    save_frames(tmp_path / "b", frames[::-1])
    source = make_clips(tmp_path)
    drawn = [source.sample(np.random.default_rng(seed), 10, 48, 64) for seed in range(60)]
    assert {(clip.name, clip.start) for clip in drawn} == {(n, s) for n in "ab" for s in range(3)}
    again = source.sample(np.random.default_rng(7), 10, 48, 64)
    np.testing.assert_array_equal(again.frames, drawn[7].frames)
    for clip in drawn[:6]:
        np.testing.assert_array_equal(source.load(clip.name, 10, 48, 64, clip.start).frames, clip.frames)


def test_stride_and_flip(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    source = file_source(save_frames(tmp_path / "a", frames), stride=3, flip=True)
    drawn = {source.sample(np.random.default_rng(seed), 4, 48, 64).frames.tobytes() for seed in range(30)}
    wanted = [frames[start : start + 10 : 3] for start in range(3)]
    assert drawn == {np.ascontiguousarray(w[:, :, ::step]).tobytes() for w in wanted for step in (1, -1)}


def test_frames_are_cropped_to_the_aspect_and_reduced_by_area(
    tmp_path: Path, frames: Frames, save_frames: Save
) -> None:
    source = make_clips(save_frames(tmp_path / "a", frames))
    found = source.load("a", 2, 24, 24).frames
    expected = frames[:2, :, 8:56].reshape(2, 24, 2, 24, 2, 3).mean(axis=(2, 4))
    assert np.abs(found - expected).max() <= 0.5


@pytest.mark.parametrize("count", [0, 1])
def test_clip_of_no_or_one_frame_is_refused_at_once(
    tmp_path: Path, frames: Frames, save_frames: Save, count: int
) -> None:
    save_frames(tmp_path / "single", frames[:count])
    with pytest.raises(InputError, match="single"):
        make_clips(tmp_path / "single")
    save_frames(tmp_path / "whole", frames)
    if count == 1:
        with pytest.raises(InputError, match="single frame"):
            make_clips(tmp_path)


def test_clip_shorter_than_the_window_is_named(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    source = make_clips(save_frames(tmp_path / "brief", frames[:5]))
    with pytest.raises(InputError, match="'brief' has 5 frames, but 6 are needed"):
        source.sample(np.random.default_rng(0), 6, 48, 64)
    with pytest.raises(InputError, match="from frame 3"):
        source.load("brief", 4, 48, 64, start=3)


def test_clips_that_are_too_short_are_refused_before_work_starts(
    tmp_path: Path, frames: Frames, save_frames: Save, save_video: Save
) -> None:
    save_frames(tmp_path / "clips" / "a", frames)
    check_length(make_clips(tmp_path / "clips"), 12)
    save_video(tmp_path / "clips" / "brief.mkv", frames[:5])
    folder = tmp_path / "clips"
    several, targets = make_clips(f"studio,{folder}"), make_clips(f"one_shot:{folder}")
    for source, fits in ((make_clips(folder), 5), (several, 5), (targets, 5), (file_source(folder, stride=3), 2)):
        check_length(source, fits)
        with pytest.raises(InputError, match=r"'brief\.mkv' has 5 frames, but \d are needed"):
            check_length(source, fits + 1)
    with pytest.raises(InputError, match=r"'brief\.mkv' has 5 frames, but 8 are needed"):
        EpisodeSource(make_clips(folder), make_masks("square"), (8, 48, 64))
    check_length(make_clips("studio"), 10**6)


def test_truncated_picture_is_named(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    folder = save_frames(tmp_path / "a", frames, ".jpg")
    whole = (folder / "00002.jpg").read_bytes()
    (folder / "00002.jpg").write_bytes(whole[: len(whole) // 2])
    source = make_clips(folder)
    with pytest.raises(InputError, match=r"00002\.jpg"):
        source.load("a", 4, 48, 64)
    assert source.load("a", 2, 48, 64).frames.shape == (2, 48, 64, 3)


def test_frames_of_two_sizes_are_named(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    folder = save_frames(tmp_path / "a", frames)
    Image.fromarray(frames[0, :40]).save(folder / "00001.png")
    with pytest.raises(InputError, match=r"00001\.png has size 64x40"):
        make_clips(folder).load("a", 3, 48, 64)


def test_unknown_clip_and_missing_path(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    source = make_clips(save_frames(tmp_path / "a", frames))
    with pytest.raises(UnknownNameError, match="it has a"):
        source.load("b", 2, 48, 64)
    with pytest.raises(InputError, match="no clip"):
        make_clips(tmp_path / "nowhere")
    with pytest.raises(InputError, match="nothing is there"):
        make_clips(str(tmp_path / "nowhere.mp4"))
    with pytest.raises(UnknownNameError, match="studio:easy"):
        make_clips("cinema")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no clips"):
        make_clips(tmp_path / "empty")


def test_studio_of_ones_own_photographs(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    folder = save_frames(tmp_path / "pictures", frames)
    source = make_clips(f"photographs:{folder}")
    clip = source.sample(np.random.default_rng(0), 3, 32, 40)
    assert clip.frames.shape == (3, 32, 40, 3)
    assert clip.frames.std() > 1
    np.testing.assert_array_equal(source.load(clip.name, 3, 32, 40).frames, clip.frames)
    (tmp_path / "none").mkdir()
    for empty in (tmp_path / "none", tmp_path / "missing"):
        with pytest.raises(InputError, match="folder of photographs"):
            make_clips(f"photographs:{empty}")


def test_sources_plug_in_and_pass_through() -> None:
    assert isinstance(make_clips("videoinpaint.clips:Studio"), Studio)
    source = Studio("easy")
    assert make_clips(source) is source


def test_source_survives_pickling(tmp_path: Path, frames: Frames, save_frames: Save, save_video: Save) -> None:
    save_frames(tmp_path / "a", frames)
    save_video(tmp_path / "b.mkv", frames)
    source = make_clips(tmp_path)
    source.load("b.mkv", 2, 48, 64)
    copy = pickle.loads(pickle.dumps(source))
    for name in ("a", "b.mkv"):
        np.testing.assert_array_equal(copy.load(name, 4, 48, 64).frames, frames[:4])


sizes = st.integers(1, 40)
clips = npst.arrays(np.uint8, st.tuples(st.integers(1, 3), sizes, sizes, st.just(3)))


@settings(max_examples=80, deadline=None)
@given(clip=clips, height=sizes, width=sizes)
def test_resizing_gives_the_asked_size_within_the_range_of_the_frames(clip: Frames, height: int, width: int) -> None:
    found = resize_frames(clip, height, width)
    assert found.shape == (len(clip), height, width, 3)
    assert found.dtype == np.uint8
    assert found.min() >= clip.min()
    assert found.max() <= clip.max()
    if clip.shape[1:3] == (height, width):
        assert found is clip


@settings(max_examples=80, deadline=None)
@given(masks=npst.arrays(np.uint8, st.tuples(st.integers(1, 3), sizes, sizes), elements=st.integers(0, 1)))
def test_enlarged_masks_stay_binary_and_keep_full_and_empty_frames(masks: Frames) -> None:
    found = resize_masks(masks, 2 * masks.shape[1], 2 * masks.shape[2])
    assert set(np.unique(found)) <= {0, 1}
    np.testing.assert_array_equal(found.any(axis=(1, 2)), masks.any(axis=(1, 2)))
    np.testing.assert_array_equal(found[masks.all(axis=(1, 2))], 1)


def test_thin_masks_survive_reduction() -> None:
    masks = np.zeros((1, 64, 64), np.uint8)
    masks[0, 20] = 1
    assert resize_masks(masks, 16, 16).any()


def test_footage_is_read_as_other_readers_do(footage: Path) -> None:
    source = make_clips(footage)
    assert sorted(source.names()) == sorted(path.name for path in footage.iterdir())
    clip = source.sample(np.random.default_rng(0), 6, 120, 216)
    assert clip.frames.shape == (6, 120, 216, 3)
    for path in footage.iterdir():
        stored = str(path / "00000.jpg") if path.is_dir() else str(path)
        picture = cv2.imread(stored) if path.is_dir() else cv2.VideoCapture(stored).read()[1]
        whole = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        native = source.load(path.name, 1, *whole.shape[:2]).frames[0]
        # Readers round colours in different ways: OpenCV 4.8.1 is 1.6 off, another matrix 5.
        assert np.abs(native.astype(int) - whole).mean() < 2.5


def test_several_sources_are_drawn_alike_and_found_by_name(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    save_frames(tmp_path / "walk", frames)
    source = make_clips(f"studio:easy, studio:fast,{tmp_path / 'walk'}")
    assert isinstance(source, ClipSource)
    rng = np.random.default_rng(0)
    drawn = [source.sample(rng, 3, 32, 48).name for _ in range(60)]
    counts = [sum(name.startswith(start) for name in drawn) for start in ("studio-easy", "studio-fast", "walk")]
    assert sum(counts) == 60
    assert min(counts) >= 10
    assert source.names() == [*Studio("easy").names(), *Studio("fast").names(), "walk"]
    for name in ("studio-fast-000003", "walk"):
        clip = source.load(name, 4, 32, 48, start=2)
        assert (clip.name, clip.start, clip.frames.shape) == (name, 2, (4, 32, 48, 3))
    fast = Studio("fast").load("studio-fast-000003", 4, 32, 48, start=2)
    np.testing.assert_array_equal(source.load("studio-fast-000003", 4, 32, 48, start=2).frames, fast.frames)
    with pytest.raises(UnknownNameError, match="run"):
        source.load("run", 4, 32, 48)


@pytest.mark.parametrize("text", ["studio,", "studio,nowhere", "studio,studio:slow"])
def test_one_bad_source_among_several_is_an_error_at_once(text: str) -> None:
    with pytest.raises((InputError, UnknownNameError)):
        make_clips(text)


@pytest.mark.parametrize("text", ["", "studio,", "studio:easy, ,studio:fast", "photographs:", "one_shot:studio,"])
def test_an_empty_name_is_not_the_current_folder(
    text: str, tmp_path: Path, frames: Frames, save_frames: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_frames(tmp_path / "walk", frames)
    monkeypatch.chdir(tmp_path / "walk")
    with pytest.raises(InputError, match="empty name"):
        make_clips(text)
    with pytest.raises(InputError, match="a source of masks has an empty name"):
        make_masks("")


class SlowName(str):
    """A name at which another thread gets its turn whenever it is looked up."""

    def __hash__(self) -> int:
        time.sleep(0)
        return super().__hash__()


def test_a_list_of_clips_says_how_several_are_given() -> None:
    with pytest.raises(InputError, match=r"\['studio', 'studio:easy'\] are a list: give one text, with commas"):
        make_clips(["studio", "studio:easy"])  # type: ignore[arg-type]


def test_several_threads_may_draw_from_more_than_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: dict[SlowName, str] = {}
    monkeypatch.setattr(keeping, "KEPT", 3)

    def draw(seed: int) -> bool:
        names = [SlowName(pick) for pick in np.random.default_rng(seed).integers(8, size=400).tolist()]
        return all(keeping.kept(opened, name, partial(str, name)) == name for name in names)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(draw, range(4)))
    assert len(opened) <= 3
