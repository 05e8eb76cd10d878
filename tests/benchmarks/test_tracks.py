"""Tracks of real video: the published layouts, whole clips, digests of one's own copy, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videoinpaint.benchmarks.protocol.frozen import suite_of_file
from videoinpaint.benchmarks.protocol.tracks import Freeze, Size, open_suite, run, track, track_names
from videoinpaint.cli import main
from videoinpaint.errors import InputError, UnknownNameError

ENV = "VideoInpaint-v1"
SMALL = Size(3, 40, 48)
LENGTHS = {"bear": 4, "cows": 5, "dogs": 3}


def write_clip(images: Path, annotations: Path | None, length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images.mkdir(parents=True)
    for index in range(length):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(images / f"{index:05d}.jpg")
        if annotations is not None:
            annotations.mkdir(parents=True, exist_ok=True)
            marked = np.zeros((40, 48), np.uint8)
            marked[8 + index : 20 + index, 4 + 6 * seed : 20 + 6 * seed] = 1
            picture = Image.fromarray(marked, "P")
            picture.putpalette([0, 0, 0, 128, 0, 0])
            picture.save(annotations / f"{index:05d}.png")


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """Three short clips as DAVIS 2017 has them."""
    root = tmp_path / "DAVIS"
    for seed, (name, length) in enumerate(LENGTHS.items()):
        write_clip(root / "JPEGImages/480p" / name, root / "Annotations/480p" / name, length, seed)
    for year in ("2016", "2017"):
        (root / "ImageSets" / year).mkdir(parents=True)
        (root / "ImageSets" / year / "val.txt").write_text("\n".join(LENGTHS) + "\n")
    return root


@pytest.fixture
def youtube(tmp_path: Path) -> Path:
    """Two clips as YouTube-VOS's valid has them: annotated in their first frames alone."""
    root = tmp_path / "YTVOS"
    for seed, name in enumerate(("0a", "0b")):
        write_clip(root / "valid/JPEGImages" / name, root / "valid/Annotations" / name, 3, seed)
        for later in list((root / "valid/Annotations" / name).glob("*.png"))[1:]:
            later.unlink()
    return root


@pytest.mark.parametrize("name", [one for one in track_names() if one.startswith("davis")])
def test_a_track_lists_clips_as_published(name: str, davis: Path, tmp_path: Path) -> None:
    made = track(name, str(davis), ENV, SMALL)
    assert [one.clip for one in made.episodes] == list(LENGTHS)
    moved = shutil.copytree(davis, tmp_path / "elsewhere")
    assert track(name, str(moved), ENV, SMALL).digest == made.digest
    (moved / "JPEGImages/480p/cows/00001.jpg").write_bytes((davis / "JPEGImages/480p/cows/00002.jpg").read_bytes())
    assert track(name, str(moved), ENV, SMALL).digest != made.digest


def test_pairings_are_the_holes_they_say(davis: Path) -> None:
    own, other, still = (
        list((made := track(f"davis-2017-val-{kind}-v1", str(davis), ENV, SMALL)).drawn(made.seeds))
        for kind in ("object", "shuffled-object", "stationary")
    )
    for seed, episode in enumerate(own):
        assert episode.holes[1, 12, 6 + 6 * seed]
        assert not episode.holes[1, 12, 30 + 6 * seed : 48].any()
    for mine, theirs in zip(own, other):
        assert not np.array_equal(mine.holes, theirs.holes)
    assert all(np.array_equal(e.holes[0], e.holes[2]) for e in still)


def test_whole_clips_are_played_each_at_its_length(davis: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--suite", "davis-2017-val-object-v1", "--data", str(davis), "--num-frames", "0"]
    words += ["--height", "40", "--width", "48", "--inpainter", "telea", "--detector", "none", "--device", "cpu"]
    words += ["--policies", "heads4", "--baseline", "heads4", "--max-iterations", "1"]
    assert main([*words, "--output", str(tmp_path / "a.json")]) == 0
    results = json.loads((tmp_path / "a.json").read_text())
    whole = track("davis-2017-val-object-v1", str(davis), ENV, Size(0, 40, 48))
    assert [one.num_frames for one in whole.episodes] == list(LENGTHS.values())
    assert results["suite"] == whole.as_dict()
    assert [one["clip"] for one in results["policies"][0]["records"]] == list(LENGTHS)


def test_a_frozen_track_is_a_file_without_its_folder(davis: Path, tmp_path: Path) -> None:
    flags = Freeze(suite="davis-2016-val-stationary-v1", data=str(davis), env_id=ENV, num_frames=0, height=40, width=48)
    file = tmp_path / "frozen.json"
    file.write_text(json.dumps(run(flags)))
    assert str(davis) not in file.read_text()
    again = suite_of_file(file, ENV, str(davis))
    assert again == track(flags.suite, str(davis), ENV, Size(0, 40, 48))
    again.check_pixels()
    with pytest.raises(InputError, match="--data"):
        suite_of_file(file, ENV)
    with pytest.raises(UnknownNameError, match=ENV):
        suite_of_file(file, "VideoInpaintBudget-v0", str(davis))
    file.write_text("[]")
    with pytest.raises(InputError, match="no frozen suite"):
        suite_of_file(file, ENV, str(davis))
    own = track("my-clips", str(davis / "JPEGImages/480p"), ENV, SMALL)
    assert [one.clip for one in own.episodes] == list(LENGTHS)


def test_what_cannot_be_a_track_is_refused(davis: Path, youtube: Path) -> None:
    with pytest.raises(InputError, match="'dogs' has 3"):
        track("davis-2017-val-object-v1", str(davis), ENV, Size(4, 40, 48))
    with pytest.raises(InputError, match="fewer frames"):  # nothing is as long as the longest
        track("davis-2017-val-shuffled-object-v1", str(davis), ENV, Size(0, 40, 48))
    with pytest.raises(InputError, match="--data"):
        track("davis-2017-val-object-v1", "", ENV, SMALL)
    with pytest.raises(UnknownNameError, match="shuffled-object-v1"):
        track("davis-2017-val-square-v1", str(davis), ENV, SMALL)
    with pytest.raises(InputError, match="--masks"):
        track("davis-2017-val-object-v1", str(davis), ENV, SMALL, "square")
    assert len(track("youtube-vos-valid-stationary-v1", str(youtube), ENV, SMALL).episodes) == 2
    with pytest.raises(InputError, match="annotated in all"):
        track("youtube-vos-valid-object-v1", str(youtube), ENV, SMALL)


def test_a_folder_of_clips_is_refused_where_a_suite_has_its_own(davis: Path) -> None:
    with pytest.raises(InputError, match="leave --data out"):
        open_suite("studio-easy-v1", ENV, str(davis))
