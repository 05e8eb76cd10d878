"""ProPainter: completion, propagation, sparse attention and generator do what the paper says, stage by stage."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.inpainters.published.cost import count_flops
from videoinpaint.inpainters.published.layers import windows
from videoinpaint.inpainters.published.layers.heads import active_heads
from videoinpaint.inpainters.published.propainter import attention as attention_module
from videoinpaint.inpainters.published.propainter.attention import EXTENSION, WINDOW, SparseWindowAttention
from videoinpaint.inpainters.published.propainter.completion import FlowCompletion, P3DBlock, compose_flows
from videoinpaint.inpainters.published.propainter.network import ProPainter
from videoinpaint.inpainters.published.propainter.recurrent_propagation import propagate_images, reduce_flows
from videoinpaint.inpainters.published.sizes import Sizes
from videoinpaint.testing.parity.fixtures import GeneratedWeights

EVERY_FRAME, EVEN = slice(None), slice(0, None, 2)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _hole(batch: int, time: int, height: int, width: int) -> Tensor:
    masks = torch.zeros(batch, time, 1, height, width)
    masks[..., height // 4 : height // 2, width // 4 : width // 2] = 1
    return masks


@pytest.fixture(scope="module")
def completion() -> FlowCompletion:
    return GeneratedWeights(1.25)(FlowCompletion())


@pytest.fixture(scope="module")
def generator() -> ProPainter:
    return GeneratedWeights()(ProPainter(Sizes(depth=2, dim=64, hidden=98)))


@pytest.fixture
def attend() -> SparseWindowAttention:
    return GeneratedWeights()(SparseWindowAttention(dim=64))


class TestCompletion:
    def test_a_block_is_the_two_convolutions_it_stores(self) -> None:
        block = P3DBlock(4, 6, stride=2)
        x = _random(2, 4, 5, 12, 16)
        expected = block.conv2(F.leaky_relu(block.conv1(x), 0.2))
        found = block(x.transpose(1, 2).flatten(0, 1), 2, 5).unflatten(0, (2, 5)).transpose(1, 2)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)

    def test_motion_in_the_hole_is_not_read(self, completion: FlowCompletion) -> None:
        flows, masks = 3 * _random(1, 2, 2, 32, 40), _hole(1, 2, 32, 40)
        predicted = completion(flows, masks)
        assert torch.equal(completion(torch.where(masks > 0, 50.0, flows), masks), predicted)
        assert not torch.equal(completion(flows + (1 - masks), masks), predicted)

    def test_backward_flows_are_completed_in_reversed_time(self, completion: FlowCompletion) -> None:
        ahead, behind = 3 * _random(1, 3, 2, 32, 40), 3 * _random(1, 3, 2, 32, 40, seed=1)
        masks = _hole(1, 4, 32, 40)
        masks[:, 2] = 0
        one, other = completion.complete(ahead, behind, masks)
        swapped = completion.complete(behind.flip(1), ahead.flip(1), masks.flip(1))
        torch.testing.assert_close(one, swapped[1].flip(1), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(other, swapped[0].flip(1), atol=1e-5, rtol=1e-5)

    def test_decoding_in_parts_changes_nothing(self, completion: FlowCompletion) -> None:
        flows, masks = _random(2, 3, 2, 32, 40), _hole(2, 3, 32, 40)
        whole = completion(flows, masks)
        torch.testing.assert_close(completion(flows, masks, frames_at_once=2), whole, atol=1e-5, rtol=1e-5)

    def test_prediction_in_the_hole_known_flow_elsewhere(self) -> None:
        masks, known = _hole(1, 3, 16, 16), _random(1, 2, 2, 16, 16)
        masks[:, 0] = 0
        ahead, behind = compose_flows((known + 1, known + 2), (known, known), masks)
        assert torch.equal(ahead[:, 0], known[:, 0])
        assert torch.equal(behind[:, 0], known[:, 0] + 2 * masks[:, 1])

    def test_sizes_it_cannot_take_are_refused(self, completion: FlowCompletion) -> None:
        with pytest.raises(ValueError, match="multiples of 8"):
            completion(torch.zeros(1, 1, 2, 36, 40), torch.zeros(1, 1, 1, 36, 40))

    def test_edges_are_probabilities(self, completion: FlowCompletion) -> None:
        edges = completion.edges(_random(2, 3, 2, 16, 24))
        assert edges.shape == (2, 3, 1, 16, 24)
        assert ((edges > 0) & (edges < 1)).all()


class TestImagePropagation:
    """A picture that moves to the right, ever faster, seen through holes that stay where they are."""

    def _clip(self, time: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = torch.rand(1, 3, 24, 70, generator=torch.Generator().manual_seed(0))
        frames = torch.stack([wide[..., start : start + 40] for start in (28, 24, 18, 10)[:time]], 1)
        masks = torch.zeros(1, time, 1, 24, 40)
        masks[..., 8:16, 20:23] = 1
        forward = torch.zeros(1, time - 1, 2, 24, 40)
        forward[:, :, 0] = torch.tensor([4.0, 6.0, 8.0])[: time - 1].view(1, -1, 1, 1)
        return frames, masks, forward, -forward

    def test_what_another_frame_shows_is_carried_into_the_hole(self) -> None:
        frames, masks, forward, backward = self._clip()
        carried, left = propagate_images(frames * (1 - masks), forward, backward, masks)
        assert not left.any()
        torch.testing.assert_close(carried, frames)

    def test_what_no_frame_shows_stays_missing(self) -> None:
        frames, masks, forward, backward = self._clip(2)
        masks = torch.zeros_like(masks)
        masks[..., 8:16, 20:26] = 1
        carried, left = propagate_images(frames * (1 - masks), forward, backward, masks)
        assert left[0, 0, 0, 10].nonzero().flatten().tolist() == [20, 21]
        assert left[0, 1, 0, 10].nonzero().flatten().tolist() == [24, 25]
        assert torch.equal(carried * (1 - left), frames * (1 - left))

    def test_inconsistent_flows_carry_nothing(self) -> None:
        frames, masks, forward, _ = self._clip()
        carried, left = propagate_images(frames * (1 - masks), forward, forward, masks)
        assert torch.equal(left, masks)
        assert torch.equal(carried, frames * (1 - masks))

    def test_a_single_frame_comes_back(self) -> None:
        frames, masks = _random(2, 1, 3, 8, 8), _hole(2, 1, 8, 8)
        none = torch.zeros(2, 0, 2, 8, 8)
        carried, left = propagate_images(frames, none, none, masks)
        assert torch.equal(carried, frames)
        assert torch.equal(left, masks)

    def test_reduced_flows_count_reduced_pixels(self) -> None:
        flows = torch.ones(1, 2, 2, 16, 24) * torch.tensor([8.0, 4.0]).view(2, 1, 1)
        small = reduce_flows(flows, (4, 6))
        assert small.shape == (1, 2, 2, 4, 6)
        assert small[0, 0, 0].unique().tolist() == [2.0]
        assert small[0, 0, 1].unique().tolist() == [1.0]


def _plain_joint(attend: SparseWindowAttention, grid: Tensor, window: int, frames: slice) -> Tensor:
    """One window of one clip, written down as the paper's definition: (T, 45, C)."""
    pooled = attend.pool_layer(grid.flatten(0, 1).permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)

    def seen(layer: torch.nn.Module) -> Tensor:
        own = windows.partition(layer(grid), WINDOW)[0, window]
        shifts = [(-3, -5), (-3, 5), (3, -5), (3, 5)]
        rolled = [windows.partition(torch.roll(layer(grid), s, (2, 3)), WINDOW)[0, window] for s in shifts]
        around = torch.cat(rolled, 1)[:, attend.valid_ind_rolled]
        return torch.cat([own, around, layer(pooled)], 1)[frames].flatten(0, 1)

    query = windows.partition(attend.query(grid), WINDOW)[0, window]
    q, k, v = (
        x.unflatten(-1, (4, -1)).transpose(0, 1) for x in (query.flatten(0, 1), seen(attend.key), seen(attend.value))
    )
    weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
    return attend.proj((weights @ v).transpose(0, 1).flatten(1)).view(query.shape)


class TestAttention:
    TOUCHED = torch.tensor([[True, False, False, True], [False, True, False, False]])

    def test_a_touched_window_attends_as_defined(self, attend: SparseWindowAttention) -> None:
        grid = _random(1, 3, 10, 18, 64)
        found = windows.partition(attend(grid, self.TOUCHED[:1], EVEN), WINDOW)[0, 3]
        torch.testing.assert_close(found, _plain_joint(attend, grid, 3, EVEN), atol=1e-5, rtol=1e-4)

    def test_clips_of_a_batch_and_parts_of_the_windows_are_independent(
        self, attend: SparseWindowAttention, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        x = _random(2, 3, 8, 16, 64)
        whole = attend(x, self.TOUCHED, EVEN)
        monkeypatch.setattr(attention_module, "GATHERED", 1)
        for item in range(2):
            alone = attend(x[item : item + 1], self.TOUCHED[item : item + 1], EVEN)
            torch.testing.assert_close(alone[0], whole[item], atol=1e-5, rtol=1e-4)

    def test_other_windows_see_nothing_but_themselves(self, attend: SparseWindowAttention) -> None:
        x = _random(1, 3, 10, 18, 64)
        changed = x.clone()
        changed[:, 1] += 1
        changed[:, :, :5, :9] -= 1
        before, after = (windows.partition(attend(y, self.TOUCHED[:1], EVEN), WINDOW) for y in (x, changed))
        torch.testing.assert_close(before[0, 1:3, [0, 2]], after[0, 1:3, [0, 2]])
        assert (before[0, 3] - after[0, 3]).abs().amax() > 1e-3

    def test_keys_come_from_the_given_frames_alone(self, attend: SparseWindowAttention) -> None:
        x = _random(1, 3, 10, 18, 64)
        changed = x.clone()
        changed[:, 1] += 1
        before, after = (attend(y, self.TOUCHED[:1], EVEN)[:, [0, 2]] for y in (x, changed))
        torch.testing.assert_close(before, after)

    def test_idle_windows_can_be_left_out(self, attend: SparseWindowAttention) -> None:
        x = _random(2, 3, 10, 18, 64)
        dense, sparse = (windows.partition(attend(x, self.TOUCHED, EVEN, idle), WINDOW) for idle in (True, False))
        torch.testing.assert_close(sparse[self.TOUCHED], dense[self.TOUCHED])
        assert not sparse[~self.TOUCHED].any()

    def test_all_heads_named_are_all_heads(self, attend: SparseWindowAttention) -> None:
        x = _random(1, 2, 10, 18, 64)
        expected = attend(x, self.TOUCHED[:1], EVERY_FRAME)
        attend.active = (0, 1, 2, 3)
        torch.testing.assert_close(attend(x, self.TOUCHED[:1], EVERY_FRAME), expected, atol=1e-6, rtol=1e-5)

    def test_inactive_heads_add_nothing(self, attend: SparseWindowAttention) -> None:
        """The same as all heads with the output projection of heads 0 and 3 set to zero."""
        x = _random(1, 2, 10, 18, 64)
        attend.active = (1, 2)
        gated = attend(x, self.TOUCHED[:1], EVERY_FRAME)
        attend.active = None
        attend.proj.weight[:, :16] = 0
        attend.proj.weight[:, 48:] = 0
        torch.testing.assert_close(gated, attend(x, self.TOUCHED[:1], EVERY_FRAME), atol=1e-6, rtol=1e-5)

    def test_fewer_heads_cost_less(self, attend: SparseWindowAttention) -> None:
        x, costs = _random(1, 2, 10, 18, 64), []
        for count in (1, 2, 3, 4):
            with active_heads(attend, count):
                costs.append(count_flops(lambda: attend(x, self.TOUCHED[:1], EVERY_FRAME))[1])
        assert costs == sorted(set(costs))

    @pytest.mark.parametrize("order", [None, {"": (2, 0, 3, 1)}])
    def test_every_window_runs_its_own_number_of_heads(
        self, attend: SparseWindowAttention, order: dict[str, tuple[int, ...]] | None
    ) -> None:
        x, counts = _random(2, 3, 10, 18, 64), torch.tensor([[1, 3, 3, 4], [2, 1, 4, 2]])
        with active_heads(attend, 4, order):
            mixed = windows.partition(attend(x, self.TOUCHED, EVEN, counts=counts), WINDOW)
        for count in (1, 2, 3, 4):
            with active_heads(attend, count, order):
                alone = windows.partition(attend(x, self.TOUCHED, EVEN), WINDOW)
            torch.testing.assert_close(mixed[counts == count], alone[counts == count], atol=1e-6, rtol=1e-5)

    def test_windows_with_few_heads_cost_less(self, attend: SparseWindowAttention) -> None:
        x = _random(1, 2, 10, 18, 64)
        costs = [
            count_flops(lambda: attend(x, self.TOUCHED[:1], EVERY_FRAME, counts=torch.tensor([counts])))[1]  # noqa: B023
            for counts in ([1, 1, 1, 1], [1, 4, 1, 1], [1, 4, 4, 1], [4, 4, 4, 4])
        ]
        assert costs == sorted(set(costs))
        assert costs[-1] == count_flops(lambda: attend(x, self.TOUCHED[:1], EVERY_FRAME))[1]

    def test_no_frames_with_keys_add_the_bias_alone(self, attend: SparseWindowAttention) -> None:
        x = _random(1, 1, 5, 9, 64)
        result = attend(x, torch.tensor([[True]]), slice(1, None, 2))
        torch.testing.assert_close(result, attend.proj.bias.expand_as(result))

    def test_the_stored_indices_are_those_of_the_ring(self, attend: SparseWindowAttention) -> None:
        assert torch.equal(attend.state_dict()["valid_ind_rolled"], windows.ring_indices(WINDOW, EXTENSION))


class TestGenerator:
    def _inputs(self, batch: int = 1, time: int = 3) -> dict[str, Tensor]:
        height, width = 40, 72
        masks = _hole(batch, time, height, width)
        flows = _random(2, batch, time - 2, 2, height, width, seed=2)
        frames = _random(batch, time, 3, height, width).clamp(-1, 1)
        return {"frames": frames, "forward": flows[0], "backward": flows[1], "masks": masks, "updated": masks}

    def test_frames_are_encoded_and_decoded_alone(self, generator: ProPainter) -> None:
        x = self._inputs(time=3)
        frames, masks = x["frames"][0], x["masks"][0]
        encoded = generator.encode(frames, masks, masks)
        assert encoded.shape == (3, 128, 10, 18)
        torch.testing.assert_close(generator.encode(frames[1:2], masks[1:2], masks[1:2]), encoded[1:2])
        assert generator.decode(encoded[:1]).shape == (1, 3, 40, 72)

    def test_clips_of_a_batch_are_independent(self, generator: ProPainter) -> None:
        x = self._inputs(batch=2)
        x["masks"][1] = x["masks"][1].roll(30, -1)
        fusion = torch.tensor([0.5, 0.8])
        both = generator(**x, num_local=2, fusion=fusion)
        assert both.shape == (2, 2, 3, 40, 72)
        for item in range(2):
            one = {name: tensor[item : item + 1] for name, tensor in x.items()}
            alone = generator(**one, num_local=2, fusion=float(fusion[item]))
            torch.testing.assert_close(alone[0], both[item], atol=1e-4, rtol=1e-4)

    def test_fusion_weighs_transformer_against_propagated_content(self, generator: ProPainter) -> None:
        features, tokens = _random(1, 2, 128, 10, 18), _random(1, 2, 4, 6, 64)
        carried, painted = generator.fuse(tokens, features, 0.0), generator.fuse(tokens, features, 1.0)
        torch.testing.assert_close(carried, 2 * features)
        torch.testing.assert_close(generator.fuse(tokens, features, 0.5), (carried + painted) / 2)
        torch.testing.assert_close(generator.fuse(tokens, features, 0.8), 0.2 * carried + 0.8 * painted)

    def test_references_are_attended(self, generator: ProPainter) -> None:
        x = self._inputs(time=4)
        before = generator(**x, num_local=3)
        x["frames"] = x["frames"].clone()
        x["frames"][:, 3] *= -1
        assert (generator(**x, num_local=3) - before).abs().amax() > 1e-3

    def test_a_single_frame_is_painted(self, generator: ProPainter) -> None:
        x = self._inputs(time=2)
        one = {name: tensor[:, :1] if tensor.shape[2] != 2 else tensor for name, tensor in x.items()}
        output = generator(**one, num_local=1)
        assert output.shape == (1, 1, 3, 40, 72)
        assert output.isfinite().all()

    def test_touched_windows_follow_the_mask(self, generator: ProPainter) -> None:
        masks = torch.zeros(1, 2, 1, 120, 240)  # features 30 x 60, tokens 10 x 20, windows 2 x 3 after padding
        masks[0, 1, 0, 100, 8] = 1  # token (8, 0) and its neighbours: the lower left window
        assert generator.touched(masks)[0].tolist() == [False, False, False, True, False, False]

    def test_sizes_it_cannot_take_are_refused(self, generator: ProPainter) -> None:
        with pytest.raises(ValueError, match="multiples of 4"):
            generator.encode(torch.zeros(1, 3, 42, 72), torch.zeros(1, 1, 42, 72), torch.zeros(1, 1, 42, 72))

    def test_runs_under_autocast(self, generator: ProPainter) -> None:
        x = self._inputs()
        expected = generator(**x, num_local=2)
        with torch.autocast("cpu", torch.bfloat16):
            found = generator(**x, num_local=2).float()
        assert (found - expected).abs().mean() < 0.05
