"""The convolutional ends that the published networks share."""

import pytest
import torch

from videoinpaint.inpainters.published.layers.encoder import HierarchicalEncoder, decoder, grouped_concat, stem


def test_grouped_concat_puts_the_first_input_first_in_every_group() -> None:
    first, second = torch.arange(4.0).view(1, 4, 1, 1), torch.arange(10.0, 18.0).view(1, 8, 1, 1)
    joined = grouped_concat(first, second, 2).flatten().tolist()
    assert joined == [0, 1, 10, 11, 12, 13, 2, 3, 14, 15, 16, 17]
    assert grouped_concat(first, second, 1).flatten().tolist() == [*range(4), *range(10, 18)]


@torch.no_grad()
@pytest.mark.parametrize("channels", [3, 5])
def test_the_encoder_quarters_the_resolution(channels: int) -> None:
    encoder = HierarchicalEncoder(channels)
    assert encoder(torch.rand(2, channels, 24, 40)).shape == (2, 128, 6, 10)
    inputs = [value.shape[1] for name, value in encoder.state_dict().items() if name.endswith("weight")]
    assert inputs == [channels, 64, 64, 128, 256, 320, 192, 80, 512]


@torch.no_grad()
def test_the_first_activation_reaches_every_later_convolution() -> None:
    torch.manual_seed(0)
    encoder = HierarchicalEncoder(256, (256, 256, 256, 256, 128), with_stem=False)
    x = torch.rand(1, 256, 5, 6)
    before = encoder(x)
    encoder.layers[6].weight.zero_()  # the fourth convolution gives a constant: only the skip into the last one is left
    after = encoder(x)
    assert not torch.equal(before, after)
    assert not torch.allclose(after, encoder(x + torch.rand_like(x)))


@torch.no_grad()
def test_stem_and_decoder_fit_together() -> None:
    frames = torch.rand(2, 3, 16, 24) * 2 - 1
    features = stem()(frames)
    assert features.shape == (2, 256, 4, 6)
    repaired = decoder(256)(1e4 * features)
    assert repaired.shape == frames.shape
    assert repaired.abs().max() <= 1
    assert [name for name in decoder(256).state_dict() if name.endswith("weight")] == [
        "0.conv.weight", "2.weight", "4.conv.weight", "6.weight",
    ]  # fmt: skip
