"""The residue detector: crops, correlation, training, and what the shipped weights can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from videoinpaint.clips.sources.pasted import OneShotClips
from videoinpaint.errors import InputError
from videoinpaint.fitting import FitConfig
from videoinpaint.inpainters.ciri.crops import (
    SMALLEST,
    bounding_boxes,
    crop,
    laid_back,
    search_boxes,
    target_box,
)
from videoinpaint.inpainters.ciri.residue import (
    ResidueDetector,
    depthwise_correlation,
    load_residue_detector,
    residue_maps,
    template_of,
)
from videoinpaint.inpainters.ciri.residue_pretraining import (
    CLEAN,
    ResidueData,
    residue_loss,
    tensors,
    train_residue_detector,
)
from videoinpaint.motion.neighbourhoods import window_max


def rectangle(left: int, top: int, right: int, bottom: int, height: int = 60, width: int = 80) -> Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, top:bottom, left:right] = 1
    return mask


@pytest.fixture(scope="module")
def random_detector() -> ResidueDetector:
    return load_residue_detector(weights="random")


class TestCrops:
    def test_box_is_the_minimum_bounding_rectangle(self) -> None:
        assert target_box(rectangle(10, 20, 40, 45)).tolist() == [20, 10, 45, 40]

    def test_tiny_targets_get_the_smallest_box_about_them(self) -> None:
        top, left, bottom, right = target_box(rectangle(30, 30, 32, 60)).tolist()
        assert (right - left, bottom - top) == (SMALLEST, 30)
        assert (left + right) / 2 == 31

    def test_an_absent_target_is_refused(self) -> None:
        with pytest.raises(InputError, match="empty"):
            target_box(torch.zeros(1, 60, 80))

    def test_search_is_twice_the_region_and_stays_where_it_was_while_nothing_is_predicted(self) -> None:
        first = rectangle(10, 10, 40, 30)
        masks = torch.stack([first, rectangle(20, 12, 60, 52), torch.zeros_like(first), rectangle(30, 20, 40, 30)])
        boxes = search_boxes(masks, first)
        assert boxes[0].tolist() == [0, -5, 40, 55]
        assert boxes[1].tolist() == [-8, 0, 72, 80]
        assert torch.equal(boxes[2], boxes[1])
        # A piece of the target is searched as widely as the target was large.
        assert boxes[3].tolist() == [5, 5, 45, 65]

    def test_a_crop_of_the_whole_frame_is_the_frame(self) -> None:
        picture = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
        box = torch.tensor([[0.0, 0.0, 48.0, 48.0]])
        torch.testing.assert_close(crop(picture, box, 48), picture, atol=1e-5, rtol=0)
        torch.testing.assert_close(laid_back(picture, box, 48, 48), picture, atol=1e-5, rtol=0)

    def test_beyond_the_border_the_border_is_repeated(self) -> None:
        picture = torch.zeros(1, 1, 20, 20)
        picture[..., 0] = 1
        assert torch.all(crop(picture, torch.tensor([[0.0, -20.0, 20.0, 0.0]]), 10) == 1)

    def test_large_boxes_are_averaged(self) -> None:
        stripes = (torch.arange(400) % 2).float().expand(1, 1, 400, 400)
        small = crop(stripes, torch.tensor([[0.0, 0.0, 400.0, 400.0]]), 50)
        torch.testing.assert_close(small, torch.full_like(small, 0.5))

    def test_a_crop_is_the_same_beside_larger_boxes(self) -> None:
        pictures = torch.rand(3, 3, 300, 300, generator=torch.Generator().manual_seed(0))
        boxes = torch.tensor([[20.0, 30.0, 60.0, 70.0], [0.0, 0.0, 300.0, 290.0], [100.0, 90.0, 220.0, 210.0]])
        alone = torch.cat([crop(pictures[i : i + 1], boxes[i : i + 1], 50) for i in range(3)])
        assert torch.equal(crop(pictures, boxes, 50), alone)
        same = torch.cat([crop(pictures[:1], box[None], 50) for box in boxes])
        assert torch.equal(crop(pictures[:1], boxes, 50), same)
        assert crop(pictures[:1], boxes[:0], 50).shape == (0, 3, 50, 50)

    def test_gradients_reach_exactly_the_pixels_within(self) -> None:
        picture = torch.rand(1, 3, 40, 40, requires_grad=True)
        crop(picture, torch.tensor([[10.0, 10.0, 20.0, 20.0]]), 30).sum().backward()
        assert picture.grad is not None
        touched = picture.grad[0, 0] != 0
        assert touched[10:20, 10:20].all()
        assert not touched[:8].any()
        assert not touched[:, 22:].any()

    def test_laid_back_crops_lie_where_they_were_cut(self) -> None:
        mask = rectangle(30, 20, 50, 40)[None]
        box = torch.tensor([[10.0, 20.0, 50.0, 60.0]])
        torch.testing.assert_close(laid_back(crop(mask, box, 80), box, 60, 80), mask, atol=0.3, rtol=0)

    def test_empty_masks_are_said_to_be_empty(self) -> None:
        _, present = bounding_boxes(torch.stack([torch.zeros(1, 60, 80), rectangle(0, 0, 5, 5)]))
        assert present.tolist() == [False, True]


class TestDetector:
    def test_shapes_and_size(self, random_detector: ResidueDetector) -> None:
        assert random_detector(torch.rand(2, 3, 127, 127), torch.rand(2, 3, 255, 255)).shape == (2, 1, 64, 64)
        assert sum(p.numel() for p in random_detector.parameters()) < 400_000

    def test_one_template_serves_all_searches(self, random_detector: ResidueDetector) -> None:
        generator = torch.Generator().manual_seed(0)
        template, search = (torch.rand(n, 3, s, s, generator=generator) for n, s in ((1, 127), (2, 255)))
        together = random_detector(template, search)
        apart = torch.cat([random_detector(template, item[None]) for item in search])
        torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)

    def test_the_template_matters(self, random_detector: ResidueDetector) -> None:
        search = torch.rand(1, 3, 255, 255)
        dark, bright = (random_detector(torch.full((1, 3, 127, 127), v), search) for v in (0.1, 0.9))
        assert not torch.allclose(dark, bright)

    def test_disagreeing_batches_are_refused(self, random_detector: ResidueDetector) -> None:
        with pytest.raises(InputError, match="templates"):
            random_detector(torch.rand(2, 3, 127, 127), torch.rand(3, 3, 255, 255))

    def test_correlation_is_that_of_a_plain_loop(self) -> None:
        generator = torch.Generator().manual_seed(0)
        kernel, search = torch.rand(2, 3, 3, 3, generator=generator), torch.rand(2, 3, 9, 9, generator=generator)
        result = depthwise_correlation(kernel, search, spread=2)
        for item, channel, y, x in ((0, 0, 4, 4), (1, 2, 2, 6), (1, 1, 0, 8)):
            expected = sum(
                float(kernel[item, channel, i, j] * search[item, channel, y + 2 * (i - 1), x + 2 * (j - 1)])
                for i in range(3) for j in range(3) if 0 <= y + 2 * (i - 1) < 9 and 0 <= x + 2 * (j - 1) < 9
            )  # fmt: skip
            assert float(result[item, channel, y, x]) == pytest.approx(expected / 9, abs=1e-6)

    def test_template_shows_the_target_alone(self) -> None:
        frame, first = torch.zeros(3, 60, 80), rectangle(20, 20, 40, 40)
        first[:, 20:30, 20:30] = 0
        template = template_of(frame, first)
        assert float(template[..., 30, 30].mean()) == pytest.approx(0.5)
        assert float(template[..., 100, 100].mean()) == 0


@pytest.fixture(scope="module")
def data() -> ResidueData:
    return ResidueData([OneShotClips()], sizes=((64, 96),), num_frames=3, looks=2)


class TestTraining:
    def test_examples_hold_residue_and_clean_repairs(self, data: ResidueData) -> None:
        batches = [data.draw(np.random.default_rng([1, i])) for i in range(8)]
        left = torch.cat([batch.labels for batch in batches]).flatten(1).amax(1)
        assert 0 < CLEAN < 1
        assert (left > 0.5).any()
        assert (left == 0).any()
        assert batches[0].searches.shape == (4, 3, 255, 255)

    def test_examples_follow_the_seed(self, data: ResidueData) -> None:
        one, other = (data.draw(np.random.default_rng(5)) for _ in range(2))
        assert torch.equal(one.searches, other.searches)
        assert torch.equal(one.labels, other.labels)

    def test_a_perfect_map_has_no_loss(self) -> None:
        labels = (torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.5).float()
        right, wrong = (residue_loss(sign * 40 * (2 * labels - 1), labels)[0] for sign in (1, -1))
        assert float(right) < 1e-3 < float(wrong)

    def test_training_writes_weights_that_load_and_goes_on_where_it_was(
        self, data: ResidueData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = FitConfig(tmp_path / "run", iterations=2, progress=False, save_seconds=0.0)
        small = replace(data, batch=1, looks=1)
        losses: list[Tensor] = []

        def interrupted(*inputs: Tensor) -> Any:
            if len(losses) == 1:
                raise KeyboardInterrupt
            losses.append(inputs[0])
            return residue_loss(*inputs)

        monkeypatch.setattr("videoinpaint.inpainters.ciri.residue_pretraining.residue_loss", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_residue_detector(small, config, tmp_path / "weights.safetensors")
        monkeypatch.undo()
        assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["iteration"] == 1
        output = train_residue_detector(small, config, tmp_path / "weights.safetensors")
        assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["iteration"] == 2
        whole = train_residue_detector(small, replace(config, folder=tmp_path / "whole"), tmp_path / "w.safetensors")
        assert output.read_bytes() == whole.read_bytes()
        load_residue_detector(weights=str(output))

    def test_clips_without_a_target_are_refused(self) -> None:
        clip = OneShotClips().backgrounds.sample(np.random.default_rng(0), 2, 64, 96)
        with pytest.raises(InputError, match="one-shot"):
            tensors(clip)


class TestShippedWeights:
    def test_what_is_left_of_a_target_is_found_and_a_clean_repair_is_left_alone(self) -> None:
        detector, source, responses = load_residue_detector(), OneShotClips(), []
        for name in source.names()[:6]:  # seeds that training never draws
            observed, background, truth = tensors(source.load(name, 3, 96, 160))
            left = truth.clone()
            left[..., : int(truth[0].nonzero()[:, 2].float().median())] = 0  # the target's right half
            bad = observed * left + background * (1 - left)
            with torch.no_grad():
                asked = template_of(observed[0], truth[0]), search_boxes(truth, truth[0])
                maps = [residue_maps(detector, asked[0], repaired, asked[1]) for repaired in (background, bad)]
            inside, outside = window_max(left, 1)[1:] > 0, window_max(left, 3)[1:] == 0
            if left[1:].sum() > 50:
                responses.append((maps[0][1:].mean(), maps[1][1:].mean(),
                                  maps[1][1:][inside].mean() - maps[1][1:][outside].mean()))  # fmt: skip
        assert len(responses) > 3
        clean, unclean, contrast = np.array(responses, dtype=float).T
        assert np.mean(unclean > clean) > 0.8
        assert unclean.mean() > 2 * clean.mean()
        assert np.median(contrast) > 0.2
