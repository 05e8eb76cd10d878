"""STTN: what distinguishes it; what it shares with its kin is in test_transformers.py."""

import pytest
import torch

from videoinpaint.inpainters.published.sttn import STTN


@pytest.fixture
def network() -> STTN:
    torch.manual_seed(0)
    return STTN(depth=2).eval().requires_grad_(False)


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 3, 3, 48, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1


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
