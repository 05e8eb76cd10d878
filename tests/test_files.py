"""Files appear whole or not at all, and nothing else is left."""

import json
import os
import stat

import pytest

from videoinpaint.files import Draft, write_atomically, write_bytes, write_json, write_text


def test_content_arrives_in_folders_that_are_made(tmp_path):
    path = tmp_path / "new" / "folder" / "note.txt"
    assert write_text(path, "ä\n") == path
    assert path.read_bytes() == "ä\n".encode()
    assert write_bytes(path, b"other").read_bytes() == b"other"
    assert json.loads(write_json(path, {"a": [1, None]}).read_text()) == {"a": [1, None]}
    assert [entry.name for entry in path.parent.iterdir()] == ["note.txt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = write_text(tmp_path / "a.json", "old")
    with write_atomically(path) as draft:
        assert draft.suffix == ".json"  # writers read the format from it
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("make", [lambda draft: draft.write_text("half"), lambda draft: draft.mkdir()])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path, make):
    path = write_text(tmp_path / "a.txt", "old")

    def fail():
        with write_atomically(path) as draft:
            make(draft)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a.txt", "old")]


def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    for content, error in (({"a": float("nan")}, ValueError), ({"a": object()}, TypeError)):
        with pytest.raises(error):
            write_json(tmp_path / "a.json", content)
    assert not list(tmp_path.iterdir())
    assert write_json(tmp_path / "a.json", {"a": object()}, default=lambda _: "named").read_text().count("named") == 1


def test_a_folder_replaces_a_folder(tmp_path):
    for content in ("one", "two"):
        with write_atomically(tmp_path / "step-1") as draft:
            draft.mkdir()
            (draft / content).write_text(content)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["step-1", os.path.join("step-1", "two")]


def test_others_may_read_it_as_far_as_the_umask_lets_them(tmp_path):
    before = os.umask(0o022)
    try:
        path = write_text(tmp_path / "a.txt", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_drafts_of_one_file_do_not_meet(tmp_path):
    one, two = Draft(tmp_path / "a.txt"), Draft(tmp_path / "a.txt")
    assert one.path != two.path
    one.path.write_text("one")
    two.discard()  # nothing was written: nothing to remove
    one.keep()
    one.discard()
    assert (tmp_path / "a.txt").read_text() == "one"
