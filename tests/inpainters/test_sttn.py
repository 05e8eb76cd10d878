"""STTN: its layout and numbers are the published ones; stages compose; heads can be left out."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from videoinpaint.inpainters.layers.heads import active_heads, gated_modules
from videoinpaint.inpainters.sttn import STTN
from videoinpaint.parity import check_layout, compare

FIXTURES = Path(__file__).parents[2].parent / "shared" / "parity"
needs_fixture = pytest.mark.skipif(not (FIXTURES / "sttn.npz").is_file(), reason="fixtures are development data")


@pytest.fixture
def network() -> STTN:
    torch.manual_seed(0)
    return STTN(depth=2).eval().requires_grad_(False)


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 3, 3, 48, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1


@needs_fixture
def test_it_computes_the_published_numbers() -> None:
    agreements = compare("sttn", FIXTURES / "sttn.npz")
    assert {"output", "output_frame1", "mid_encoder", "mid_block0", "mid_transformer"} == agreements.keys()
    assert all(agreement.within for agreement in agreements.values()), agreements


@needs_fixture
def test_official_checkpoints_fit() -> None:
    check_layout(STTN(), FIXTURES / "sttn.json")


def test_it_has_the_published_size() -> None:
    with torch.device("meta"):
        network = STTN()
    assert sum(parameter.numel() for parameter in network.parameters()) == 16_556_163


def test_the_published_call_is_its_stages(network: STTN, frames: torch.Tensor) -> None:
    output = network(frames)
    assert output.shape == (6, 3, 48, 96)
    assert output.abs().max() <= 1
    features = network.encode(frames.flatten(0, 1))
    assert features.shape == (6, 256, 12, 24)
    torch.testing.assert_close(network.decode(network.transform(features.unflatten(0, (2, 3))).flatten(0, 1)), output)


def test_clips_of_a_batch_do_not_mix_and_frames_of_a_clip_do(network: STTN, frames: torch.Tensor) -> None:
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
    both = network.transform(features)
    torch.testing.assert_close(network.transform(features[1:]), both[1:])
    changed = features.clone()
    changed[0, 2] += 1
    moved = (network.transform(changed) - both).abs().amax((2, 3, 4))
    assert (moved[0] > 1e-6).all()
    assert (moved[1] < 1e-6).all()


def test_all_heads_are_the_whole_network(network: STTN, frames: torch.Tensor) -> None:
    whole = network(frames)
    modules = gated_modules(network)
    assert len(modules) == 2
    for module in modules.values():
        module.active = (0, 1, 2, 3)
    torch.testing.assert_close(network(frames), whole)


def test_fewer_heads_cost_less_and_change_the_result(network: STTN, frames: torch.Tensor) -> None:
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
    costs, results = [], []
    for count in (1, 2, 3, 4):
        with active_heads(network, count), FlopCounterMode(display=False) as counter:
            results.append(network.transform(features))
        costs.append(counter.get_total_flops())
    assert costs == sorted(set(costs))
    assert not any(torch.allclose(result, results[-1]) for result in results[:-1])


def test_masks_have_no_effect_as_published(network: STTN, frames: torch.Tensor) -> None:
    masks = torch.ones(2, 3, 1, 48, 96)
    assert torch.equal(network(frames, masks), network(frames))


def test_each_head_attends_between_patches_of_its_own_size() -> None:
    torch.manual_seed(0)
    attention = STTN(depth=1).transformer[0].attention.requires_grad_(False)
    with torch.no_grad():  # values pass, keys match none: every patch of every frame weighs the same
        for layer in (attention.query_embedding, attention.key_embedding):
            layer.weight.zero_()
        attention.value_embedding.weight.copy_(torch.eye(256)[..., None, None])
        attention.value_embedding.bias.zero_()
        attention.output_linear[0].weight.zero_()[:, :, 1, 1] = torch.eye(256)
        attention.output_linear[0].bias.zero_()
    x = torch.rand(1, 2, 256, 12, 24)
    y = attention(x)
    for head, grid in enumerate((1, 3, 6, 12)):
        maps, result = (value[:, :, 64 * head : 64 * head + 64] for value in (x, y))
        tile = maps.unflatten(-1, (grid, -1)).unflatten(-3, (grid, -1)).mean((1, 3, 5))
        torch.testing.assert_close(result, tile.tile(grid, grid)[:, None].expand_as(result))


def test_sizes_that_cannot_be_cut_are_refused(network: STTN) -> None:
    with pytest.raises(ValueError, match="multiples of 48, got 48 x 100"):
        network.transform(torch.zeros(1, 1, 256, 12, 25))
