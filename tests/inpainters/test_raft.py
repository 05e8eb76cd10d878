"""RAFT: torchvision's function under the original names; clips matched both ways with every frame encoded once."""

from collections import OrderedDict

import pytest
import torch
from torch.nn import functional as F
from torchvision.models.optical_flow import raft_large

from videoinpaint.inpainters.published.propainter import raft as raft_module
from videoinpaint.inpainters.published.propainter.raft import RAFT, clip_flows


@pytest.fixture(scope="module")
def raft() -> RAFT:
    torch.manual_seed(0)
    network = RAFT().eval().requires_grad_(False)
    for module in network.modules():  # so that running statistics matter
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.8, 1.2)
    return network


def _frames(count: int, height: int = 128, width: int = 136, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_equals_torchvision(raft: RAFT) -> None:
    one, two = _frames(2, batch=2).unbind(1)
    expected = raft.network(one, two, num_flow_updates=3)[-1]
    low, up = raft(one, two, iterations=3)
    assert low.shape == (2, 2, 16, 17)
    torch.testing.assert_close(up, expected, atol=1e-4, rtol=1e-4)
    assert up.std() > 0.01


def test_loads_the_original_file_layout(raft: RAFT) -> None:
    """Original names behind a DataParallel prefix; of the doubled normalisation the later entry counts."""
    official = raft.state_dict()
    assert {"fnet.conv1.weight", "cnet.norm1.running_var", "update_block.gru.convq2.bias"} <= official.keys()
    stored = OrderedDict((f"module.{name}", tensor.clone()) for name, tensor in official.items())
    stored["module.cnet.layer2.0.norm3.weight"].zero_()
    fresh = RAFT().eval()
    fresh.load_state_dict(stored, strict=True)
    theirs = raft_large(weights=None)
    theirs.load_state_dict(fresh.network.state_dict(), strict=True)
    for name, tensor in raft.network.state_dict().items():
        assert torch.equal(fresh.network.state_dict()[name], tensor), name


def test_a_file_that_lacks_or_adds_a_tensor_is_refused(raft: RAFT) -> None:
    state = raft.state_dict()
    gone = state.pop("fnet.conv2.bias")
    with pytest.raises(RuntimeError, match=r"feature_encoder\.conv\.bias"):
        RAFT().load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"fnet\.conv3\.bias"):
        RAFT().load_state_dict(state | {"fnet.conv2.bias": gone, "fnet.conv3.bias": gone})


def test_names_survive_inside_another_module(raft: RAFT) -> None:
    outer = torch.nn.ModuleDict({"flow": raft})
    assert "flow.update_block.mask.2.bias" in outer.state_dict()
    torch.nn.ModuleDict({"flow": RAFT()}).load_state_dict(outer.state_dict(), strict=True)


def test_clip_flows_are_those_of_the_pairs(raft: RAFT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raft_module, "PAIRS_AT_ONCE", 3)
    frames = _frames(3, batch=2)
    forward, backward = clip_flows(raft, frames, iterations=2)
    assert forward.shape == backward.shape == (2, 2, 2, 128, 136)
    for t in range(2):
        torch.testing.assert_close(forward[:, t], raft(frames[:, t], frames[:, t + 1], 2)[1], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(backward[:, t], raft(frames[:, t + 1], frames[:, t], 2)[1], atol=1e-4, rtol=1e-4)


def test_every_frame_of_a_clip_is_encoded_once(raft: RAFT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raft_module, "PAIRS_AT_ONCE", 3)
    seen = {"feature_encoder": 0, "context_encoder": 0}

    def counter(name: str):
        def count(_module, arguments, _output) -> None:
            seen[name] += len(arguments[0])

        return count

    handles = [getattr(raft.network, name).register_forward_hook(counter(name)) for name in seen]
    clip_flows(raft, _frames(4), iterations=1)
    for handle in handles:
        handle.remove()
    assert seen == {"feature_encoder": 4, "context_encoder": 4}


def test_other_sizes_are_resized_and_their_flows_scaled_back(raft: RAFT) -> None:
    frames = _frames(2, 64, 68)
    forward, _ = clip_flows(raft, frames, iterations=1)
    large = F.interpolate(frames[0], (128, 128), mode="bilinear", align_corners=False)
    expected = F.interpolate(raft(large[:1], large[1:], 1)[1], (64, 68), mode="bilinear", align_corners=False)
    expected = expected * torch.tensor([68 / 128, 64 / 128]).view(2, 1, 1)
    torch.testing.assert_close(forward[0], expected, atol=1e-4, rtol=1e-4)


def test_a_single_frame_has_no_flow(raft: RAFT) -> None:
    forward, backward = clip_flows(raft, _frames(1))
    assert forward.shape == backward.shape == (1, 0, 2, 128, 136)


@pytest.mark.parametrize("size", [(120, 128), (128, 132)])
def test_sizes_that_raft_cannot_take_are_refused(raft: RAFT, size: tuple[int, int]) -> None:
    frame = torch.zeros(1, 3, *size)
    with pytest.raises(ValueError, match="multiples of 8"):
        raft(frame, frame)
