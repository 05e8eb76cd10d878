"""Every detector by name; the compact one learns, looks through time and stays inside M0."""

import numpy as np
import pytest
import torch

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.detectors import DETECTORS, make_detector
from videoinpaint.detectors.compact import CompactDetector
from videoinpaint.detectors.compact.network import DetectorNetwork, along_time, planes, shrink
from videoinpaint.detectors.compact.pretraining import detection_loss, draw_repair, precision, train_detector
from videoinpaint.fitting import FitConfig
from videoinpaint.inpainters import make_inpainter


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


def test_a_clip_is_judged_in_time_and_by_what_surrounds_the_hole():
    torch.manual_seed(0)
    network = DetectorNetwork().eval()
    frames, holes = torch.rand(1, 5, 3, 48, 64), torch.zeros(1, 5, 1, 48, 64)
    holes[..., 16:28, 20:36] = 1
    logits, errors = network(frames, holes)
    assert logits.shape == (1, 5, 1, 12, 16)
    assert errors.shape == (1, 5, 3, 12, 16)
    assert errors.min() >= 0
    place = (..., slice(5, 6), slice(6, 8))  # inside the hole
    for change in ((0, 4, slice(None), slice(16, 28), slice(20, 36)), (0, 2, slice(None), slice(0, 8), slice(0, 8))):
        other = frames.clone()
        other[change] = 0
        assert not torch.equal(network(other, holes)[0][:, 2][place], logits[:, 2][place])
    one = network(frames[:, :1], holes[:, :1])[0]
    assert torch.isfinite(one).all()


def test_changes_are_to_the_frame_before_and_to_the_frame_after():
    frames = torch.zeros(1, 3, 3, 32, 32)
    frames[:, 1:] = 0.25
    found = planes(frames, torch.zeros(1, 3, 1, 32, 32))[:, 6:8, 10, 10]
    assert found.tolist() == [[0, 1], [1, 0], [0, 0]]  # in quarters; nothing comes before the first or after the last


def test_what_is_in_a_hole_does_not_count_as_its_surroundings():
    frames, holes = torch.rand(1, 2, 3, 64, 64), torch.zeros(1, 2, 1, 64, 64)
    holes[..., 24:40, 24:40] = 1
    other = torch.where(holes > 0, torch.rand(1, 2, 3, 64, 64), frames)
    expected, found = (planes(x, holes)[:, 9:] for x in (frames, other))
    torch.testing.assert_close(found, expected)
    flat = torch.where(holes > 0, frames, torch.full_like(frames, 0.5))
    # far enough from the border, where padding makes no edges
    assert planes(flat, holes)[:, 9:, 28:36, 28:36].abs().max() < 1e-4
    assert expected[:, :, 28:36, 28:36].min() > 0.1


def test_surroundings_are_means_over_known_pixels_alone():
    # Stripes of two grey values: away from holes and borders their detail is the same everywhere.
    frames = torch.full((1, 2, 3, 64, 96), 0.4)
    frames[..., ::2] = 0.6
    few, many = torch.zeros(1, 2, 1, 64, 96), torch.zeros(1, 2, 1, 64, 96)
    few[..., 30:34, 46:50] = 1
    many[..., 24:40, 36:60] = 1
    centre = (slice(None), slice(9, 10), slice(31, 33), slice(47, 49))
    torch.testing.assert_close(planes(frames, many)[centre], planes(frames, few)[centre], rtol=0.05, atol=0)


def test_time_is_mixed_at_each_position_apart():
    layer = torch.nn.Conv1d(5, 5, 3, padding=1)
    x = torch.rand(2 * 4, 5, 3, 6)
    mixed = along_time(layer, x, batch=2)
    row = x[4:, :, 1, 2].T[None]  # the second clip's frames at one position
    torch.testing.assert_close(mixed[4:, :, 1, 2].T[None], layer(row))


def test_loss_is_finite_with_gradients_for_every_parameter():
    torch.manual_seed(0)
    network = DetectorNetwork()
    total = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        total = total + detection_loss(network, *draw_repair(windows(), telea, rng))[0]
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
