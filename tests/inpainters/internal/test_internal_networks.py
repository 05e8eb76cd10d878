"""IIVI's networks, and its losses on cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from videoinpaint.inpainters.internal import losses
from videoinpaint.inpainters.internal.layers import GatedConv, mirrored
from videoinpaint.inpainters.internal.networks import ARCHS, InternalNetwork, parameter_count
from videoinpaint.metrics.backbone import get_backbone


@pytest.mark.parametrize(
    ("arch", "count", "encoders"),
    [("base", 1_629_663, 1), ("stacked", 3_259_326, 2), ("coarse-to-fine", 4_405_998, 3)],
)
def test_networks_have_the_published_size_where_half_of_the_channels_are_gates(arch, count, encoders):
    """Added up by hand from Appendix A.1: out_c channels after in_c need k^2 (in_c / 2) out_c weights, out_c biases.

    Every encoder has a channel more than the publication's, with 48 kernels of 5 x 5.
    """
    assert parameter_count(InternalNetwork(arch)) == count + encoders * 48 * 25


def test_the_base_network_is_the_printed_list():
    printed = [(48, 5, 1, 1), (96, 3, 2, 1), (96, 3, 1, 1), (192, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1)]
    printed += [(192, 3, 1, d) for d in (2, 4, 8, 16, 1, 1)] + [(96, 3, 1, 1), (96, 3, 1, 1), (48, 3, 1, 1)]
    printed += [(24, 3, 1, 1), (3, 1, 1, 1)]
    convolutions = [m for m in InternalNetwork("base").modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size[0], c.stride[0], c.dilation[0]) for c in convolutions] == printed


def test_a_gate_that_is_shut_lets_nothing_through():
    block = GatedConv(2, 6)
    with torch.no_grad():
        block.conv.bias[3:] = torch.tensor([-100.0, 100.0, 0.0])
        block.conv.bias[:3] = torch.tensor([2.0, -1.0, 2.0])
        block.conv.weight.zero_()
    out = block(torch.rand(1, 2, 5, 5))[0, :, 2, 2]
    assert out.tolist() == pytest.approx([0, np.exp(-1) - 1, 1], abs=1e-6)


def test_mirroring_goes_on_beyond_the_picture():
    line = torch.tensor([0.0, 1, 2]).expand(1, 1, 3, 3)
    assert mirrored(line, 5)[0, 0, 0].tolist() == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert mirrored(torch.rand(1, 1, 1, 4), 3).shape == (1, 1, 7, 10)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("size", [(16, 16), (17, 30), (41, 50)])
def test_any_size_passes_and_lies_in_the_range(arch, size):
    network = InternalNetwork(arch, 0.1)
    results = network(torch.rand(2, 3, *size) * 2 - 1, torch.ones(2, 1, *size), torch.ones(2, 1, *size))
    assert [tuple(r.shape) for r in results] == [(2, 3, *size)] * (1 if arch == "base" else 2)
    assert all(r.abs().max() < 1 for r in results)


def test_the_signal_survives_seventeen_gated_layers():
    torch.manual_seed(0)
    network = InternalNetwork("base")
    frames = torch.rand(2, 3, 48, 48) * 2 - 1
    outputs = network(frames, *torch.zeros(2, 2, 1, 48, 48))[0].detach()
    assert outputs.std() > 0.01


def test_flops_are_those_of_the_convolutions():
    network, counted = InternalNetwork("coarse-to-fine", 0.2), []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, _, out: counted.append(2 * out[0, 0].numel() * m.weight.numel()))
    network(torch.rand(1, 3, 38, 50), *torch.zeros(2, 1, 1, 38, 50))
    assert network.flops(38, 50) == pytest.approx(sum(counted))


def test_reconstruction_looks_at_known_pixels_alone(scene):
    frames, holes = scene
    wrong_inside = frames + holes
    assert losses.reconstruction([wrong_inside], frames, holes) == 0
    assert losses.reconstruction([frames + 0.25, frames + 0.5], frames, holes) == pytest.approx(0.75, abs=1e-5)
    half = torch.zeros_like(holes)
    half[..., :20, :] = 1
    top_wrong = frames + 0.5 * half
    plain = losses.reconstruction([top_wrong], frames, torch.zeros_like(holes))
    focused = losses.reconstruction([top_wrong], frames, torch.zeros_like(holes), 1 + 3 * half)
    assert (float(plain), float(focused)) == pytest.approx((0.25, 0.4), abs=1e-5)


def test_ambiguity_finds_the_same_texture_elsewhere_and_has_gradients_to_the_output():
    backbone = get_backbone("alex")
    rng = torch.Generator().manual_seed(0)
    sharp = torch.rand(1, 3, 64, 64, generator=rng)
    nothing = torch.zeros(1, 1, 64, 64)
    blurred = torch.nn.functional.avg_pool2d(sharp, 9, 1, 4).requires_grad_()
    same = losses.ambiguity(sharp.flip(-1).flip(-1), sharp, nothing, backbone)
    shifted = losses.ambiguity(sharp.roll(16, -1), sharp, nothing, backbone)
    blurry = losses.ambiguity(blurred, sharp, nothing, backbone)
    assert same < 1e-5
    assert same < shifted < blurry
    blurry.backward()
    assert blurred.grad is not None
    assert blurred.grad.abs().sum() > 0
    assert losses.ambiguity(blurred.detach(), sharp, torch.ones_like(nothing), backbone) < 1e-5


def test_the_nearest_feature_is_found_in_parts_as_at_once(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    made, other = torch.rand(2, 2, 3, 64, 48, generator=rng)
    none, backbone = torch.zeros(2, 1, 64, 48), get_backbone("alex")
    made.requires_grad_()
    found = []
    for pairs in (2**24, 100):
        monkeypatch.setattr(losses, "PAIRS", pairs)
        made.grad = None
        losses.ambiguity(made, other, none, backbone).backward()
        found.append(made.grad)
    assert (found[0] - found[1]).abs().max() < 1e-7
    assert found[0].flatten(1).abs().sum(1).min() > 0  # every frame of the batch counts
    each = [losses.ambiguity(made[i : i + 1].detach(), other[i : i + 1], none[:1], backbone) for i in range(2)]
    assert float(losses.ambiguity(made.detach(), other, none, backbone)) == pytest.approx(
        float(sum(each)) / 2, rel=1e-5
    )


def test_stabilisation_forgives_changes_that_follow_the_input(scene):
    frames, holes = scene
    none = torch.zeros_like(holes)
    assert losses.stabilisation([frames * 0.9], [frames * 0.9 + 0.1], frames, frames + 0.1, none) < 1e-6
    flicker = losses.stabilisation([frames], [frames + 0.3], frames, frames, none)
    assert float(flicker) == pytest.approx(0.3, abs=1e-5)
    assert losses.stabilisation([frames], [frames + holes], frames, frames, holes) == 0


def test_changes_stay_within_the_published_ranges():
    rng = np.random.default_rng(0)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    blurs = set()
    for _ in range(40):
        change = losses.draw_change(rng, 2, 64, 96)
        blurs.add(change.blur)
        assert ((change.gain >= 0.95) & (change.gain <= 1.05)).all()
        still = losses.Change(change.matrix, torch.ones_like(change.gain), 0)
        where = still._warped(torch.stack([columns, rows]).expand(2, -1, -1, -1))
        centre = where[:, :, 31:33, 47:49].mean((2, 3)) - torch.tensor([47.5, 31.5])
        assert centre.abs().max() <= 3.01
        along = where[:, :, 32, 60] - where[:, :, 32, 40]
        assert ((along.norm(dim=1) / 20 > 0.94) & (along.norm(dim=1) / 20 < 1.06)).all()
        assert (torch.atan2(along[:, 1], along[:, 0]).abs() <= np.deg2rad(3.1)).all()
    assert blurs == {0, 3, 5}


def test_a_changed_mask_covers_what_the_changed_hole_touches(scene):
    frames, holes = scene
    spoilt = torch.where(holes > 0, torch.ones_like(frames), torch.zeros_like(frames))
    drawn = losses.draw_change(np.random.default_rng(3), 6, 40, 56)
    for blur in (0, 3, 5):
        change = replace(drawn, blur=blur)
        assert not change.frames(spoilt)[(change.masks(holes) == 0).expand_as(frames)].any()


def test_a_change_brightens_and_stays_in_the_range(scene):
    frames, _ = scene
    still = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(frames), -1, -1)
    gain = torch.full((len(frames), 1, 1, 1), 1.5)
    expected = (1.5 * frames).clamp(0, 1)
    torch.testing.assert_close(losses.Change(still, gain, 0).frames(frames), expected, atol=1e-5, rtol=0)
    assert (expected == 1).any()
