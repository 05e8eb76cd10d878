"""DSTT: what distinguishes it; what it shares with its kin is in test_transformers.py."""

import pytest
import torch

from videoinpaint.inpainters.published.dstt import DSTT


@pytest.fixture
def network() -> DSTT:
    torch.manual_seed(0)
    return DSTT(dim=64, hidden=128, depth=2).eval().requires_grad_(False)


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
