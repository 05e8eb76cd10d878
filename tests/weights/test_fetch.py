"""`weights fetch`: downloads that resume, are checked, and appear whole or not at all."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading

import pytest
import torch

from videoinpaint import weights
from videoinpaint.errors import CorruptWeightsError, MissingWeightsError
from videoinpaint.weights import (
    WeightEntry,
    download,
    fetching,
    load_safetensors,
    path_of,
    save_safetensors,
)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file as HTTP wants it; if told to, hangs up after `cut` bytes of an answer, or answers otherwise."""

    content, cut, ranges, version, answer = b"", 0, [], '"1"', None  # type: ignore[var-annotated]

    def do_GET(self):
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        Server.ranges.append(start)
        if start and self.headers.get("If-Range") != Server.version:
            start = 0
        content, status = self.content, 206 if start else 200
        if start >= len(content):
            content, status, start = b"", 416, 0
        if Server.answer is not None:
            status, start, content = Server.answer(start, content)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) - start))
        if Server.version:
            self.send_header("ETag", Server.version)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        stop = start + Server.cut if Server.cut else len(content)
        Server.cut = 0
        self.wfile.write(content[start:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A registered entry whose file stands on a local server."""
    file = save_safetensors(tmp_path / "served.safetensors", {"a": torch.rand(700_000)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.content, Server.cut, Server.ranges, Server.version, Server.answer = file.read_bytes(), 0, [], '"1"', None
    digest = hashlib.sha256(Server.content).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/x"
    weights.register(WeightEntry("served", "s.safetensors", "test", "MIT", url=url, sha256=digest))
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("served")
def test_fetch_downloads_once_whole_and_verified(cache):
    path = weights.fetch("served", progress=False)
    assert path == cache / "s.safetensors" == weights.verify("served")
    assert weights.fetch("served") == path
    assert Server.ranges == [0]
    assert os.listdir(cache) == ["s.safetensors"]


@pytest.mark.usefixtures("served")
def test_an_interrupted_download_resumes(cache):
    Server.cut = 2_000_000
    with pytest.raises(MissingWeightsError, match="weights fetch served"):
        weights.fetch("served", progress=False)
    assert not (cache / "s.safetensors").exists()
    weights.fetch("served", progress=False)
    assert Server.ranges[0] == 0
    assert Server.ranges[1] > 0
    weights.verify("served")


HALF = 2 * download.CHUNK


def interrupt(name="served"):
    """Half of the served file arrives."""
    Server.cut = HALF
    with pytest.raises(MissingWeightsError, match=f"weights fetch {name}"):
        weights.fetch(name, progress=False)


@pytest.fixture
def unknown(served):
    """The served file under a name of which no hash is known."""
    weights.register(WeightEntry("unknown", "u.safetensors", "test", "MIT", url=weights.WEIGHTS["served"].url))
    return "unknown"


def replaced():
    """The server has another file now, of the same length."""
    Server.content = Server.content[:-4_000] + bytes(4_000)
    Server.version = '"2"'


@pytest.mark.parametrize("version", ['"1"', 'W/"1"', ""])
def test_a_file_that_changed_between_two_tries_is_fetched_anew(unknown, version):
    Server.version = version
    interrupt(unknown)
    replaced()
    path = weights.fetch(unknown, progress=False)
    assert path.read_bytes() == Server.content
    assert Server.ranges[1:] in ([0], [HALF])
    weights.verify(unknown)


@pytest.mark.parametrize("junk", [b"junk", bytes(5_000_000)])
@pytest.mark.parametrize("noted", [False, True])
def test_what_somebody_left_in_a_part_is_not_believed(cache, unknown, junk, noted):
    if noted:  # the interruption is real, and then the disk loses what was written
        interrupt(unknown)
    cache.mkdir(exist_ok=True, parents=True)
    (cache / "u.safetensors.part").write_bytes(junk)
    assert weights.fetch(unknown, progress=False).read_bytes() == Server.content
    assert sorted(os.listdir(cache)) == ["u.safetensors", "u.safetensors.sha256"]


def test_more_in_a_part_than_was_noted_is_cut_off(cache, unknown):
    """As a kill leaves it."""
    interrupt(unknown)
    with (cache / "u.safetensors.part").open("ab") as file:
        file.write(b"junk")
    assert weights.fetch(unknown, progress=False).read_bytes() == Server.content
    assert Server.ranges == [0, HALF]


def test_a_link_in_place_of_a_part_is_not_followed(cache, unknown, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    cache.mkdir(parents=True)
    (cache / "u.safetensors.part").symlink_to(victim)
    weights.fetch(unknown, progress=False)
    assert victim.read_bytes() == b"mine"


ANSWERS = {
    "416": lambda start, content: (416, 0, b"") if start else (200, 0, content),
    "another range": lambda start, content: (206, 1, content) if start else (200, 0, content),
    "all of it": lambda start, content: (200, 0, content),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_does_not_go_on_begins_anew(unknown, answer):
    interrupt(unknown)
    Server.answer = ANSWERS[answer]
    assert weights.fetch(unknown, progress=False).read_bytes() == Server.content
    weights.verify(unknown)


def test_a_server_that_fails_for_a_while_costs_nothing(unknown):
    interrupt(unknown)
    Server.answer = lambda start, content: (503, 0, b"")
    with pytest.raises(MissingWeightsError, match="503"):
        weights.fetch(unknown, progress=False)
    Server.answer = None
    weights.fetch(unknown, progress=False)
    assert Server.ranges == [0, HALF, HALF]


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-50], lambda c: b"", lambda c: c[:-4] + b"\xff" * 4, lambda c: b"x" * 99]
)
def test_nothing_is_recorded_of_what_cannot_be_loaded(cache, unknown, damage):
    """Cut off with a length that says so, empty, a NaN at the end, something else."""
    Server.content = damage(Server.content)
    with pytest.raises(CorruptWeightsError, match=r"deleted"):
        weights.fetch(unknown, progress=False)
    assert os.listdir(cache) == []


def test_two_that_fetch_at_once_do_it_once(cache, unknown):
    code = (
        "from videoinpaint import weights; from videoinpaint.weights import WeightEntry, download, fetch, register\n"
        f"register(WeightEntry('unknown', 'u.safetensors', 'test', 'MIT', url={weights.WEIGHTS['served'].url!r}))\n"
        "print(fetch('unknown', progress=False))"
    )
    two = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "ab"]
    assert [process.communicate(timeout=120)[0].strip() for process in two] == [bytes(cache / "u.safetensors")] * 2
    assert Server.ranges == [0]
    assert (cache / "u.safetensors").read_bytes() == Server.content


@pytest.mark.usefixtures("served")
def test_a_download_with_another_hash_is_deleted(cache):
    Server.content = Server.content[:-4] + b"\0\0\0\0"
    with pytest.raises(CorruptWeightsError, match="sha256"):
        weights.fetch("served", progress=False)
    assert os.listdir(cache) == []


def test_what_cannot_be_downloaded_says_so(monkeypatch):
    monkeypatch.setattr("videoinpaint.weights.lookup._in_package", lambda module, inner: None)
    with pytest.raises(MissingWeightsError, match="reinstall"):
        weights.fetch("detector-compact")


@pytest.mark.usefixtures("served")
def test_without_a_known_hash_the_first_one_is_recorded_and_holds(cache):
    entry = weights.WEIGHTS["served"]
    weights.register(WeightEntry("part", "part.safetensors", "test", "MIT", url=entry.url))
    weights.register(WeightEntry("whole", "whole.safetensors", "test", "MIT", url=entry.url, parts=("part",)))
    path = weights.fetch("whole", progress=False)
    names = ("part.safetensors", "whole.safetensors")
    assert sorted(os.listdir(cache)) == sorted([*names, *(f"{name}.sha256" for name in names)])
    assert weights.verify("whole") == path
    save_safetensors(path, {"a": torch.zeros(3)})  # somebody changes the file
    for read in (weights.verify, load_safetensors):
        with pytest.raises(CorruptWeightsError, match="was recorded when it was fetched"):
            read("whole")
    load_safetensors("part")


@pytest.mark.usefixtures("cache", "unknown")
@pytest.mark.parametrize("record", [b"", b" \n", b"\xff\xfe"])
def test_a_recorded_hash_that_was_lost_is_no_hash(record):
    path = weights.fetch("unknown", progress=False)
    path.with_name(f"{path.name}.sha256").write_bytes(record)
    with pytest.raises(CorruptWeightsError, match="was recorded when it was fetched"):
        load_safetensors("unknown")


@pytest.mark.usefixtures("served")
def test_a_web_page_is_no_weight_file(cache):
    Server.content = b"\n<!DOCTYPE html><html>Too many users have viewed this file</html>"
    weights.register(WeightEntry("drive", "d.pth", "test", "MIT", url=weights.WEIGHTS["served"].url, remedy="by hand"))
    with pytest.raises(MissingWeightsError, match=r"web page.*by hand"):
        weights.fetch("drive", progress=False)
    assert os.listdir(cache) == []


def test_shared_drives_are_asked_for_the_file_itself():
    url = fetching._resolve("https://drive.google.com/file/d/1ZAM-V8_5/view?usp=sharing")
    assert url == "https://drive.usercontent.google.com/download?id=1ZAM-V8_5&export=download&confirm=t"
    assert fetching._resolve("https://example.org/a.pth") == "https://example.org/a.pth"


def test_every_remedy_names_a_command_and_the_folder(cache):
    assert weights.WEIGHTS["propainter"].parts == ("propainter-flow-completion", "propainter-raft")
    with pytest.raises(MissingWeightsError, match=r"weights fetch propainter`") as caught:
        path_of("propainter-raft")
    assert str(cache) in str(caught.value)
