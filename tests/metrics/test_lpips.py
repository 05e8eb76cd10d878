"""LPIPS against the `lpips` package and the published example, and the backbone behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from videoinpaint.benchmarks.networks.naive_reward import reference_lpips
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.metrics import Backbone, lpips, lpips_from_features, lpips_hole
from videoinpaint.metrics.backbone import get_backbone, layer_distance

EXAMPLE = Path(__file__).parents[1] / "data/lpips"


def pair(shape=(2, 2, 3, 40, 56), noise=0.2):
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(shape, generator=generator)
    return a, (a + noise * torch.randn(shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("net", ["alex", pytest.param("vgg16", marks=pytest.mark.vgg16)])
@pytest.mark.parametrize("noise", [0.02, 0.5])
def test_lpips_equals_the_package(net, noise):
    a, b = pair(noise=noise)
    with torch.no_grad():
        expected = reference_lpips(net)(a.flatten(0, 1), b.flatten(0, 1), normalize=True).view(2, 2)
    torch.testing.assert_close(lpips(a, b, net), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_frames_of_any_precision_are_measured(dtype):
    a, b = (clip.to(dtype) for clip in pair())
    holes = torch.zeros(2, 2, 1, 40, 56, dtype=dtype)
    holes[..., 10:30, 20:40] = 1
    exact = (a.float(), b.float(), holes.float())
    assert torch.equal(lpips(a, b), lpips(*exact[:2]))
    assert torch.equal(lpips_hole(a, b, holes), lpips_hole(*exact))


@pytest.mark.parametrize(
    ("name", "published", "to_five_digits"), [("ex_p0", 0.722, 0.72188), ("ex_p1", 0.138, 0.13757)]
)
def test_published_example(name, published, to_five_digits):
    """What the project publishes, and what its package 0.1.4 gives with torchvision's weights."""
    frames = [np.asarray(Image.open(EXAMPLE / f"{n}.png").convert("RGB")) for n in ("ex_ref", name)]
    a, b = (torch.tensor(f).permute(2, 0, 1)[None, None].float() / 255 for f in frames)
    assert lpips(a, b).item() == pytest.approx(published, abs=5e-4)
    assert lpips(a, b).item() == pytest.approx(to_five_digits, abs=1e-5)


def test_lpips_of_equal_frames_is_zero_and_symmetric_otherwise():
    a, b = pair()
    assert lpips(a, a).eq(0).all()
    torch.testing.assert_close(lpips(a, b), lpips(b, a))
    assert (lpips(a, b) > 0).all()


def test_gradient_flows_to_the_input_and_not_to_the_weights():
    a, b = pair((1, 1, 3, 40, 40))
    b = b.requires_grad_()
    lpips(a, b).sum().backward()
    assert b.grad.isfinite().all()
    assert b.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in get_backbone("alex").parameters())


def test_gradient_of_black_frames_is_finite():
    black = torch.zeros(1, 1, 3, 40, 40, requires_grad=True)
    lpips(black, torch.zeros(1, 1, 3, 40, 40)).sum().backward()
    assert black.grad.isfinite().all()


def test_one_pass_serves_lpips_and_the_perceptual_distance():
    a, b = pair()
    backbone = get_backbone("alex")
    fa, fb = backbone(a), backbone(b)
    assert [f.shape[1] for f in fa] == list(backbone.channels)
    torch.testing.assert_close(lpips_from_features(fa, fb).view(2, 2), lpips(a, b))
    expected = torch.stack([(x - y).abs().flatten(1).mean(1) for x, y in zip(fa, fb)]).mean(0)
    torch.testing.assert_close(layer_distance(fa, fb), expected)
    assert len(backbone(a, layers=2)) == 2


def test_backbone_stays_frozen_and_names_what_it_needs():
    assert not Backbone("alex").train().training
    with pytest.raises(UnknownNameError, match="vgg16"):
        Backbone("resnet")
    with pytest.raises(InputError, match="31"):
        lpips(*pair((1, 1, 3, 30, 40)))


def test_lpips_hole_of_a_full_hole_is_lpips_and_grows_with_damage_in_the_hole():
    a, b = pair((1, 1, 3, 64, 64))
    everywhere = torch.ones(1, 1, 1, 64, 64)
    torch.testing.assert_close(lpips_hole(a, b, everywhere), lpips(a, b))
    left = everywhere.clone()
    left[..., 32:] = 0
    damaged = torch.where(left > 0, b, a)
    assert lpips_hole(a, damaged, left) > lpips_hole(a, damaged, 1 - left)
