"""FuseFormer: what distinguishes it; what it shares with its kin is in test_transformers.py."""

import pytest
import torch

from videoinpaint.inpainters.published.fuseformer import FuseFormer


@pytest.fixture
def network() -> FuseFormer:
    torch.manual_seed(0)
    return FuseFormer(dim=64, hidden=98, depth=2, size=(48, 72)).eval().requires_grad_(False)


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
