"""FuseFormer: its layout and numbers are the published ones; stages compose; heads can be left out."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from videoinpaint.inpainters.fuseformer import FuseFormer
from videoinpaint.inpainters.layers.heads import active_heads, gated_modules
from videoinpaint.parity import check_layout, compare

FIXTURES = Path(__file__).parents[2].parent / "shared" / "parity"
needs_fixture = pytest.mark.skipif(not (FIXTURES / "fuseformer.npz").is_file(), reason="fixtures are development data")


@pytest.fixture
def network() -> FuseFormer:
    torch.manual_seed(0)
    return FuseFormer(dim=64, hidden=98, depth=2, size=(48, 72)).eval().requires_grad_(False)


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 3, 3, 48, 72, generator=torch.Generator().manual_seed(1)) * 2 - 1


@needs_fixture
def test_it_computes_the_published_numbers() -> None:
    agreements = compare("fuseformer", FIXTURES / "fuseformer.npz")
    assert {"output", "output_frame1", "mid_encoder", "mid_tokens", "mid_transformer"} == agreements.keys()
    assert all(agreement.within for agreement in agreements.values()), agreements


@needs_fixture
def test_official_checkpoints_fit() -> None:
    check_layout(FuseFormer(), FIXTURES / "fuseformer.json")


def test_it_has_the_published_size() -> None:
    with torch.device("meta"):
        network = FuseFormer()
    assert sum(parameter.numel() for parameter in network.parameters()) == 36_591_299


def test_the_published_call_is_its_stages(network: FuseFormer, frames: torch.Tensor) -> None:
    output = network(frames)
    assert output.shape == (6, 3, 48, 72)
    assert output.abs().max() <= 1
    features = network.encode(frames.flatten(0, 1))
    assert features.shape == (6, 128, 12, 18)
    torch.testing.assert_close(network.decode(network.transform(features.unflatten(0, (2, 3))).flatten(0, 1)), output)


def test_clips_of_a_batch_do_not_mix_and_frames_of_a_clip_do(network: FuseFormer, frames: torch.Tensor) -> None:
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
    both = network.transform(features)
    torch.testing.assert_close(network.transform(features[1:]), both[1:])
    changed = features.clone()
    changed[0, 2] += 1
    moved = (network.transform(changed) - both).abs().amax((2, 3, 4))
    assert (moved[0] > 1e-6).all()
    assert (moved[1] < 1e-6).all()


def test_all_heads_are_the_whole_network(network: FuseFormer, frames: torch.Tensor) -> None:
    whole = network(frames)
    modules = gated_modules(network)
    assert len(modules) == 2
    for module in modules.values():
        module.active = (0, 1, 2, 3)
    torch.testing.assert_close(network(frames), whole)


def test_fewer_heads_cost_less_and_change_the_result(network: FuseFormer, frames: torch.Tensor) -> None:
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
    costs, results = [], []
    for count in (1, 2, 3, 4):
        with active_heads(network, count), FlopCounterMode(display=False) as counter:
            results.append(network.transform(features))
        costs.append(counter.get_total_flops())
    assert costs == sorted(set(costs))
    assert not any(torch.allclose(result, results[-1]) for result in results[:-1])


def test_other_sizes_are_refused(network: FuseFormer) -> None:
    with pytest.raises(ValueError, match=r"serve frames of \[48, 72\], got \[48, 76\]"):
        network.transform(torch.zeros(1, 1, 128, 12, 19))


def test_positions_matter(network: FuseFormer) -> None:
    features = torch.zeros(1, 2, 128, 12, 18)
    tokens = network.embed(features)
    torch.testing.assert_close(tokens[0, 0, 0, 0], tokens[0, 0, 3, 5])
    network.add_pos_emb.pos_emb.normal_(generator=torch.Generator().manual_seed(0))
    tokens = network.embed(features)
    assert not torch.allclose(tokens[0, 0, 0, 0], tokens[0, 0, 3, 5])
    torch.testing.assert_close(tokens[0, 0], tokens[0, 1])
