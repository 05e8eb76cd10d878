"""DSTT: its layout and numbers are the published ones; stages compose; heads can be left out."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from videoinpaint.inpainters.dstt import DSTT
from videoinpaint.inpainters.layers.heads import active_heads, gated_modules
from videoinpaint.parity import check_layout, compare

FIXTURES = Path(__file__).parents[2].parent / "shared" / "parity"
needs_fixture = pytest.mark.skipif(not (FIXTURES / "dstt.npz").is_file(), reason="fixtures are development data")


@pytest.fixture
def network() -> DSTT:
    torch.manual_seed(0)
    return DSTT(dim=64, hidden=128, depth=2).eval().requires_grad_(False)


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 3, 3, 48, 72, generator=torch.Generator().manual_seed(1)) * 2 - 1


@needs_fixture
def test_it_computes_the_published_numbers() -> None:
    agreements = compare("dstt", FIXTURES / "dstt.npz")
    assert {"output", "output_frame1", "mid_encoder", "mid_tokens", "mid_transformer"} == agreements.keys()
    assert all(agreement.within for agreement in agreements.values()), agreements


@needs_fixture
def test_official_checkpoints_fit() -> None:
    check_layout(DSTT(), FIXTURES / "dstt.json")


def test_it_has_the_published_size() -> None:
    with torch.device("meta"):
        network = DSTT()
    assert sum(parameter.numel() for parameter in network.parameters()) == 34_529_155


def test_the_published_call_is_its_stages(network: DSTT, frames: torch.Tensor) -> None:
    output = network(frames)
    assert output.shape == (6, 3, 48, 72)
    assert output.abs().max() <= 1
    features = network.encode(frames.flatten(0, 1))
    assert features.shape == (6, 128, 12, 18)
    torch.testing.assert_close(network.decode(network.transform(features.unflatten(0, (2, 3))).flatten(0, 1)), output)


def test_clips_of_a_batch_do_not_mix_and_frames_of_a_clip_do(network: DSTT, frames: torch.Tensor) -> None:
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
    both = network.transform(features)
    torch.testing.assert_close(network.transform(features[1:]), both[1:])
    changed = features.clone()
    changed[0, 2] += 1
    moved = (network.transform(changed) - both).abs().amax((2, 3, 4))
    assert (moved[0] > 1e-6).all()
    assert (moved[1] < 1e-6).all()


def test_all_heads_are_the_whole_network(network: DSTT, frames: torch.Tensor) -> None:
    whole = network(frames)
    modules = gated_modules(network)
    assert len(modules) == 2
    for module in modules.values():
        module.active = (0, 1, 2, 3)
    torch.testing.assert_close(network(frames), whole)


def test_fewer_heads_cost_less_and_change_the_result(network: DSTT, frames: torch.Tensor) -> None:
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
    costs, results = [], []
    for count in (1, 2, 3, 4):
        with active_heads(network, count), FlopCounterMode(display=False) as counter:
            results.append(network.transform(features))
        costs.append(counter.get_total_flops())
    assert costs == sorted(set(costs))
    assert not any(torch.allclose(result, results[-1]) for result in results[:-1])


def test_temporal_attention_keeps_to_its_zone_and_spatial_attention_to_its_frame(network: DSTT) -> None:
    temporal, spatial = network.transformer
    tokens = torch.rand(1, 3, 4, 6, 64)
    changed = tokens.clone()
    changed[0, 1, 0, 0] = torch.rand(64)
    over_time = (temporal(changed) != temporal(tokens)).any(-1)[0]
    assert over_time[:, :2, :3].all()
    assert not over_time[:, 2:].any()
    assert not over_time[:, :, 3:].any()
    over_space = (spatial(changed) != spatial(tokens)).any(-1)[0]
    assert over_space[1].all()
    assert not over_space[[0, 2]].any()


def test_skip_connections_carry_normalised_tokens(network: DSTT) -> None:
    tokens = torch.rand(1, 2, 4, 6, 64)
    for block in network.transformer:
        torch.testing.assert_close(block(3 * tokens + 2), block(tokens), rtol=1e-3, atol=1e-3)


def test_odd_token_grids_are_refused(network: DSTT) -> None:
    with pytest.raises(ValueError, match=r"even token grid, .* got \[48, 60\]"):
        network.transform(torch.zeros(1, 1, 128, 12, 15))
