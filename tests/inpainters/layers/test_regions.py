"""A box of a frame, encoded or decoded alone, is the box of the whole frame."""

import pytest
import torch
from torch import nn

from videoinpaint.boxes import Box
from videoinpaint.inpainters.published.layers.encoder import HierarchicalEncoder, decoder, stem
from videoinpaint.inpainters.published.layers.regions import decode_box, encode_again

BOXES = [(0, 0, 52, 100), (0, 0, 30, 100), (0, 0, 7, 9), (20, 31, 33, 60), (45, 91, 52, 100), (17, 50, 18, 51)]


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made = {"decoder": decoder(8), "hierarchical": HierarchicalEncoder(3, (16, 16, 16, 16, 16)), "stem": stem()}
    return {name: network.eval().requires_grad_(False) for name, network in made.items()}


@pytest.mark.parametrize("box", BOXES)
def test_decoded_box_is_that_of_the_frame(networks: dict[str, nn.Module], box: Box) -> None:
    features = torch.randn(2, 8, 13, 25)
    whole = networks["decoder"](features)
    top, left, bottom, right = box
    part = decode_box(networks["decoder"], features, box)  # type: ignore[arg-type]
    torch.testing.assert_close(part, whole[..., top:bottom, left:right], atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["hierarchical", "stem"])
@pytest.mark.parametrize("box", BOXES)
def test_features_follow_what_changed(networks: dict[str, nn.Module], name: str, box: Box) -> None:
    # 4 times larger, so that the encoder does not see everything from everywhere.
    top, left, bottom, right = (4 * side for side in box)
    frames = torch.rand(1, 3, 208, 400)
    before = networks[name](frames)
    frames[..., top:bottom, left:right] = torch.rand(1, 3, bottom - top, right - left)
    again = encode_again(networks[name], before, frames, (top, left, bottom, right))
    after = networks[name](frames)
    torch.testing.assert_close(again, after, atol=2e-6, rtol=1e-4)
    assert not torch.allclose(before, after)
