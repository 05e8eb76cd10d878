"""Data sets in their published layouts, made small, and parts of sources."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.clips import davis, make_clips, ovis, youtube_vos
from videoinpaint.errors import InputError, InputWarning

Frames = NDArray[np.uint8]
Save = Callable[..., Path]


def davis_tree(root: Path, frames: Frames, save_frames: Save) -> NDArray[np.uint8]:
    masks = (frames[..., 0] > 120).astype(np.uint8) * 255
    for name in ("bear", "camel"):
        save_frames(root / "JPEGImages" / "480p" / name, frames)
    save_frames(root / "Annotations" / "480p" / "bear", masks)
    save_frames(root / "Annotations" / "480p" / "camel", masks[:1])
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("camel\n")
    return masks // 255


def test_davis(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    masks = davis_tree(tmp_path, frames, save_frames)
    source = make_clips(f"davis:{tmp_path}")
    assert source.names() == ["bear", "camel"]
    clip = source.load("bear", 4, 48, 64, start=2)
    np.testing.assert_array_equal(clip.frames, frames[2:6])
    assert clip.objects is not None
    np.testing.assert_array_equal(clip.objects, masks[2:6])
    assert source.load("camel", 4, 48, 64).objects is None  # annotated in its first frame only
    assert make_clips(f"davis:{tmp_path}#val").names() == ["camel"]
    assert pickle.loads(pickle.dumps(source)).load("bear", 2, 48, 64).objects is not None


def test_davis_that_is_not_there_or_incomplete(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    with pytest.raises(InputError, match=r"expected .*480p"):
        davis(tmp_path)
    davis_tree(tmp_path, frames, save_frames)
    with pytest.raises(InputError, match="there are val"):
        davis(tmp_path, "train")
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("camel\nlost\n")
    with pytest.raises(InputError, match="lost"):
        davis(tmp_path, "val")


def test_youtube_vos(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    save_frames(tmp_path / "valid" / "JPEGImages" / "003234", frames)
    save_frames(tmp_path / "valid" / "Annotations" / "003234", frames[::5, :, :, 0])
    for spec in (f"youtube-vos:{tmp_path}", f"youtube-vos:{tmp_path}#valid", f"youtube-vos:{tmp_path / 'valid'}"):
        source = make_clips(spec)
        assert source.names() == ["003234"]
        np.testing.assert_array_equal(source.load("003234", 3, 48, 64).frames, frames[:3])
    with pytest.raises(InputError, match="unpack"):
        youtube_vos(tmp_path, "train")


def two_objects(count: int) -> NDArray[np.uint8]:
    """Object 1 moves to the right, object 3 stands; no object 2."""
    ids = np.zeros((count, 48, 64), np.uint8)
    ids[:, 30:40, 40:60] = 3
    for index in range(count):
        ids[index, 5:15, 2 * index : 2 * index + 10] = 1
    return ids


def save_palettes(folder: Path, ids: NDArray[np.uint8], numbers: list[int]) -> None:
    folder.mkdir(parents=True)
    for number, picture in zip(numbers, ids):
        image = Image.fromarray(picture, "P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [0] * 756)
        image.save(folder / f"{number:05d}.png")


def test_single_objects_of_davis_are_clips_of_their_own(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    save_frames(tmp_path / "JPEGImages" / "480p" / "pair", frames)
    save_palettes(tmp_path / "Annotations" / "480p" / "pair", two_objects(12), list(range(12)))
    merged = make_clips(f"davis:{tmp_path}").load("pair", 3, 48, 64, start=1)
    assert merged.objects is not None
    np.testing.assert_array_equal(merged.objects, two_objects(12)[1:4] > 0)
    source = make_clips(f"davis:{tmp_path}+objects")
    assert source.names() == ["pair.1", "pair.3"]
    for number in (1, 3):
        clip = source.load(f"pair.{number}", 3, 48, 64, start=1)
        np.testing.assert_array_equal(clip.frames, frames[1:4])
        assert clip.objects is not None
        np.testing.assert_array_equal(clip.objects, two_objects(12)[1:4] == number)


def test_davis_of_2016_and_of_2019(tmp_path: Path, frames: Frames, save_frames: Save) -> None:
    davis_tree(tmp_path, frames, save_frames)
    (tmp_path / "ImageSets" / "480p").mkdir()
    lines = [f"/JPEGImages/480p/bear/{i:05d}.jpg /Annotations/480p/bear/{i:05d}.png" for i in range(3)]
    (tmp_path / "ImageSets" / "480p" / "val.txt").write_text("\n".join(lines) + "\n")
    assert make_clips(f"davis-2016:{tmp_path}#val").names() == ["bear"]
    save_palettes(tmp_path / "Annotations_unsupervised" / "480p" / "camel", two_objects(12), list(range(12)))
    clip = make_clips(f"davis-2019:{tmp_path}").load("camel", 4, 48, 64)
    assert clip.objects is not None
    np.testing.assert_array_equal(clip.objects, two_objects(4) > 0)
    assert make_clips(f"davis-2019:{tmp_path}").load("bear", 4, 48, 64).objects is None
    with pytest.raises(InputError, match="2016, 2017, 2019"):
        davis(tmp_path, year=2018)


def test_annotations_of_youtube_vos_belong_to_the_frames_of_their_numbers(
    tmp_path: Path, frames: Frames, save_frames: Save
) -> None:
    save_frames(tmp_path / "train_all_frames" / "JPEGImages" / "0a", frames)
    save_palettes(tmp_path / "train" / "Annotations" / "0a", two_objects(12)[::5], [0, 5, 10])
    (tmp_path / "train" / "JPEGImages" / "0a").mkdir(parents=True)
    for number in (0, 5, 10):
        Image.fromarray(frames[number]).save(tmp_path / "train" / "JPEGImages" / "0a" / f"{number:05d}.png")
    meta = {"videos": {"0a": {"objects": {"1": {"category": "dog"}, "3": {"category": "cat"}}}}}
    (tmp_path / "train" / "meta.json").write_text(json.dumps(meta))

    sparse = make_clips(f"youtube-vos:{tmp_path}#train")
    clip = sparse.load("0a", 3, 48, 64)
    np.testing.assert_array_equal(clip.frames, frames[[0, 5, 10]])
    assert clip.objects is not None
    np.testing.assert_array_equal(clip.objects, two_objects(12)[[0, 5, 10]] > 0)

    dense = make_clips(f"youtube-vos:{tmp_path}#train_all_frames")
    assert dense.load("0a", 3, 48, 64).objects is None  # frames 1 and 2 are not annotated
    dense.stride = 5
    found = dense.load("0a", 2, 48, 64, start=5).objects
    assert found is not None
    np.testing.assert_array_equal(found, two_objects(12)[[5, 10]] > 0)
    single = make_clips(f"youtube-vos:{tmp_path}#train_all_frames+objects")
    assert single.names() == ["0a.1", "0a.3"]

    (tmp_path / "train" / "meta.json").write_text("[[1]]")
    with pytest.raises(InputError, match=r"meta\.json"):
        youtube_vos(tmp_path, "train")


def ovis_tree(root: Path, frames: Frames) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    ids = two_objects(len(frames))
    (root / "train" / "v1").mkdir(parents=True)
    names = []
    for index, frame in enumerate(frames):
        names.append(f"v1/img_{index + 1:07d}.png")
        Image.fromarray(frame).save(root / "train" / names[-1])

    def code(mask: NDArray[np.bool_]) -> dict:
        found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": found["size"], "counts": found["counts"].decode()}

    hidden = [None if index == 2 else code(ids[index] == 1) for index in range(len(frames))]
    annotations = [
        {"video_id": 7, "segmentations": hidden},
        {"video_id": 7, "segmentations": [code(picture == 3) for picture in ids]},
    ]
    video = {"id": 7, "file_names": names, "height": 48, "width": 64}
    (root / "annotations_train.json").write_text(json.dumps({"videos": [video], "annotations": annotations}))


def test_ovis(tmp_path: Path, frames: Frames) -> None:
    ovis_tree(tmp_path, frames[:5])
    clip = make_clips(f"ovis:{tmp_path}").load("v1", 3, 48, 64, start=1)
    np.testing.assert_array_equal(clip.frames, frames[1:4])
    expected = two_objects(5)[1:4]
    expected[1] = np.where(expected[1] == 1, 0, expected[1])  # not seen in frame 2
    assert clip.objects is not None
    np.testing.assert_array_equal(clip.objects, expected > 0)
    single = make_clips(f"ovis:{tmp_path}#train+objects")
    assert single.names() == ["v1.1", "v1.2"]
    found = pickle.loads(pickle.dumps(single)).load("v1.2", 3, 48, 64).objects
    np.testing.assert_array_equal(found, two_objects(3) == 3)


@pytest.mark.parametrize("change", ["lost", "length", "outside", "list", "code"])
def test_damaged_ovis(tmp_path: Path, frames: Frames, change: str) -> None:
    ovis_tree(tmp_path, frames[:4])
    path = tmp_path / "annotations_train.json"
    described = json.loads(path.read_text())
    if change == "lost":
        path.unlink()
    elif change == "length":
        described["annotations"][0]["segmentations"].pop()
    elif change == "outside":
        described["videos"][0]["file_names"][0] = "../../secret.png"
    elif change == "list":
        described = [1]
    else:
        described["annotations"][1]["segmentations"][0]["counts"] = {"no": "code"}
    if change != "lost":
        path.write_text(json.dumps(described))
    with pytest.raises(InputError, match="unpack"):
        ovis(tmp_path).load("v1", 3, 48, 64)


@pytest.fixture
def ten(tmp_path: Path, frames: Frames, save_frames: Save) -> Path:
    for index in range(10):
        save_frames(tmp_path / f"clip{index}", frames[: 3 if index == 4 else 6])
    return tmp_path


def test_parts_of_a_source(ten: Path) -> None:
    names = [f"clip{index}" for index in range(10)]
    parts = {"[:3]": names[:3], "[8:]": names[8:], "[-2:]": names[-2:], "[2:5]": names[2:5], "[2:][:2]": names[2:4]}
    for part, expected in parts.items():
        assert make_clips(f"{ten}{part}").names() == expected
    drawn = make_clips(f"{ten}[random:4:7]").names()
    assert len(set(drawn)) == 4
    assert drawn == sorted(drawn)
    assert drawn == make_clips(f"{ten}[random:4:7]").names()
    assert {tuple(make_clips(f"{ten}[random:4:{seed}]").names()) for seed in range(5)} != {tuple(drawn)}
    assert make_clips(f"{ten}[:2],{ten}[9:]").names() == ["clip0", "clip1", "clip9"]
    assert make_clips(f"{ten}[:2]").load("clip1", 3, 48, 64).name == "clip1"


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("[10:]", "holds no clip"), ("[random:11]", "has 10"), ("[random:0]", "holds no clip"), ("[1]", "START:STOP"),
        ("[a:b]", "START:STOP"), ("[:\u0663]", "START:STOP"), ("[]", "START:STOP"), ("[random:-1]", "START:STOP"),
    ],
)  # fmt: skip
def test_a_part_that_names_nothing_is_refused(ten: Path, part: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        make_clips(f"{ten}{part}")
    with pytest.raises(InputError, match="clips in files"):
        make_clips("studio[:4]")


def test_short_clips_are_refused_or_skipped_before_any_work(ten: Path) -> None:
    kwargs = {"num_frames": 5, "height": 48, "width": 64, "inpainter": "telea", "detector": "none"}
    with pytest.raises(InputError, match="clip4"):
        gymnasium.make("VideoInpaint-v1", clips=str(ten), **kwargs)
    with pytest.warns(InputWarning, match="1 of 10 clips"):
        env = gymnasium.make("VideoInpaint-v1", clips=f"{ten}[skip-short]", **kwargs)
    played = {env.reset(seed=seed)[1]["clip"] for seed in range(40)}
    assert "clip4" not in played
    assert len(played) > 5
    with pytest.raises(InputError, match="no clip of"):
        gymnasium.make("VideoInpaint-v1", clips=f"{ten}[skip-short]", **(kwargs | {"num_frames": 7}))
