"""Soft split, composition and F3N against the papers' formulas, written with explicit patch vectors."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.published.layers.soft_split import (
    FusionFeedForward,
    SoftComposition,
    SoftSplit,
    token_grid,
)

SIZES = [(60, 108), (31, 50), (32, 54), (7, 9)]  # a token grid belongs to three sizes per axis
CHANNELS, DIM = 6, 10
PATCHES = {"kernel_size": 7, "padding": 3, "stride": 3}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def _features(size: tuple[int, int]) -> Tensor:
    return torch.randn(2, 3, CHANNELS, *size)


def _tokens(size: tuple[int, int]) -> Tensor:
    return torch.randn(2, 3, *token_grid(*size), DIM)


def _cut(maps: Tensor) -> Tensor:
    return F.unfold(maps, **PATCHES).transpose(1, 2)


def _add_up(patches: Tensor, size: tuple[int, int]) -> Tensor:
    return F.fold(patches.transpose(1, 2), size, **PATCHES)


def _flat(tokens: Tensor) -> Tensor:
    return tokens.flatten(2, 3).flatten(0, 1)


def _filled(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module


def test_the_grid_of_known_maps() -> None:
    assert [token_grid(n, n)[0] for n in (30, 48, 60, 108)] == [10, 16, 20, 36]


@pytest.mark.parametrize("size", SIZES)
def test_soft_split_embeds_overlapping_patches(size: tuple[int, int]) -> None:
    module, features = SoftSplit(CHANNELS, DIM), _features(size)
    tokens = module(features)
    assert tokens.shape == (2, 3, *token_grid(*size), DIM)
    torch.testing.assert_close(_flat(tokens), module.embedding(_cut(features.flatten(0, 1))))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bias", ["map", "conv", None])
def test_soft_composition_adds_overlapping_patches_up(size: tuple[int, int], bias: str | None) -> None:
    module, tokens = _filled(SoftComposition(CHANNELS, DIM, bias, size)), _tokens(size)
    expected = _add_up(module.embedding(_flat(tokens)), size)
    expected = module.bias_conv(expected) if bias == "conv" else expected + (module.bias if bias else 0)
    torch.testing.assert_close(module(tokens, size).flatten(0, 1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_feed_forward_fuses_hidden_patches(size: tuple[int, int], activation: str) -> None:
    module, tokens = _filled(FusionFeedForward(DIM, 2 * 49, activation, ("fc1.0", "fc2.1"))), _tokens(size)
    up, down = module.get_submodule("fc1.0"), module.get_submodule("fc2.1")
    hidden = up(_flat(tokens))
    fused = _add_up(hidden, size) / _add_up(torch.ones_like(hidden), size)
    expected = down(getattr(F, activation)(_cut(fused)))
    torch.testing.assert_close(_flat(module(tokens, size)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "module", [SoftSplit(CHANNELS, DIM), SoftComposition(CHANNELS, DIM, "conv"), FusionFeedForward(DIM, 49)]
)
def test_frames_never_mix(module: nn.Module) -> None:
    size = (12, 15)
    inputs = _features(size) if isinstance(module, SoftSplit) else _tokens(size)
    rest = () if isinstance(module, SoftSplit) else (size,)
    changed = inputs.clone()
    changed[0, 1] += 1
    same = module(inputs, *rest) == module(changed, *rest)
    assert not same[0, 1].all()
    assert same[0, [0, 2]].all()
    assert same[1].all()


def test_names_are_those_of_the_checkpoints() -> None:
    assert set(SoftSplit().state_dict()) == {"embedding.weight", "embedding.bias"}
    composed = SoftComposition(bias="map", size=(60, 108)).state_dict()
    assert composed["bias"].shape == (128, 60, 108)
    assert composed["embedding.weight"].shape == (6272, 512)
    assert "bias_conv.weight" in SoftComposition(bias="conv").state_dict()
    assert set(SoftComposition(bias=None).state_dict()) == {"embedding.weight", "embedding.bias"}
    names = FusionFeedForward(names=("conv1.0", "conv2.2")).state_dict()
    assert {name: tuple(value.shape) for name, value in names.items()} == {
        "conv1.0.weight": (1960, 512), "conv1.0.bias": (1960,), "conv2.2.weight": (512, 1960), "conv2.2.bias": (512,),
    }  # fmt: skip


def test_gradients_reach_every_parameter() -> None:
    size = (12, 15)
    with torch.enable_grad():
        for module in (SoftComposition(CHANNELS, DIM, "map", size), FusionFeedForward(DIM, 49)):
            module(_tokens(size), size).square().sum().backward()
            assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="give size"):
        SoftComposition(bias="map")
    with pytest.raises(ValueError, match="multiple of 49"):
        FusionFeedForward(hidden=1000)
    tokens = _tokens((12, 15))
    with pytest.raises(ValueError, match="tied to features"):
        SoftComposition(CHANNELS, DIM, "map", (12, 15))(tokens, (12, 14))
    with pytest.raises(ValueError, match="tokens, got"):
        SoftComposition(CHANNELS, DIM)(tokens, (12, 18))
    with pytest.raises(ValueError, match="tokens, got"):
        FusionFeedForward(DIM, 49)(tokens, (15, 15))
