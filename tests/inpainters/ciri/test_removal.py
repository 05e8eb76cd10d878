"""Online residue removal: the contextual loss, what is tuned and what is not, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from videoinpaint.clips.sources.pasted import OneShotClips
from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri import removal_objective
from videoinpaint.inpainters.ciri.contextual import contextual_similarity, conv3_2
from videoinpaint.inpainters.ciri.removal import RemovalReport, remove_residues
from videoinpaint.inpainters.ciri.removal_config import RemovalConfig, removal_config
from videoinpaint.inpainters.ciri.removal_objective import SPAN, spans_of
from videoinpaint.inpainters.ciri.residue import ResidueDetector, load_residue_detector
from videoinpaint.inpainters.ciri.residue_pretraining import blurred, tensors
from videoinpaint.metrics.backbone import get_backbone

FAST = RemovalConfig(learning_rate=0.5, chunk=2)


class ThresholdTracker:
    """Masks that grow with one parameter: a blurred true mask, cut softly at a level that starts too high."""

    def __init__(self, truth: Tensor, level: float = 2.0) -> None:
        self.truth, self.level = truth, nn.Parameter(torch.tensor(level))
        self.soft = torch.logit(blurred(truth, 3.0).clamp(0.001, 0.999))

    def masks(self) -> Tensor:
        return torch.cat([self.truth[:1], torch.sigmoid(4 * (self.soft[1:] - self.level))])

    def parameters(self) -> list[nn.Parameter]:
        return [self.level]


class StubbornTracker(ThresholdTracker):
    """Has parameters that its masks do not depend on."""

    def masks(self) -> Tensor:
        return super().masks().detach()


class FixedTracker(ThresholdTracker):
    """Has nothing to tune."""

    def parameters(self) -> list[nn.Parameter]:
        return []


class Painter(nn.Module):
    """A frozen inpainter with a parameter of its own, which must not move: it knows the background."""

    def __init__(self, observed: Tensor, background: Tensor) -> None:
        super().__init__()
        self.observed, self.background = observed, background
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, masks: Tensor, chosen: Tensor) -> Tensor:
        return masks * self.gain * self.background[chosen] + (1 - masks) * self.observed[chosen]


Scene = tuple[Tensor, Tensor, Painter]


@pytest.fixture(scope="module")
def scene() -> Scene:
    source = OneShotClips(area=(0.15, 0.2), leaving=0.0)
    observed, background, truth = tensors(source.load(source.names()[2], 4, 96, 144))
    return observed, truth, Painter(observed, background)


@pytest.fixture(scope="module")
def detector() -> ResidueDetector:
    return load_residue_detector()


def tuned(scene: Scene, detector: ResidueDetector, seed: int = 0) -> tuple[ThresholdTracker, RemovalReport]:
    observed, truth, painter = scene
    tracker = ThresholdTracker(truth)
    return tracker, remove_residues(tracker, observed, truth[0], painter, detector, FAST, seed)


class TestContextual:
    def test_equals_the_formula_written_out(self) -> None:
        rng = np.random.default_rng(0)
        x, y, bandwidth = rng.standard_normal((5, 7)), rng.standard_normal((6, 7)), 0.3
        a, b = x - y.mean(0), y - y.mean(0)
        distance = np.array([[1 - p @ q / np.linalg.norm(p) / np.linalg.norm(q) for q in b] for p in a])
        relative = distance / (distance.min(1, keepdims=True) + 1e-5)
        weight = np.exp((1 - relative) / bandwidth)
        affinity = weight / weight.sum(1, keepdims=True)
        expected = np.mean([max(affinity[i, j] for i in range(5)) for j in range(6)])
        result = contextual_similarity(*(torch.from_numpy(z)[None] for z in (x, y)), bandwidth)
        assert float(result[0]) == pytest.approx(expected, rel=1e-6)

    def test_is_one_for_the_same_features_and_less_for_others(self) -> None:
        generator = torch.Generator().manual_seed(0)
        x, y = torch.randn(2, 1, 30, 64, generator=generator)
        assert float(contextual_similarity(x, x[:, torch.randperm(30, generator=generator)])) > 0.99
        assert float(contextual_similarity(x, y)) < 0.5

    @pytest.mark.vgg16
    def test_reads_conv3_2(self) -> None:
        backbone, pictures = get_backbone("vgg16"), torch.rand(1, 3, 32, 32)
        points = conv3_2(pictures, backbone)
        assert points.shape == (1, 64, 256)
        # The layer that LPIPS reads next is one convolution and its ReLU further.
        features = points.transpose(1, 2).reshape(1, 256, 8, 8)
        torch.testing.assert_close(backbone.features[14:16](features), backbone(pictures, 3)[-1])


class TestRemoval:
    def test_masks_that_miss_a_part_grow_and_less_is_left(self, scene: Scene, detector: ResidueDetector) -> None:
        tracker, report = tuned(scene, detector)
        assert float(tracker.level.detach()) < 2.0
        assert report.tuned
        assert report.residues[report.kept_epoch] < report.residues[0]
        assert report.losses[report.kept_epoch] == min(report.losses) < report.losses[0]
        assert len(report.losses) == len(report.residues) == FAST.epochs + 1

    def test_nothing_but_the_tracker_changes(self, scene: Scene, detector: ResidueDetector) -> None:
        before = {k: v.clone() for k, v in detector.state_dict().items()}
        tracker, _ = tuned(scene, detector)
        assert all(torch.equal(before[k], v) for k, v in detector.state_dict().items())
        assert float(scene[2].gain) == 1
        assert all(p.grad is None for p in (scene[2].gain, tracker.level, *detector.parameters()))

    def test_follows_the_seed(self, scene: Scene, detector: ResidueDetector) -> None:
        (one, first), (other, second) = (tuned(scene, detector, seed=3) for _ in range(2))
        assert torch.equal(one.level, other.level)
        assert first.losses == second.losses

    def test_a_worse_state_is_not_kept(self, scene: Scene, detector: ResidueDetector) -> None:
        observed, truth, painter = scene
        tracker = ThresholdTracker(truth, level=0.0)
        config = RemovalConfig(learning_rate=200.0, epochs=1, chunk=4)
        report = remove_residues(tracker, observed, truth[0], painter, detector, config)
        assert report.losses[1] > report.losses[0]
        assert not report.tuned
        assert report.reason
        assert float(tracker.level.detach()) == 0.0

    def test_without_parameters_or_on_one_frame_there_is_nothing_to_tune(
        self, scene: Scene, detector: ResidueDetector
    ) -> None:
        observed, truth, painter = scene
        report = remove_residues(FixedTracker(truth), observed, truth[0], painter, detector)
        assert not report.tuned
        assert "no parameters" in report.reason
        single = remove_residues(ThresholdTracker(truth[:1]), observed[:1], truth[0], painter, detector)
        assert not single.tuned
        assert "one frame" in single.reason

    def test_a_failure_leaves_the_parameters_as_they_were(self, scene: Scene, detector: ResidueDetector) -> None:
        observed, truth, painter = scene
        tracker, calls = ThresholdTracker(truth), []

        def breaking(masks: Tensor, chosen: Tensor) -> Tensor:
            calls.append(1)
            return painter(masks, chosen) * (1 if len(calls) < 3 else float("nan"))

        with pytest.raises(InputError, match="loss of residue removal is nan"):
            remove_residues(tracker, observed, truth[0], breaking, detector, FAST)
        assert len(calls) == 3
        assert float(tracker.level) == 2.0

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            (lambda x, m: (x, torch.zeros_like(m[0])), "absent"),
            (lambda x, m: (x, m[0, :, :-1]), "first mask must have shape"),
            (lambda x, m: (x[:, :2], m[0]), "frames must have shape"),
            (lambda x, m: (x[:-1], m[0]), "tracker's masks have shape"),
        ],
    )
    def test_bad_input_is_named(
        self, scene: Scene, detector: ResidueDetector, broken: Callable[..., tuple[Tensor, Tensor]], message: str
    ) -> None:
        frames, first = broken(scene[0], scene[1])
        with pytest.raises(InputError, match=message):
            remove_residues(ThresholdTracker(scene[1]), frames, first, scene[2], detector)

    def test_masks_without_gradients_are_named(self, scene: Scene, detector: ResidueDetector) -> None:
        observed, truth, painter = scene
        with pytest.raises(InputError, match="no gradients"):
            remove_residues(StubbornTracker(truth), observed, truth[0], painter, detector)

    def test_long_clips_are_repaired_in_spans_that_bound_the_memory(
        self, scene: Scene, detector: ResidueDetector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        observed, truth, painter = scene
        whole = remove_residues(ThresholdTracker(truth), observed, truth[0], painter, detector, FAST)
        asked = []

        def spied(masks: Tensor, chosen: Tensor) -> Tensor:
            asked.append(chosen.tolist())
            return painter(masks, chosen)

        monkeypatch.setattr(removal_objective, "SPAN", 3)
        tracker = ThresholdTracker(truth)
        report = remove_residues(tracker, observed, truth[0], spied, detector, FAST)
        assert {tuple(one) for one in asked} == {(0, 1, 2), (0, 3)}
        assert report.residues[0] == pytest.approx(whole.residues[0], rel=1e-4)
        assert report.tuned
        assert float(tracker.level) != 2.0

    def test_spans_cover_a_clip_of_any_length(self) -> None:
        for length in (2, 31, 32, 33, 64, 973):
            spans = spans_of(length)
            assert np.concatenate(spans).tolist() == list(range(1, length))
            assert max(map(len, spans)) <= SPAN - 1
        assert len(spans_of(SPAN)) == 1

    def test_a_frame_without_a_prediction_is_searched_where_the_target_was(
        self, scene: Scene, detector: ResidueDetector
    ) -> None:
        observed, truth, painter = scene
        missed = truth.clone()
        missed[2] = 0
        report = remove_residues(ThresholdTracker(missed), observed, truth[0], painter, detector, FAST)
        assert np.isfinite(report.losses).all()


class TestConfig:
    def test_the_published_numbers_are_the_defaults(self) -> None:
        config = removal_config("cutie")
        assert (config.epochs, config.learning_rate) == (2, 1e-6)
        assert (config.contextual_weight, config.residue_weight) == (0.1, 1.0)

    @pytest.mark.parametrize(
        "wrong", [{"epochs": 0}, {"chunk": 0}, {"learning_rate": 0}, {"residue_weight": -1}, {"contextual_size": 8}]
    )
    def test_impossible_settings_are_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(InputError):
            RemovalConfig(**wrong)

    def test_published_sums_grow_with_the_clip(self, scene: Scene, detector: ResidueDetector) -> None:
        observed, truth, painter = scene
        sums = RemovalConfig(published_sums=True, epochs=1)
        summed = remove_residues(ThresholdTracker(truth), observed, truth[0], painter, detector, sums)
        mean = remove_residues(ThresholdTracker(truth), observed, truth[0], painter, detector, RemovalConfig(epochs=1))
        assert summed.residues[0] == pytest.approx(mean.residues[0] * 3 * 255**2 / 4, rel=0.05)

    def test_the_loss_weighs_the_residue_of_a_frame(self, scene: Scene, detector: ResidueDetector) -> None:
        observed, truth, painter = scene
        for sums in (False, True):
            config = RemovalConfig(epochs=1, contextual_weight=0, residue_weight=3, published_sums=sums)
            found = remove_residues(ThresholdTracker(truth), observed, truth[0], painter, detector, config)
            assert found.losses[0] == pytest.approx(3 * found.residues[0])
