"""Pre-training of FOCAL: the contrastive loss, resuming, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.detectors import make_detector
from videoinpaint.detectors.focal.augmentation import compressed
from videoinpaint.detectors.focal.hrnet import HRNetExtractor
from videoinpaint.detectors.focal.pretraining import contrastive_loss, focal_precision, info_nce, train_focal
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig
from videoinpaint.weights import read_file

SLIM = (((32, 32), 1), ((32, 32, 32), 1), ((32, 32, 32, 32), 1))


@pytest.fixture(autouse=True)
def slim(monkeypatch):
    """The same network with fewer modules and channels: training tests stay quick."""
    monkeypatch.setattr("videoinpaint.detectors.focal.hrnet.STAGES", SLIM)


def windows(num_frames=2):
    return Windows([make_clips("studio")], make_masks("stationary"), num_frames=num_frames, height=32, width=64)


def grey(corrupted, holes, rng):
    """The plainest of poor repairs: the hole stays grey."""
    return corrupted


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_info_nce_equals_its_definition():
    pristine, forged = unit(5, 8), unit(3, 8, seed=1)
    terms = []
    for i, query in enumerate(pristine):
        positive = torch.stack([query @ key for j, key in enumerate(pristine) if j != i]).mean() / 0.1
        negatives = torch.stack([query @ key for key in forged]) / 0.1
        terms.append(torch.cat([positive[None], negatives]).logsumexp(0) - positive)
    assert torch.allclose(info_nce(pristine, forged), torch.stack(terms).mean(), atol=1e-5)


def test_info_nce_rewards_separation():
    apart = info_nce(F.normalize(torch.ones(6, 4), dim=1), -F.normalize(torch.ones(6, 4), dim=1))
    mixed = info_nce(F.normalize(torch.ones(6, 4), dim=1), F.normalize(torch.ones(6, 4), dim=1))
    assert float(apart) < 1e-4
    assert float(mixed) == pytest.approx(np.log(7), abs=1e-5)


class Painted(torch.nn.Module):
    """Stands in for the network: features are the frames' own colours, at a quarter of the size."""

    def accepted_size(self, height, width):
        return height, width

    def forward(self, images):
        return F.avg_pool2d(images, 4)


def test_images_are_never_compared_with_each_other():
    """What is pristine in one image may look like what is forged in another."""
    frames = torch.zeros(1, 2, 3, 32, 32)
    holes = torch.zeros(1, 2, 1, 32, 32)
    holes[..., :16] = 1
    frames[:, 0, 0], frames[:, 1, 1] = 1, 1
    frames[0, 0, :, :, :16] = torch.tensor([0.0, 1, 0])[:, None, None]
    frames[0, 1, :, :, :16] = torch.tensor([1.0, 0, 0])[:, None, None]
    loss, logged = contrastive_loss(Painted(), frames, holes, holes.expand(-1, -1, 3, -1, -1), np.random.default_rng(0))
    assert logged["images"] == 2
    assert float(loss) < 0.1


def test_a_batch_without_poor_pixels_teaches_nothing():
    network = HRNetExtractor()
    frames, holes = torch.rand(1, 1, 3, 32, 64), torch.zeros(1, 1, 1, 32, 64)
    loss, logged = contrastive_loss(network, frames, holes, torch.zeros_like(frames), np.random.default_rng(0))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logged["images"] == 0


def test_windows_too_small_to_normalise_are_refused(tmp_path):
    small = Windows([make_clips("studio")], make_masks("stationary"), num_frames=1, height=32, width=32)
    with pytest.raises(InputError, match="32x32"):
        train_focal(small, grey, FitConfig(tmp_path), tmp_path / "w.safetensors")


def test_an_interrupted_run_goes_on_and_its_weights_load(tmp_path):
    def train(repair):
        config = FitConfig(
            tmp_path / "run", 2, progress=False, warmup=1, log_every=1, learning_rate=0, save_seconds=0.0
        )
        return train_focal(windows(1), repair, config, tmp_path / "run.safetensors")

    def interrupted(corrupted, holes, rng):
        if (tmp_path / "run/checkpoint.pt").exists():
            raise KeyboardInterrupt
        return corrupted

    with pytest.raises(KeyboardInterrupt):
        train(interrupted)
    train(grey)
    lines = (tmp_path / "run/log.jsonl").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ['{"iteration": 1', '{"iteration": 2']
    tensors, metadata = read_file(tmp_path / "run.safetensors")
    part = make_detector("focal_hrnet", weights=str(tmp_path / "run.safetensors"))
    assert metadata["size"] == "0"
    assert part.size == 0
    assert torch.equal(part.networks[0].state_dict()["net.conv1.weight"], tensors["net.conv1.weight"])


def striped(seed):
    """Two smooth scenes; in half of the blocks of the hole the repair left stripes. Repair, holes, errors."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 6, 10, generator=generator)
    scene = F.interpolate(coarse, size=(64, 96), mode="bicubic").clamp(0, 1)[None]
    holes = torch.zeros(1, 2, 1, 64, 96)
    holes[..., 16:48, 16:80] = 1
    blocks = F.interpolate((torch.rand(2, 1, 8, 12, generator=generator) > 0.5).float(), scale_factor=8)
    stripes = 0.3 * (2 * (torch.arange(64)[:, None] // 2 % 2) - 1.0) * holes * blocks
    return (scene + stripes).clamp(0, 1), holes, stripes.abs().expand(-1, -1, 3, -1, -1)


def test_the_loss_teaches_the_clustered_features_to_find_errors():
    torch.manual_seed(0)
    network = HRNetExtractor()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    held_out = [striped(seed) for seed in (1000, 1001)]
    before = focal_precision(network.eval(), held_out)
    network.train()
    for seed in range(36):
        loss, _ = contrastive_loss(network, *striped(seed), np.random.default_rng(seed))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = focal_precision(network.eval(), held_out)
    assert before["average_precision"] < before["constant"] + 0.15
    assert after["average_precision"] > 0.8


def test_jpeg_takes_red_for_red():
    """It keeps brightness best, of which red is more than blue."""
    stripes = np.uint8(200) * (np.arange(64) // 3 % 2).astype(np.uint8)[None].repeat(64, 0)
    lost = []
    for channel in (0, 2):
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[..., channel] = stripes
        lost.append(float(np.square(compressed(picture, 60).astype(float) - picture).mean()))
    assert lost[0] < lost[1]
