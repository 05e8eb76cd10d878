"""What was measured is kept with the settings that it belongs to."""

from __future__ import annotations

import json

import pytest

from videoinpaint.benchmarks.papers.kept import Kept
from videoinpaint.errors import InputError

SETTINGS = {"suite": "one", "threads": 1, "policies": {"trained": "trained"}}
CLIP = {"digest": "d", "records": {}, "attributes": {}}


def test_records_come_back_in_another_process(tmp_path):
    Kept(tmp_path / "x", SETTINGS).save("easy one", 3, CLIP | {"records": {"row": {"psnr": 1.5}}})
    again = Kept(tmp_path / "x", dict(reversed(SETTINGS.items())))
    assert again.load("easy one", 3, "d")["records"] == {"row": {"psnr": 1.5}}
    assert again.load("easy one", 4, "d") == {}
    assert again.load("", 3, "d") == {}


@pytest.mark.parametrize(
    "changed",
    [{"suite": "two"}, {"threads": 2}, {"policies": {"trained": "sha256:0"}}, {"policies": {}}, {"steps": 3}],
)
def test_other_settings_are_refused_by_name(tmp_path, changed):
    Kept(tmp_path / "x", SETTINGS).save("", 0, CLIP)
    with pytest.raises(InputError, match=next(iter(changed))):
        Kept(tmp_path / "x", SETTINGS | changed)


def test_a_setting_that_is_gone_is_refused(tmp_path):
    Kept(tmp_path / "x", SETTINGS | {"steps": 3}).save("", 0, CLIP)
    with pytest.raises(InputError, match="steps"):
        Kept(tmp_path / "x", SETTINGS)


def test_other_pixels_are_refused(tmp_path):
    kept = Kept(tmp_path / "x", SETTINGS)
    kept.save("", 0, CLIP)
    with pytest.raises(InputError, match="other pixels"):
        kept.load("", 0, "e")


@pytest.mark.parametrize("content", ["{", "[]", '{"digest": "d"}', '{"digest": "d", "records": 3}'])
def test_damaged_records_are_refused_and_not_measured_over(tmp_path, content):
    kept = Kept(tmp_path / "x", SETTINGS)
    kept.save("", 0, CLIP)
    kept.path("", 0).write_text(content)
    with pytest.raises(InputError, match=r"all-000000\.json.*remove it, and the clip is measured again"):
        kept.load("", 0, "d")


@pytest.mark.parametrize("content", ['{"suite": "two"}', "{"])
def test_settings_without_a_finished_clip_give_way(tmp_path, content):
    Kept(tmp_path / "x", SETTINGS)
    path = tmp_path / "x" / "settings.json"
    path.write_text(content)
    Kept(tmp_path / "x", SETTINGS)
    assert json.loads(path.read_text()) == SETTINGS


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="no experiment"):
        Kept(tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
