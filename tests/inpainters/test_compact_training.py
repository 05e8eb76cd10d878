"""Training the compact network: its loss, what is drawn for it, and the files that it begins from and writes."""

import numpy as np
import pytest
import torch

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.controls import HIGH, LOW, NAMES, Controls
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig
from videoinpaint.inpainters.compact import CompactInpainter
from videoinpaint.inpainters.compact.config import CompactConfig
from videoinpaint.inpainters.compact.memory import recall
from videoinpaint.inpainters.compact.network import CompactNetwork
from videoinpaint.inpainters.compact.pretraining import (
    begin_from,
    draw_batch,
    draw_controls,
    imperfect_error_mask,
    train_inpainter,
    unrolled_loss,
)
from videoinpaint.metrics.backbone import get_backbone
from videoinpaint.weights import save_safetensors

SMALL = CompactConfig(base=8, mid=16, dim=48, hidden=48, depth=2)
FIRST = CompactConfig(8, 16, 48, 48, 2, sparing=0, smooth=0, grain=0, choosing=0)  # as version 0.1.0 was


def windows():
    return Windows([make_clips("studio")], make_masks("mixed"), num_frames=3, height=48, width=64)


def test_loss_is_finite_at_every_depth_of_the_loop():
    network, backbone = CompactNetwork(SMALL), get_backbone("alex")
    for seed in range(6):
        rng = np.random.default_rng(seed)
        value, scalars = unrolled_loss(network, draw_batch(windows(), rng, network.motions), rng, backbone)
        assert torch.isfinite(value)
        assert scalars["coarse"] >= 0


def test_training_writes_weights_that_load(tmp_path):
    config = FitConfig(tmp_path / "run", iterations=3, progress=False)
    path = train_inpainter(windows(), config, tmp_path / "w.safetensors", SMALL)
    part = CompactInpainter(weights=str(path))
    assert part.network.config == SMALL


def test_drawn_controls_lie_in_their_ranges():
    rng = np.random.default_rng(0)
    rows = torch.cat([draw_controls(rng, 4) for _ in range(50)]).numpy()
    for index, (low, high) in enumerate(zip(LOW, HIGH)):
        assert rows[:, index].min() >= low - 1e-6, NAMES[index]
        assert rows[:, index].max() <= high + 1e-6, NAMES[index]


def test_the_stand_in_detector_stays_inside_the_hole():
    rng = np.random.default_rng(0)
    batch = draw_batch(windows(), rng, 1)
    start = recall(batch.memory, batch.holes, torch.tensor([12.0]))[0]
    mask = imperfect_error_mask(start, batch, rng)
    assert mask[batch.holes == 0].max() == 0
    assert 0 <= mask.min() <= mask.max() <= 1


def test_weights_of_other_sizes_give_what_fits(tmp_path):
    torch.manual_seed(0)
    first, file = CompactNetwork(FIRST), tmp_path / "first.safetensors"
    save_safetensors(file, dict(first.state_dict()), {k: str(v) for k, v in FIRST.as_dict().items()})
    network = CompactNetwork(SMALL)
    fresh = begin_from(network, file)
    assert {name.split(".")[0] for name in fresh} == {"chooser", "patch", "unfold", "grow", "grain"}
    assert torch.equal(network.stem.weight, first.stem.weight)
    save_safetensors(file, {"other": torch.zeros(2)}, {})
    with pytest.raises(InputError, match="holds nothing for this network"):
        begin_from(network, file)


@torch.no_grad()
def test_the_shipped_weights_obey_every_control():
    """The trained controls change the repair, visibly, not by rounding."""
    part = CompactInpainter()
    batch = draw_batch(windows(), np.random.default_rng(3), 1)
    state = part.begin(batch.corrupted, batch.holes)

    def repair(**changes):
        frames = part.refine(state, batch.corrupted, batch.holes, Controls(**changes).to_array()[None]).frames
        return frames[batch.holes.expand_as(frames) > 0]

    neutral = repair()
    for change in ({"heads": 2}, {"fusion": 0.5}, {"fusion": 0.8}, {"alpha": 0.8}, {"beta": 0.6}, {"gamma": 0.3}):
        assert (repair(**change) - neutral).abs().mean() > 5e-4, change
