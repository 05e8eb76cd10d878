"""Every detector by name; the compact one learns, clusters and stays inside M0."""

import numpy as np
import pytest
import torch

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.windows import Windows
from videoinpaint.detectors import DETECTORS, make_detector
from videoinpaint.detectors.compact import CompactDetector
from videoinpaint.detectors.compact.network import DetectorNetwork, shrink
from videoinpaint.detectors.compact.training import contrastive_loss, draw_repair, precision, train_detector
from videoinpaint.inpainters import make_inpainter
from videoinpaint.training import FitConfig


def windows():
    return Windows([make_clips("studio")], make_masks("mixed"), num_frames=3, height=48, width=64)


def telea(corrupted, holes, rng):
    return make_inpainter("telea").begin(corrupted, holes)["filled"]


@pytest.mark.parametrize("name", [n for n in DETECTORS.names() if not n.startswith("focal")])  # tested apart
@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
def test_shapes_ranges_guidance_and_determinism(name, size):
    part = make_detector(name)
    frames = torch.rand(2, 3, 3, *size, generator=torch.Generator().manual_seed(0))
    holes = torch.zeros(2, 3, 1, *size)
    holes[..., 8:20, 10:30] = 1
    found = part.detect(frames, holes)
    assert found.masks.shape == holes.shape
    assert found.weights.shape == frames.shape
    assert 0 <= found.masks.min() <= found.masks.max() <= 1
    assert found.masks[holes == 0].max() == 0
    assert found.weights.min() >= 0
    assert torch.allclose(found.weights.mean(2, keepdim=True), found.masks, atol=1e-4)
    assert torch.equal(part.detect(frames, holes).masks, found.masks)
    alone = part.detect(frames[1:], holes[1:])
    assert torch.allclose(alone.masks, found.masks[1:], atol=1e-5)


def test_known_pixels_are_never_in_the_poor_cluster():
    network = DetectorNetwork()
    features = torch.nn.functional.normalize(torch.randn(1, 2, 32, 6, 8), dim=2)
    holes = torch.zeros(1, 2, 1, 6, 8)
    holes[..., :3] = 1
    marked = features.clone()
    marked[..., 3:] = torch.nn.functional.normalize(torch.randn(1, 2, 32, 6, 5), dim=2)
    centres, other = network.cluster(features, holes, rounds=1), network.cluster(marked, holes, rounds=1)
    assert torch.allclose(centres[:, 1], other[:, 1], atol=1e-5)
    assert not torch.allclose(centres[:, 0], other[:, 0], atol=1e-3)


def test_loss_is_finite_with_gradients_for_every_parameter():
    torch.manual_seed(0)
    network = DetectorNetwork()
    total = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        total = total + contrastive_loss(network, *draw_repair(windows(), telea, rng), rng)[0]
    total.backward()
    assert torch.isfinite(total)
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_a_short_training_beats_chance_and_its_weights_load(tmp_path):
    config = FitConfig(tmp_path / "run", iterations=60, progress=False, learning_rate=2e-3, warmup=10)
    path = train_detector(windows(), telea, config, tmp_path / "w.safetensors")
    part = CompactDetector(weights=str(path))
    batches = [draw_repair(windows(), telea, np.random.default_rng(100 + i)) for i in range(6)]
    found = precision(part.network, batches)
    assert found["average_precision"] > found["constant"]


def test_shrink_averages():
    masks = torch.zeros(1, 1, 1, 8, 8)
    masks[..., :4, :4] = 1
    assert shrink(masks, (2, 2)).flatten().tolist() == [1, 0, 0, 0]


def test_the_shipped_detector_sees_errors():
    part = make_detector("compact")
    batches = [draw_repair(windows(), telea, np.random.default_rng(500 + i)) for i in range(8)]
    found = precision(part.network, batches)
    assert found["average_precision"] > 1.2 * found["constant"]
