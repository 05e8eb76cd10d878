"""Running networks against fixtures: the weight rule, slicing, layouts, and networks that have not changed.

What holds the claims lies in ``data/parity``. The larger official fixtures lie beside the repository, where they do:
tests of them are additions, and VIDEOINPAINT_HEAVY=1 asks for those that take long.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from videoinpaint import testing
from videoinpaint.detectors.focal.hrnet import HRNetExtractor
from videoinpaint.detectors.focal.vit import ViTConfig, ViTExtractor
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.inpainters.published.dstt import DSTT
from videoinpaint.inpainters.published.e2fgvi.network import E2FGVI
from videoinpaint.inpainters.published.fuseformer import FuseFormer
from videoinpaint.inpainters.published.propainter.completion import FlowCompletion
from videoinpaint.inpainters.published.propainter.network import ProPainter
from videoinpaint.inpainters.published.propainter.raft import RAFT
from videoinpaint.inpainters.published.sttn import STTN
from videoinpaint.metrics.i3d import I3D
from videoinpaint.testing.parity import fixtures as parity
from videoinpaint.testing.parity.fixtures import (
    GeneratedWeights,
    compare,
    cut,
    generate_tensor,
    run_parity,
)

STORED = Path(__file__).parents[1] / "data" / "parity"
OFFICIAL = Path(__file__).parents[3] / "shared" / "parity"
official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official fixtures are not here")
heavy = pytest.mark.skipif(
    os.environ.get("VIDEOINPAINT_HEAVY") != "1", reason="10 seconds or 1.2 GB of weights: set VIDEOINPAINT_HEAVY=1"
)
HEAVY = {"sttn", "dstt", "fuseformer", "e2fgvi", "focal_vit"}
TINY = ViTConfig(320, width=128, depth=4, heads=4, global_blocks=(1, 3), channels=64, complete=False)
NETWORKS = {
    "sttn": STTN,
    "dstt": DSTT,
    "fuseformer": FuseFormer,
    "e2fgvi": lambda: E2FGVI(hq=False),
    "e2fgvi_hq": lambda: E2FGVI(hq=True),
    "raft": RAFT,
    "propainter_flow_completion": FlowCompletion,
    "propainter": ProPainter,
    "focal_hrnet": HRNetExtractor,
    "focal_vit": ViTExtractor,
    "focal_vit_tiny": lambda: ViTExtractor(TINY),
    "i3d": I3D,
}


def layouts() -> dict[str, list]:
    """``[name, shape, dtype]`` of every tensor of the official checkpoints, by network."""
    return json.loads(gzip.decompress((STORED / "layouts.json.gz").read_bytes()))


@pytest.mark.parametrize(("key", "shape", "gain", "first", "rms"), [
    ("transformer.0.attention.query_embedding.weight", (512, 512), 1.0, [-0.006919154, 0.08748087], 0.04431656),
    ("transformer.0.attention.query_embedding.weight", (256, 256, 1, 1), 0.85, [-0.008317389, 0.1051591], 0.05309229),
    ("fnet.conv1.weight", (64, 3, 7, 7), 1.0, [-0.1270739, -0.04536751], 0.08210869),
])  # fmt: skip
def test_weights_follow_from_their_names(key, shape, gain, first, rms):
    made = generate_tensor(key, shape, gain)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made.flat[:2], first, rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.mean(made.astype(float) ** 2)), rms, rtol=1e-6)


def test_one_dimensional_tensors_and_buffers_follow_their_own_rules():
    layer = GeneratedWeights(gain=3.0)(nn.Sequential(nn.Linear(6, 400), nn.BatchNorm1d(400)))
    assert not layer.training
    assert not any(p.requires_grad for p in layer.parameters())
    state = layer.state_dict()
    assert abs(float(state["1.weight"].mean()) - 1) < 0.03
    assert abs(float(state["0.bias"].mean())) < 0.03
    assert float(state["1.running_var"].min()) >= 1
    assert abs(float(state["1.running_mean"].std()) - 0.1) < 0.02
    assert abs(float(state["0.weight"].std()) * 6**0.5 - 3) < 0.2
    assert state["1.num_batches_tracked"] == 0


def test_slicing_is_read_and_otherwise_inferred():
    full = np.arange(4 * 12 * 30).reshape(4, 12, 30)
    assert np.array_equal(cut(full, full[:, ::4, ::3], "[:, ::4, ::3]"), full[:, ::4, ::3])
    assert np.array_equal(cut(full, full, "none (complete)"), full)
    assert np.array_equal(cut(full, full[1], "[1]"), full[1])
    assert np.array_equal(cut(full, full[..., ::7], "[:, ::4, ::3]"), full[..., ::7])  # another size: inferred
    with pytest.raises(InputError, match="shape"):
        cut(full, np.zeros((5, 12, 30)), "")


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A network `sttn` that doubles its frames, and a fixture of it."""
    room = types.ModuleType("toy_room")
    room.parity = (
        lambda inputs, weights: {  # type: ignore[attr-defined]
            "output": weights(nn.Conv2d(1, 1, 1))(inputs["frames"][0, :, :1]) * 0 + 2 * inputs["frames"][0, :, :1]
        }
    )
    monkeypatch.setitem(sys.modules, "toy_room", room)
    monkeypatch.setitem(parity.PARITY, "sttn", "toy_room:parity")
    frames = np.random.default_rng(0).random((1, 2, 1, 10, 15), np.float32)
    arrays = {"frames": frames, "masks": frames, "output": 2 * frames[0, ..., ::5, ::5]}
    np.savez(tmp_path / "any.npz", **arrays)
    return tmp_path / "any.npz", arrays


def test_errors_are_measured(toy):
    path, arrays = toy
    assert run_parity("sttn", path) == {"output": 0}
    assert testing.run_parity is run_parity
    arrays["output"] = arrays["output"].copy()
    arrays["output"][0, 0, 0, 0] += 0.25
    np.savez(path, **arrays)
    agreement = compare("sttn", path)["output"]
    assert agreement.max_abs == pytest.approx(0.25)
    assert agreement.rms == pytest.approx(0.25 / arrays["output"].size ** 0.5)
    assert not agreement.within


def test_a_json_beside_the_fixture_goes_first(toy):
    path, arrays = toy
    np.savez(path, **{**arrays, "output": 2 * arrays["frames"][0, :, :, 1::3]})
    tolerance = {"max_abs": 0.5, "rms": 0.5}
    spec = {"gain": 2.0, "outputs": [{"name": "output", "slicing": "[:, :, 1::3]", "tolerance": tolerance}]}
    path.with_suffix(".json").write_text(json.dumps(spec))
    agreement = compare("sttn", path)["output"]
    assert agreement.max_abs == 0
    assert agreement.limits == (0.5, 0.5)
    assert agreement.within


def test_bad_calls_say_what_is_wrong(toy, tmp_path):
    path, arrays = toy
    with pytest.raises(UnknownNameError, match="propainter"):
        run_parity("sttm", path)
    with pytest.raises(InputError, match=r"nowhere\.npz"):
        run_parity("sttn", tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="cannot be read"):
        run_parity("sttn", tmp_path / "text.npz")
    np.savez(path, masks=arrays["masks"], output=arrays["output"])
    with pytest.raises(InputError, match="lacks the input 'frames'"):
        run_parity("sttn", path)
    np.savez(path, **arrays, output_frame1=arrays["output"])
    with pytest.raises(InputError, match="no output 'output_frame1'"):
        run_parity("sttn", path)


@pytest.mark.parametrize("name", parity.PARITY)
def test_official_checkpoints_would_load_strictly(name):
    with torch.device("meta"):  # names and shapes without a byte of weights
        network = NETWORKS[name]()
    ours = {
        key: [list(value.shape), str(value.dtype).removeprefix("torch.")] for key, value in network.state_dict().items()
    }
    assert ours == {key: [shape, dtype] for key, shape, dtype in layouts()[name]}


def test_every_network_has_stored_numbers():
    assert {path.stem for path in STORED.glob("*.npz")} == set(parity.PARITY) - {"focal_vit"}  # its size


@pytest.mark.parametrize("path", sorted(STORED.glob("*.npz")), ids=lambda path: path.stem)
def test_networks_give_what_they_gave_when_they_matched_the_official_fixtures(path):
    agreements = compare(path.stem, path)
    assert agreements.keys() == {key for key in parity._known(path.stem)["outputs"] if not key.startswith("mid_")}
    # Limits of the official fixtures; random inputs of other sizes stay within a few times as much.
    assert all(a.limits is not None and a.max_abs <= 5 * a.limits[0] for a in agreements.values())


@official
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=heavy if name in HEAVY else ()) for name in parity.PARITY],
)
def test_numbers_equal_the_official_fixtures(name):
    agreements = compare(name, OFFICIAL / f"{name}.npz")
    assert agreements.keys() == parity._known(name)["outputs"].keys()
    assert {output: a for output, a in agreements.items() if not a.within} == {}


@official
def test_the_shipped_table_agrees_with_the_official_fixtures():
    for name in parity.PARITY:
        stated = json.loads((OFFICIAL / f"{name}.json").read_text())
        known = parity._known(name)
        assert layouts()[name] == stated["state_dict"]
        assert known["gain"] == stated["gain"]
        assert known["inputs"] == [entry["name"] for entry in stated["inputs"]]
        for output in stated["outputs"]:
            assert known["outputs"][output["name"]]["max_abs"] == output["tolerance"]["max_abs"]


def test_no_weights_change_between_builds():
    one, other = (GeneratedWeights()(nn.Conv2d(2, 3, 3)) for _ in range(2))
    assert torch.equal(one.weight, other.weight)
