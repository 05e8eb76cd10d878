"""Files appear whole or not at all, and nothing else is left."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from videoinpaint.drafts import ABANDONED, draft_name, remove_stale_within
from videoinpaint.errors import InputError
from videoinpaint.files import (
    Draft,
    check_place,
    locked,
    read_json,
    write_atomically,
    write_bytes,
    write_json,
    write_text,
)


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


@pytest.mark.parametrize("folder", [False, True])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path, folder):
    path = write_text(tmp_path / "a.txt", "old")

    def fail():
        with write_atomically(path, folder=folder) as draft:
            (draft / "half" if folder else draft).write_text("half")
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
        with write_atomically(tmp_path / "step-1", folder=True) as draft:
            (draft / content).write_text(content)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["step-1", os.path.join("step-1", "two")]


@pytest.mark.parametrize("write", [lambda path: write_json(path, {}), lambda path: write_bytes(path, b"")])
def test_a_file_never_replaces_a_folder(tmp_path, write):
    """Not even where the folder came while the file was being written."""
    write_text(tmp_path / "mine" / "thesis.txt", "years of work")
    with pytest.raises(InputError, match=r"mine: it is a folder; name a file"):
        write(tmp_path / "mine")
    draft = Draft(tmp_path / "mine")
    draft.create()
    with pytest.raises(InputError, match=r"mine: it is a folder; name a file"):
        draft.keep()
    draft.discard()
    found = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))]
    assert found == ["mine", os.path.join("mine", "thesis.txt")]


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


def test_a_draft_is_made_where_nothing_was_and_follows_no_link(tmp_path, monkeypatch):
    """Also not where somebody could guess its name."""
    victim = write_text(tmp_path / "victim", "mine")
    monkeypatch.setattr("videoinpaint.drafts.uuid.uuid4", lambda: type("", (), {"hex": "0" * 32}))
    for planted in (lambda path: path.symlink_to(victim), lambda path: path.write_text("theirs")):
        draft = Draft(tmp_path / "r.html")
        planted(draft.path)
        with pytest.raises(FileExistsError):
            draft.create()
        with pytest.raises(InputError, match=r"cannot write .*r\.html"):
            write_text(tmp_path / "r.html", "new")
    assert victim.read_text() == "mine"


def test_a_draft_names_the_process_that_writes(tmp_path):
    assert Draft(tmp_path / "a.b.mkv").path.name.startswith(".a.b.h")
    assert Draft(tmp_path / "a.b.mkv").path.name.split(".")[4] == str(os.getpid())
    assert Draft(tmp_path / "a.b.mkv").path.name.endswith(".part.mkv")


@pytest.mark.parametrize("stem", ["x" * 250, "ä" * 125])
def test_the_longest_name_that_a_disk_takes_can_be_written(tmp_path, stem):
    assert write_text(tmp_path / f"{stem}.txt", "a").read_text() == "a"


@pytest.mark.parametrize("name", ["x" * 300, "file/inside"])
def test_what_the_disk_refuses_is_one_line(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write") as caught:
        write_text(tmp_path / name, "")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    path = write_text(tmp_path / "a.txt", "old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("videoinpaint.files.os.replace", full)
    with pytest.raises(InputError, match=r"a\.txt: No space left on device"):
        write_text(path, "new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a.txt", "old")]


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff\xfe{", b"[" * 100_000, b'{"a": ' * 50_000, b"", b"null"])
def test_json_that_is_none_or_another_is_one_line(tmp_path, content):
    path = write_bytes(tmp_path / "run.json", content)
    with pytest.raises(InputError, match=r"run\.json.* a run"):
        read_json(path, "a run")
    with pytest.raises(InputError, match=r"none\.json"):
        read_json(tmp_path / "none.json", "a run")
    assert read_json(write_text(path, '{"a": 1}'), "a run") == {"a": 1}


def test_a_lock_holds_off_another_process_and_ends_with_its_own(tmp_path):
    code = (
        "import sys, time; from videoinpaint.files import locked\n"
        "with locked(sys.argv[1], 'taken'): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="taken"), locked(tmp_path, "taken"):
            pass
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    with locked(tmp_path, "taken"):
        assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def ended():
    """The number of a process that runs no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def named(target, process, place=None):
    """A draft's name as that of another process; `place` None: of this machine, "": as in 0.1.0, which named none."""
    own = draft_name(target)
    here = own.split(f".{os.getpid()}.")[0].rpartition(".")[2]
    renamed = own.replace(f".{os.getpid()}.", f".{process}.")
    return renamed if place is None else renamed.replace(f".{here}.", f".{place}." if place else ".")


def age(path, seconds):
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_drafts_of_dead_processes_alone_are_removed(tmp_path, ended):
    one, other = tmp_path / "a.b.txt", tmp_path / "a"
    stale = [tmp_path / named(one, ended), tmp_path / named(other, ended)]
    stale[1].mkdir()
    others = [
        tmp_path / named(one, os.getpid()),  # of a process that runs
        tmp_path / named(tmp_path / "c.txt", ended),  # of another file
        tmp_path / f".a.b.{ended}.part.txt",  # no name that this package gives
        tmp_path / named(one, ended)[1:],
    ]
    for path in (stale[0], *others):
        path.touch()
        age(path, 2 * ABANDONED)  # that process may be slow
    check_place(one)
    check_place(other)
    assert not any(path.exists() for path in stale)
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_all_drafts_of_dead_processes_in_a_folder_of_ones_own_are_removed(tmp_path, ended):
    (tmp_path / named(tmp_path / "step-000000016", ended)).mkdir()
    (tmp_path / named(tmp_path / "policy.safetensors", ended)).touch()
    name = named(tmp_path / "a.txt", ended)
    kept = [named(tmp_path / "a.txt", os.getpid()), f".a.{ended}.part.txt", name[1:], f"{name}.old"]
    for other in kept:
        (tmp_path / other).touch()
    remove_stale_within(tmp_path)
    remove_stale_within(tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize("place", ["h0123456789", ""])
def test_drafts_of_other_machines_stay_until_nobody_has_written_to_them_for_a_day(tmp_path, ended, place):
    one, folder = tmp_path / "a.b.txt", tmp_path / "run"
    file, within = tmp_path / named(one, ended, place), tmp_path / named(folder, ended, place)
    running = tmp_path / named(one, os.getpid(), place)  # a number that runs here is no sign of life there
    (within / "deep").mkdir(parents=True)
    (within / "deep" / "grows.bin").touch()
    for path in (file, running):
        path.touch()
    for path in (within / "deep", within):
        age(path, 2 * ABANDONED)
    for clean in (lambda: [check_place(path) for path in (one, folder)], lambda: remove_stale_within(tmp_path)):
        clean()
        assert sorted(tmp_path.iterdir()) == sorted([file, running, within])
    for path in (file, running, within / "deep" / "grows.bin"):
        age(path, 2 * ABANDONED)
    check_place(one)
    assert list(tmp_path.iterdir()) == [within]
    remove_stale_within(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's")
def test_another_count_of_processes_is_another_place(tmp_path):
    script = (
        "import sys; from videoinpaint.drafts import draft_name; from pathlib import Path; print(draft_name(Path('a')))"
    )
    own, again = (
        subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True).stdout for _ in "ab"
    )
    assert own.split(".")[2] == again.split(".")[2] == draft_name(tmp_path / "a").split(".")[2]
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--mount-proc", "--fork"]
    try:
        apart = subprocess.run([*unshare, sys.executable, "-c", script], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if apart.returncode:
        pytest.skip(f"no namespaces here: {apart.stderr.strip()}")
    assert apart.stdout.split(".")[2] != own.split(".")[2]


def test_drafts_of_the_longest_names_are_known_again(tmp_path, monkeypatch, ended):
    target = tmp_path / ("ä" * 120 + ".mkv")
    with monkeypatch.context() as patched:
        patched.setattr("videoinpaint.drafts.os.getpid", lambda: ended)
        stale = Draft(target).path.name
    for name in (stale, Draft(tmp_path / ("ö" * 120 + ".mkv")).path.name):
        (tmp_path / name).touch()
    check_place(target)
    assert [path.name[1] for path in tmp_path.iterdir()] == ["ö"]


def test_places_that_take_no_file(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="cannot write"):
            check_place(path)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_folder_is_replaced_whole_though_its_removal_is_interrupted(tmp_path, monkeypatch):
    def write(text):
        with write_atomically(tmp_path / "kept", folder=True) as draft:
            for name in ("a.txt", "b.txt"):
                (draft / name).write_text(text)

    def interrupted(path, **_):
        next(iter(path.iterdir())).unlink()
        raise KeyboardInterrupt

    write("old")
    write("new")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    monkeypatch.setattr("shutil.rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write("newest")
    found = {path.name: path.read_text() for path in (tmp_path / "kept").iterdir()}
    assert found == {"a.txt": "newest", "b.txt": "newest"}
