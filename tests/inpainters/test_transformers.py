"""STTN, DSTT and FuseFormer alike: published size; stages compose; clips keep apart; heads gate."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.cost import count_flops
from videoinpaint.inpainters.published.dstt import DSTT
from videoinpaint.inpainters.published.fuseformer import FuseFormer
from videoinpaint.inpainters.published.layers.heads import active_heads, gated_modules
from videoinpaint.inpainters.published.sttn import STTN


@dataclass(frozen=True)
class Case:
    name: str
    published: Callable[[], nn.Module]
    small: Callable[[], nn.Module]
    size: tuple[int, int]
    channels: int
    parameters: int


CASES = [
    Case("sttn", STTN, lambda: STTN(depth=2), (48, 96), 256, 16_556_163),
    Case("dstt", DSTT, lambda: DSTT(dim=64, hidden=128, depth=2), (48, 72), 128, 34_529_155),
    Case(
        "fuseformer",
        FuseFormer,
        lambda: FuseFormer(dim=64, hidden=98, depth=2, size=(48, 72)),
        (48, 72),
        128,
        36_591_299,
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def network(case: Case) -> nn.Module:
    torch.manual_seed(0)
    return case.small().eval().requires_grad_(False)


@pytest.fixture
def frames(case: Case) -> Tensor:
    return torch.rand(2, 3, 3, *case.size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_it_has_the_published_size(case: Case) -> None:
    with torch.device("meta"):
        network = case.published()
    assert sum(parameter.numel() for parameter in network.parameters()) == case.parameters


def test_the_published_call_is_its_stages(case: Case, network: nn.Module, frames: Tensor) -> None:
    output = network(frames)
    assert output.shape == (6, 3, *case.size)
    assert output.abs().max() <= 1
    features = network.encode(frames.flatten(0, 1))
    assert features.shape == (6, case.channels, case.size[0] // 4, case.size[1] // 4)
    torch.testing.assert_close(network.decode(network.transform(features.unflatten(0, (2, 3))).flatten(0, 1)), output)


def test_clips_of_a_batch_do_not_mix_and_frames_of_a_clip_do(network: nn.Module, frames: Tensor) -> None:
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
    both = network.transform(features)
    torch.testing.assert_close(network.transform(features[1:]), both[1:])
    changed = features.clone()
    changed[0, 2] += 1
    moved = (network.transform(changed) - both).abs().amax((2, 3, 4))
    assert (moved[0] > 1e-6).all()
    assert (moved[1] < 1e-6).all()


def test_all_heads_are_the_whole_network(network: nn.Module, frames: Tensor) -> None:
    whole = network(frames)
    modules = gated_modules(network)
    assert len(modules) == 2
    for module in modules.values():
        module.active = (0, 1, 2, 3)
    torch.testing.assert_close(network(frames), whole)


def test_fewer_heads_cost_less_and_change_the_result(network: nn.Module, frames: Tensor) -> None:
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
    costs, results = [], []
    for count in (1, 2, 3, 4):
        with active_heads(network, count):
            result, cost = count_flops(lambda: network.transform(features))
        results.append(result)
        costs.append(cost)
    assert costs == sorted(set(costs))
    assert not any(torch.allclose(result, results[-1]) for result in results[:-1])
