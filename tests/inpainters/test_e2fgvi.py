"""E2FGVI and E2FGVI-HQ: the attention against a plain transcription, stages, partial passes."""

from functools import partial

import pytest
import torch
from torch import Tensor

from videoinpaint.errors import InputError
from videoinpaint.inpainters.published.cost import count_flops
from videoinpaint.inpainters.published.e2fgvi.attention import EXTENSION, NEIGHBOURS, WINDOW, FocalWindowAttention
from videoinpaint.inpainters.published.e2fgvi.flow import SPyNet
from videoinpaint.inpainters.published.e2fgvi.network import E2FGVI
from videoinpaint.inpainters.published.sizes import Sizes

AREA = WINDOW[0] * WINDOW[1]


@pytest.fixture(scope="module")
def network() -> E2FGVI:
    torch.manual_seed(0)
    network = E2FGVI(hq=True, sizes=Sizes(depth=2, dim=64, hidden=98)).eval().requires_grad_(False)
    for alignment in network.feat_prop_module.deform_align.values():
        torch.nn.init.normal_(alignment.conv_offset[-1].weight, std=0.02)
    return network


def clip(frames: int, height: int = 60, width: int = 108, batch: int = 1) -> Tensor:
    return torch.rand(batch, frames, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


# The attention, against a transcription that pads, masks and loops as the paper's figure does.


def plainly(attention: FocalWindowAttention, tokens: Tensor, pooled: Tensor) -> Tensor:
    """Attention window by window for B = 1, every key present, padded neighbours with their -100."""
    _, length, rows, cols, dim = tokens.shape
    high, wide = rows // WINDOW[0], cols // WINDOW[1]
    each = dim // attention.num_heads
    query, key, value = attention.qkv(tokens).chunk(3, dim=-1)
    coarse_key, coarse_value = attention.qkv(pooled).chunk(3, dim=-1)[1:]
    results = []
    for top in range(high):
        for left in range(wide):
            corner = (top * WINDOW[0], left * WINDOW[1])
            own = window_at(query, corner)
            keys, values, bias = [window_at(key, corner)], [window_at(value, corner)], [torch.zeros(length * AREA)]
            for sign_y in (-1, 1):
                for sign_x in (-1, 1):
                    keep = outside(sign_y, sign_x)
                    moved = (corner[0] - sign_y * EXTENSION[0], corner[1] - sign_x * EXTENSION[1])
                    keys.append(window_at(key, moved, keep))
                    values.append(window_at(value, moved, keep))
                    bias.append(torch.zeros(length * int(keep.sum())))
            for dy in range(-(NEIGHBOURS[0] // 2), NEIGHBOURS[0] // 2 + 1):
                for dx in range(-(NEIGHBOURS[1] // 2), NEIGHBOURS[1] // 2 + 1):
                    there = 0 <= top + dy < high and 0 <= left + dx < wide
                    number = (top + dy) * wide + left + dx
                    keys.append(coarse_key[0, :, number] if there else torch.zeros(length, dim))
                    values.append(coarse_value[0, :, number] if there else torch.zeros(length, dim))
                    bias.append(torch.full((length,), 0.0 if there else -100.0))
            outputs = []
            for head in range(attention.num_heads):
                part = slice(head * each, (head + 1) * each)
                logits = own[:, part] @ torch.cat(keys)[:, part].T / each**0.5 + torch.cat(bias)
                outputs.append(logits.softmax(-1) @ torch.cat(values)[:, part])
            results.append(attention.proj(torch.cat(outputs, -1)).view(length, AREA, dim))
    return torch.stack(results)


def outside(sign_y: int, sign_x: int) -> Tensor:
    """Which tokens of a window lie outside the window that it was shifted from."""
    covered = torch.zeros(WINDOW, dtype=torch.bool)
    rows = slice(0, 3) if sign_y < 0 else slice(2, 5)
    cols = slice(0, 5) if sign_x < 0 else slice(4, 9)
    covered[rows, cols] = True
    return ~covered.flatten()


def window_at(grid: Tensor, corner: tuple[int, int], keep: Tensor | None = None) -> Tensor:
    rows = (torch.arange(WINDOW[0]) + corner[0]) % grid.shape[2]
    cols = (torch.arange(WINDOW[1]) + corner[1]) % grid.shape[3]
    tokens = grid[0][:, rows][:, :, cols].flatten(1, 2)
    return (tokens if keep is None else tokens[:, keep]).flatten(0, 1)


@pytest.fixture
def attention() -> FocalWindowAttention:
    torch.manual_seed(0)
    return FocalWindowAttention(16, 4).requires_grad_(False)


@pytest.mark.parametrize(("rows", "cols"), [(5, 9), (10, 18), (30, 9)])
def test_attention_is_the_papers(attention: FocalWindowAttention, rows: int, cols: int) -> None:
    tokens, pooled = torch.randn(1, 2, rows, cols, 16), torch.randn(1, 2, rows * cols // AREA, 16)
    torch.testing.assert_close(attention(tokens, pooled), plainly(attention, tokens, pooled), atol=1e-5, rtol=1e-4)


def test_padding_counts_where_all_else_is_unlikely(attention: FocalWindowAttention) -> None:
    # Queries and keys opposed: every real logit is far below the -100 of the padded neighbours, whose values are zero.
    attention.qkv.weight.zero_()
    attention.qkv.bias[:16], attention.qkv.bias[16:32], attention.qkv.bias[32:] = 30.0, -30.0, 1.0
    tokens, pooled = torch.randn(1, 1, 10, 9, 16), torch.randn(1, 1, 2, 16)
    torch.testing.assert_close(attention(tokens, pooled), attention.proj.bias.expand(2, 1, AREA, 16))
    # At -100 a real key is worth one of the 43 padded ones.
    attention.qkv.bias[:16], attention.qkv.bias[16:32] = 5.0, -10.0
    expected = attention.proj(torch.full((16,), 167 / (167 + 43)))
    torch.testing.assert_close(attention(tokens, pooled), expected.expand(2, 1, AREA, 16), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(attention(tokens, pooled), plainly(attention, tokens, pooled), atol=1e-4, rtol=1e-4)


def test_heads_add_up_and_idle_ones_cost_nothing(attention: FocalWindowAttention) -> None:
    tokens, pooled = torch.randn(1, 3, 10, 18, 16), torch.randn(1, 3, 4, 16)
    whole = attention(tokens, pooled)
    parts, costs = {}, {}
    for active in ((0, 1, 2, 3), (1, 3), (0, 2)):
        attention.active = active
        parts[active], costs[active] = count_flops(partial(attention, tokens, pooled))
    torch.testing.assert_close(parts[0, 1, 2, 3], whole)
    torch.testing.assert_close(parts[1, 3] + parts[0, 2] - attention.proj.bias, whole)
    assert costs[1, 3] * 2 == costs[0, 1, 2, 3]


def test_every_window_runs_its_own_number_of_heads(attention: FocalWindowAttention) -> None:
    tokens, pooled = torch.randn(2, 3, 10, 18, 16), torch.randn(2, 3, 4, 16)
    counts = torch.tensor([[1, 3, 3, 4], [2, 1, 4, 2]])
    mixed, spent = count_flops(partial(attention, tokens, pooled, counts))
    costs = {}
    for count in (1, 2, 3, 4):
        attention.active = tuple(range(count))
        alone, costs[count] = count_flops(partial(attention, tokens, pooled))
        here = (counts == count).flatten()
        torch.testing.assert_close(mixed[here], alone[here], atol=1e-6, rtol=1e-5)
    assert costs[1] < spent < costs[4]
    attention.active = None
    everywhere, spent = count_flops(partial(attention, tokens, pooled, torch.full((2, 4), 4)))
    assert torch.equal(everywhere, attention(tokens, pooled))
    assert spent == costs[4]


# Flow and propagation.


@pytest.mark.parametrize("size", [(15, 27), (32, 64)])
def test_flows_of_a_part_are_part_of_the_flows(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    flow = SPyNet().eval().requires_grad_(False)
    frames = torch.rand(2, 4, 3, *size)
    forward, backward = flow(frames)
    assert forward.shape == backward.shape == (2, 3, 2, *size)
    torch.testing.assert_close(flow(frames[1:, 1:3])[0], forward[1:, 1:2], atol=1e-5, rtol=1e-4)
    reversed_forward, reversed_backward = flow(frames.flip(1))
    torch.testing.assert_close(reversed_forward.flip(1), backward, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(reversed_backward.flip(1), forward, atol=1e-5, rtol=1e-4)


def test_flow_is_measured_in_pixels_of_its_frames() -> None:
    flow = SPyNet().eval().requires_grad_(False)
    for level in flow.basic_module:
        for unit in level.basic_module:
            unit.conv.weight.zero_()
            unit.conv.bias.zero_()
    flow.basic_module[-1].basic_module[-1].conv.bias.copy_(torch.tensor([32.0, 64.0]))
    forward, _ = flow(torch.rand(1, 2, 3, 15, 27))  # computed at 32 x 32
    torch.testing.assert_close(forward[0, 0, :, 7, 13], torch.tensor([27.0, 30.0]))


def test_one_frame_has_no_flow_and_still_propagates(network: E2FGVI) -> None:
    forward, backward = network.flows(clip(1))
    assert forward.shape == backward.shape == (1, 0, 2, 15, 27)
    features = torch.randn(1, 1, 128, 15, 27)
    assert not torch.equal(network.propagate(features, (forward, backward)), features)


def test_content_travels_both_ways(network: E2FGVI) -> None:
    features, none = torch.randn(1, 4, 128, 15, 27), torch.zeros(1, 3, 2, 15, 27)
    before = network.propagate(features, (none, none))
    for touched, seen in ((0, 3), (3, 0)):
        other = features.clone()
        other[:, touched] += 1
        change = (network.propagate(other, (none, none)) - before)[:, seen]
        assert change.abs().max() > 1e-6


# The network as a whole, and its stages.


def test_the_call_is_made_of_the_stages(network: E2FGVI) -> None:
    frames = clip(4, batch=2)
    output, (forward, backward) = network(frames, 3)
    assert output.shape == (8, 3, 60, 108)
    assert output.abs().max() <= 1
    flows = network.flows(frames)  # once for the clip, then cut
    torch.testing.assert_close(forward, flows[0][:, :2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(backward, flows[1][:, :2], atol=1e-4, rtol=1e-4)
    features = network.encode(frames.flatten(0, 1)).unflatten(0, (2, 4))
    local = network.propagate(features[:, :3], (forward, backward))
    fused = network.transform(torch.cat([local, features[:, 3:]], 1), 3)
    stages = network.decode(fused.flatten(0, 1)).unflatten(0, (2, 3))
    torch.testing.assert_close(stages, output.unflatten(0, (2, 4))[:, :3], atol=1e-5, rtol=1e-4)


def test_clips_of_a_batch_do_not_mix(network: E2FGVI) -> None:
    frames = clip(3, batch=2)
    together = network(frames, 2)[0].unflatten(0, (2, 3))
    torch.testing.assert_close(network(frames[1:], 2)[0], together[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(52, 100), (56, 104)])
def test_hq_takes_every_size_of_whole_windows(network: E2FGVI, size: tuple[int, int]) -> None:
    output, _ = network(clip(2, *size), 2)
    assert output.shape == (2, 3, *size)
    assert output.isfinite().all()


@pytest.mark.parametrize(("hq", "size"), [(True, (64, 108)), (True, (60, 106)), (False, (120, 216))])
def test_other_sizes_are_refused(hq: bool, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        network = E2FGVI(hq)
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]}"):
        network(torch.zeros(1, 2, 3, *size, device="meta"), 2)


def test_fusion_weighs_transformer_against_propagated(network: E2FGVI) -> None:
    features = torch.randn(2, 2, 128, 15, 27)
    hallucinated = network.sc(network.tokens(features), (15, 27))
    torch.testing.assert_close(network.transform(features), hallucinated + features)
    torch.testing.assert_close(network.transform(features, fusion=0.0), 2 * features)
    mixed = network.transform(features, 1, torch.tensor([1.0, 0.25]))
    torch.testing.assert_close(mixed[0], 2 * hallucinated[0, :1])
    torch.testing.assert_close(mixed[1], 0.5 * hallucinated[1, :1] + 1.5 * features[1, :1])
