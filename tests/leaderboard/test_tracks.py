"""Submissions on real video: the digests of one's own copy are in them, and whoever verifies has a copy too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videoinpaint.benchmarks.leaderboard.judging.verification import read_verification
from videoinpaint.benchmarks.leaderboard.submissions.submission import check_versions, read_submission, suite_of
from videoinpaint.benchmarks.protocol.frozen import holds_own_clips
from videoinpaint.benchmarks.protocol.tracks import Freeze
from videoinpaint.benchmarks.protocol.tracks import run as freeze
from videoinpaint.cli import main
from videoinpaint.errors import InputError

TRACK = "davis-2016-val-stationary-v1"
SIZE = ["--num-frames", "0", "--height", "48", "--width", "64"]


@pytest.fixture(scope="session")
def davis(tmp_path_factory) -> Path:
    """Two clips of another length each, as DAVIS 2016 has them."""
    root, rng = tmp_path_factory.mktemp("DAVIS"), np.random.default_rng(0)
    for name, length in (("bear", 3), ("cows", 4)):
        (root / "JPEGImages/480p" / name).mkdir(parents=True)
        still = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        for index in range(length):
            Image.fromarray(still).save(root / "JPEGImages/480p" / name / f"{index:05d}.jpg")
    (root / "ImageSets/2016").mkdir(parents=True)
    (root / "ImageSets/2016/val.txt").write_text("bear\ncows\n")
    return root


@pytest.fixture(scope="session")
def _on_davis(davis, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("on") / "mine"
    words = ["leaderboard", "evaluate", "builtin:heads4", "--suite", TRACK, "--data", str(davis), *SIZE]
    assert main([*words, "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def mine(_on_davis, tmp_path) -> Path:
    """A complete submission on whole clips, to be spoilt."""
    return Path(shutil.copytree(_on_davis, tmp_path / "mine"))


@pytest.fixture
def copy(davis, tmp_path) -> Path:
    """Somebody else's copy of the clips."""
    return Path(shutil.copytree(davis, tmp_path / "elsewhere"))


def verified(folder, *flags):
    status = main(["leaderboard", "verify", str(folder), *flags])
    return status, read_verification(folder / "verification.json")


def test_a_submission_on_whole_clips_is_verified_on_another_copy(mine, copy, tmp_path):
    told = (mine / "submission.yml").read_text() + (mine / "episodes.jsonl").read_text()
    assert "DAVIS" not in told
    assert read_submission(mine).size == {"num_frames": 0, "height": 48, "width": 64}
    episodes = [json.loads(line) for line in (mine / "episodes.jsonl").read_text().splitlines()]
    suite = suite_of(read_submission(mine), str(copy))
    assert [(one["clip"], one["digest"]) for one in episodes] == [(one.clip, one.digest) for one in suite.episodes]
    main(["leaderboard", "commit", str(tmp_path / "salt")])
    flags = ["--data", str(copy), "--salt-file", str(tmp_path / "salt"), "--held-out", "1"]
    status, found = verified(mine, *flags)
    assert (status, found["verdict"]) == (0, [])
    assert found["marks"] == {"replayed": True, "re_run": True, "held_out": False}
    assert any(line.startswith("no held-out episodes") for line in found["log"])


def test_another_copy_is_told_by_the_clip_that_differs(mine, copy):
    picture = copy / "JPEGImages/480p/cows/00001.jpg"
    Image.fromarray(np.full((48, 64, 3), 200, np.uint8)).save(picture)
    status, found = verified(mine, "--data", str(copy))
    assert (status, found["marks"]["replayed"]) == (2, False)
    assert "the episode of seed 1 has another clip or other pixels" in found["verdict"][0]
    assert "cows" in found["verdict"][0]


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("num_frames: 0", "num_frames: 3", "other pixels"),
        ("num_frames: 0", "num_frames: 10000", "num_frames up to"),
        ("  width: 64", "  width: 64.5", "size in"),
        ("  width: 64", "  depth: 64", "size in"),
        ("suite_digest: ", "suite_digest: f", "with digest f"),
        ("env_id: VideoInpaint-v1", "env_id: os:Env-v0", "does not ship"),
        (TRACK, "davis-2016-val-square-v1", "no suite"),
    ],
)
def test_what_a_submission_says_of_a_track_is_looked_at(mine, davis, old, new, verdict):
    text = (mine / "submission.yml").read_text()
    assert old in text
    (mine / "submission.yml").write_text(text.replace(old, new))
    status, found = verified(mine, "--data", str(davis))
    assert status == 2
    assert not any(found["marks"].values())
    assert len(found["verdict"]) == 1
    assert verdict in found["verdict"][0]


def test_a_track_needs_its_clips(mine, davis, tmp_path, capsys):
    status, found = verified(mine)
    assert status == 2
    assert "--data ROOT" in found["verdict"][0]
    words = ["leaderboard", "evaluate", "builtin:heads4", "--output", str(tmp_path / "new")]
    assert main([*words, "--suite", TRACK, *SIZE]) == 2
    assert main([*words, *SIZE]) == 2
    assert "leave sizes out" in capsys.readouterr().err
    other = ["leaderboard", "evaluate", "--suite", TRACK, "--data", str(davis), "--output", str(mine)]
    assert main([*other, "--num-frames", "3", *SIZE[2:]]) == 2
    assert "another size, suite_digest" in capsys.readouterr().err
    assert main(["leaderboard", "rank", str(mine)]) == 2
    assert "references" in capsys.readouterr().err
    with pytest.raises(InputError, match="no frozen suite"):
        suite_of(read_submission(mine), str(davis), tmp_path / "none.json")


def test_whoever_verifies_may_name_a_file_of_the_suite(mine, davis, tmp_path):
    file = tmp_path / "frozen.json"
    flags = Freeze(suite=TRACK, data=str(davis), env_id="VideoInpaint-v1", num_frames=0, height=48, width=64)
    file.write_text(json.dumps(freeze(flags)))
    submission = read_submission(mine)
    check_versions(submission, suite_of(submission, str(davis), file))
    file.write_text(file.read_text().replace(TRACK, "mine-v1"))
    status, found = verified(mine, "--data", str(davis), "--suite-file", str(file))
    assert status == 2
    assert "not for mine-v1" in found["verdict"][0]


@pytest.fixture
def own(davis, tmp_path) -> Path:
    """A suite of clips of one's own, frozen into a file."""
    file = tmp_path / "own-v1.json"
    clips = str(davis / "JPEGImages/480p")
    file.write_text(json.dumps(freeze(Freeze(suite="own-v1", data=clips, num_frames=3, height=48, width=64))))
    return file


def test_of_a_file_another_copy_is_told_by_its_clip_before_anything_is_played(own, mine, copy, tmp_path, capsys):
    clips = copy / "JPEGImages/480p"
    Image.fromarray(np.full((48, 64, 3), 200, np.uint8)).save(clips / "cows/00001.jpg")
    there = ["--suite", str(own), "--data", str(clips), "--output", str(tmp_path / "new")]
    assert main(["leaderboard", "evaluate", "builtin:heads4", *there]) == 2
    told = capsys.readouterr().err
    assert "(cows) has other pixels" in told
    assert "--data ROOT" in told
    assert not (tmp_path / "new").exists()
    status, found = verified(mine, "--data", str(clips), "--suite-file", str(own))
    assert (status, found["replayed"]) == (2, [])
    assert "(cows) has other pixels" in found["verdict"][0]


@pytest.mark.parametrize(
    ("text", "own_clips"),
    [
        ('{"suites": {"s-v1": {"E-v0": {"env_kwargs": {"clips": "{data}/x"}, "episodes": [[1, "a", "0"]]}}}}', True),
        ('{"suites": {"s-v1": {"E-v0": {"env_kwargs": {}, "episodes": [[1, "{data}", "0"]]}}}}', False),
        ('{"suites": {"{data}": {"E-v0": {"env_kwargs": {"clips": "studio"}, "episodes": []}}}}', False),
        ('{"suites": ["{data}"]}', False),
        ("{data}", False),
    ],
)
def test_clips_are_ones_own_where_the_environment_names_their_folder(text, own_clips, tmp_path):
    (tmp_path / "suite.json").write_text(text, encoding="utf-8")
    assert holds_own_clips(tmp_path / "suite.json") is own_clips
    assert not holds_own_clips(tmp_path / "none.json")


def test_clips_of_ones_own_have_no_board(own, mine, capsys):
    description = mine / "submission.yml"
    description.write_text(description.read_text().replace(TRACK, "own-v1"))
    assert main(["leaderboard", "rank", str(mine)]) == 2
    assert "--suite-file FILE" in capsys.readouterr().err
    assert main(["leaderboard", "rank", str(mine), "--suite-file", str(own)]) == 2
    told = capsys.readouterr().err
    assert "references" in told
    assert "--data" not in told, "rank takes none"
    with pytest.raises(SystemExit):
        main(["leaderboard", "rank", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "no file makes a board of them" in shown
