"""VFID: I3D's features, the Frechet distance, and what is said where weights are missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoinpaint.errors import CorruptWeightsError, InputError, MissingWeightsError
from videoinpaint.metrics.i3d import I3D, pad_same
from videoinpaint.metrics.vfid import frechet_distance, load_i3d, vfid, vfid_available, vfid_features
from videoinpaint.testing.parity.fixtures import GeneratedWeights


@pytest.fixture(scope="module")
def network() -> I3D:
    filled = GeneratedWeights(1.4)(I3D())
    assert isinstance(filled, I3D)
    return filled


def videos(count=2, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.random((6, 3, 40, 48))).float() for _ in range(count)]


def test_running_statistics_are_never_written(network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    vfid_features(videos(1)[0][None], network)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_each_video_is_normalised_by_itself(network):
    a, b = videos()
    together, alone = vfid_features(torch.stack([a, b]), network), vfid_features(a[None], network)
    assert np.allclose(together[:1], alone)


def test_videos_too_small_to_normalise_are_refused(network):
    with pytest.raises(InputError, match="more than 8 frames"):
        vfid_features(torch.rand(1, 8, 3, 32, 32), network)
    assert np.isfinite(vfid_features(torch.rand(1, 1, 3, 32, 33), network)).all()


@pytest.mark.parametrize(("size", "expected"), [(10, (2, 3)), (7, (3, 3))])
def test_same_padding_puts_the_odd_zero_behind(size, expected):
    padded = pad_same(torch.ones(1, 1, size, 8, 8), (7, 1, 1), (2, 1, 1))[0, 0, :, 0, 0]
    front = int(padded.argmax())
    assert (front, len(padded) - size - front) == expected


def test_frechet_distance_of_gaussians_with_known_moments():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4000, 3)) * [1, 2, 3]
    b = rng.standard_normal((4000, 3)) * [2, 2, 1] + [1, 0, 0]
    assert frechet_distance(a, b) == pytest.approx(1 + (1 - 2) ** 2 + (3 - 1) ** 2, rel=0.06)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + 2) == pytest.approx(12, rel=1e-6)


@pytest.mark.parametrize("samples", [4, 40])
def test_frechet_distance_equals_the_matrix_square_root(samples):
    rng = np.random.default_rng(0)
    a, b = rng.random((samples, 6)), 2 * rng.random((samples + 3, 6)) @ rng.random((6, 6))
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0)).sum()
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-5)


def test_fewer_videos_than_dimensions_still_give_a_number():
    rng = np.random.default_rng(0)
    assert np.isfinite(frechet_distance(rng.random((3, 20)), rng.random((4, 20))))
    with pytest.raises(InputError, match="2 or more"):
        frechet_distance(rng.random((1, 20)), rng.random((4, 20)))


def test_a_repair_nearer_to_the_truth_scores_lower(network):
    truth = videos(3)
    noise = videos(3, seed=1)
    slight = [0.98 * t + 0.02 * n for t, n in zip(truth, noise)]
    strong = [0.3 * t + 0.7 * torch.ones_like(t) * n.mean() for t, n in zip(truth, noise)]
    same, near, far = (vfid(repaired, truth, network) for repaired in (truth, slight, strong))
    assert same == pytest.approx(0, abs=1e-4)
    assert near < far
    with pytest.raises(InputError, match="2 or more"):
        vfid(truth[:1], truth[:1], network)


def test_missing_weights_name_the_command(monkeypatch):
    monkeypatch.setattr("videoinpaint.weights.lookup.find", lambda entry: None)
    assert not vfid_available()
    with pytest.raises(MissingWeightsError, match="videoinpaint weights fetch i3d"):
        load_i3d()


def test_old_files_without_batch_counters_load(tmp_path, network):
    stored = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
    path = tmp_path / "i3d_rgb_imagenet.pt"
    torch.save(stored, path)
    loaded = load_i3d(str(path))
    assert torch.equal(loaded.Conv3d_1a_7x7.conv3d.weight, network.Conv3d_1a_7x7.conv3d.weight)
    stored.pop("logits.conv3d.bias")
    torch.save(stored, path)
    with pytest.raises(CorruptWeightsError, match=r"logits\.conv3d\.bias"):
        load_i3d(str(path))
