"""What the policy that sees numbers alone measures at full resolution, and that it trains, saves and acts."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import ndimage

from videoinpaint.agents.policies.acting import NetworkPolicy
from videoinpaint.agents.policies.described import (
    BESIDE,
    BOUND,
    DESCRIBED,
    RADII,
    DescribedPolicy,
    DescriptionExtractor,
    described,
    measured_details,
)
from videoinpaint.agents.policies.export import blank_network, load_policy, save_policy
from videoinpaint.agents.policies.features import FEATURES, clip_features
from videoinpaint.agents.policies.thumbnails import thumbnails
from videoinpaint.errors import InputError


def clip(height=60, width=108, seed=0):
    """Fine noise on the left and a smooth ramp on the right, and a hole in either half."""
    rng = np.random.default_rng(seed)
    grey = np.broadcast_to(np.linspace(0, 200, width)[None, None], (2, height, width)).copy()
    grey[..., : width // 2] += rng.uniform(0, 55, (2, height, width // 2))
    masks = np.zeros((2, 2, height, width), np.uint8)
    masks[0, :, 20:40, 15:30] = 255
    masks[1, :, 20:40, width - 30 : width - 15] = 255
    frames = np.repeat(grey[:, None], 3, 1).reshape(1, 6, height, width).round().astype(np.uint8)
    return torch.from_numpy(frames).repeat(2, 1, 1, 1), torch.from_numpy(masks)


def test_details_are_what_scipy_measures():
    frames, masks = clip()
    found = measured_details(frames, masks)
    grey = frames.numpy().reshape(2, 2, 3, 60, 108).mean(2) / 255
    for name, radius in RADII.items():
        size = 2 * radius + 1
        detail = np.abs(grey - ndimage.uniform_filter(grey, (0, 0, size, size), mode="nearest"))
        reached = ndimage.maximum_filter(masks.numpy(), (1, 1, size, size)) > 0
        near = ndimage.maximum_filter(reached, (1, 1, 2 * BESIDE + 1, 2 * BESIDE + 1)) & ~reached
        for clip_index in range(2):
            for key, where in ((name, ~reached), (f"{name}_beside", near)):
                expected = np.log(detail[clip_index][where[clip_index]].mean())
                assert found[key][clip_index].item() == pytest.approx(expected, abs=1e-3)
    assert (found["fine_beside"][0] > found["fine_beside"][1] + 1).item()  # noise beside the hole, or a ramp


def test_what_lies_in_the_hole_does_not_count_and_nothing_known_is_bounded():
    frames, masks = clip()
    other = frames.clone()
    other.view(2, 2, 3, 60, 108)[masks.unsqueeze(2).expand(-1, -1, 3, -1, -1) > 0] = 255
    for one, two in zip(measured_details(frames, masks).values(), measured_details(other, masks).values()):
        torch.testing.assert_close(one, two)
    for flat_frames, flat_masks in ((torch.full_like(frames, 90), masks), (frames, torch.full_like(masks, 255))):
        found = described(flat_frames, flat_masks)
        assert found.isfinite().all()
        assert found.abs().max() <= BOUND
    none = measured_details(frames, torch.zeros_like(masks))
    assert torch.equal(none["fine"], none["fine_beside"])


def test_a_description_begins_with_the_features_of_thumbnails():
    frames, masks = clip()
    found = described(frames, masks)
    assert found.shape == (2, DESCRIBED)
    assert torch.equal(found[:, : len(FEATURES)], clip_features(thumbnails(frames, masks)))
    torch.testing.assert_close(found[1:], described(frames[1:], masks[1:]))


def test_it_acts_on_observations_as_on_descriptions_and_after_a_round_trip(tmp_path):
    network = blank_network(DescribedPolicy)
    torch.nn.init.normal_(network.action_net.linear.weight, generator=torch.Generator().manual_seed(0))
    frames, masks = clip()
    acted = NetworkPolicy(network).act({"frames": frames.numpy(), "masks": masks.numpy()})
    with torch.no_grad():
        means = network.get_distribution({"description": described(frames, masks)}).mode()
    np.testing.assert_allclose(acted, means.numpy(), atol=1e-6)
    assert np.abs(acted[0] - acted[1]).max() > 1e-3
    again = load_policy(save_policy(tmp_path / "policy.safetensors", network))
    assert isinstance(again.network, DescribedPolicy)
    assert np.array_equal(again.act({"frames": frames.numpy(), "masks": masks.numpy()}), acted)


def test_its_extractor_takes_an_observation_or_a_description_alone():
    pictures = {
        "frames": spaces.Box(0, 255, (6, 60, 108), np.uint8),
        "masks": spaces.Box(0, 255, (2, 60, 108), np.uint8),
    }
    frames, masks = clip()
    found = DescriptionExtractor(spaces.Dict(pictures))({"frames": frames / 255, "masks": masks / 255})
    torch.testing.assert_close(found, described(frames, masks), atol=1e-3, rtol=1e-3)
    with pytest.raises(InputError, match="frames"):
        DescriptionExtractor(spaces.Dict({"other": spaces.Box(0, 1, (3,))}))
