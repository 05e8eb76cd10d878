"""The reward: terms equal the public metrics, better repairs earn more, a batch scores as its items do alone."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

from videoinpaint.envs.rewards.reward import METRICS, PSNR_CAP, TERMS, Reward, combine
from videoinpaint.errors import InputError, MissingWeightsError, UnknownNameError
from videoinpaint.metrics import lpips, psnr, psnr_hole, ssim
from videoinpaint.metrics.alignment import grid_flow
from videoinpaint.metrics.backbone import get_backbone, layer_distance
from videoinpaint.motion.flow import dis_flow


@pytest.fixture(scope="module")
def reward() -> Reward:
    return Reward()


def episode(batch: int = 3, length: int = 4, height: int = 48, width: int = 64):
    """Smooth moving clips, holes of different sizes, and their repairs with noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, height // 6, width // 6, generator=generator)
    wide = torch.nn.functional.interpolate(coarse, (height, width + 2 * length), mode="bilinear", align_corners=False)
    reference = torch.stack([wide[..., 2 * t : 2 * t + width] for t in range(length)], 1)
    holes = torch.zeros(batch, length, 1, height, width)
    for item in range(batch):
        holes[item, ..., 8 : 20 + 6 * item, 10 + 4 * item : 30 + 8 * item] = 1
    noise = torch.randn(reference.shape, generator=generator)
    repaired = torch.where(holes > 0, (reference + 0.15 * noise).clamp(0, 1), reference)
    return reference, holes, repaired


def flags(holes):
    return holes.expand(-1, -1, 3, -1, -1)


def test_frames_in_double_precision_score_as_in_single(reward):
    reference, holes, repaired = episode()
    state = reward.begin(reference, holes)
    expected = reward.measure(state, repaired, flags(holes))
    found = reward.measure(reward.begin(reference.double(), holes), repaired.double(), flags(holes).double())
    assert all(torch.equal(found[name], expected[name]) for name in METRICS)


@pytest.mark.parametrize("env_id", ["VideoInpaint-v1", "VideoInpaintRegions-v1"])
def test_an_episode_earns_the_same_whether_its_caller_autocasts(env_id):
    """Precision is the environment's own; what rewards measure is float32, and so are maps of where they arose."""
    told = {"num_frames": 3, "height": 48, "width": 64, "inpainter": "compact", "precision": "float32"}
    env = gymnasium.make(env_id, reward_map=env_id.startswith("VideoInpaintRegions"), **told)
    action = np.full(env.action_space.shape, 0.3, np.float32)
    seen = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            env.reset(seed=3)
            _, earned, *_, info = env.step(action)
        seen.append((earned, info["metrics"], np.asarray(info.get("reward_map", 0)).tolist()))
    assert seen[0] == seen[1]


def test_raw_terms_equal_the_public_metrics(reward):
    reference, holes, repaired = episode()
    metrics = reward.measure(reward.begin(reference, holes), repaired, flags(holes))
    assert tuple(metrics) == METRICS
    assert all(value.shape == (3,) and value.isfinite().all() for value in metrics.values())
    for name, expected in {
        "psnr": psnr(repaired, reference),
        "ssim": ssim(repaired, reference),
        "lpips": lpips(repaired, reference),
        "psnr_hole": psnr_hole(repaired, reference, holes),
    }.items():
        torch.testing.assert_close(metrics[name], expected.mean(1), atol=1e-5, rtol=0)
    backbone = get_backbone("alex")
    expected = layer_distance(backbone(repaired), backbone(reference)).view(3, -1).mean(1)
    torch.testing.assert_close(metrics["perceptual"], expected, atol=1e-5, rtol=1e-5)


def test_temporal_term_is_the_aligned_distance_to_the_next_reference_frame(reward):
    reference, holes, repaired = episode(batch=1)
    metrics = reward.measure(reward.begin(reference, holes), repaired, flags(holes))
    backbone, encoder = get_backbone("alex"), reward.encoder
    distances = []
    for t in range(reference.shape[1] - 1):
        source = backbone(repaired[:, t])[encoder.layer]
        target = backbone(reference[:, t + 1])[encoder.layer]
        flow = grid_flow(dis_flow(reference[:, t + 1], reference[:, t]), encoder, tuple(target.shape[-2:]))
        with torch.no_grad():
            aligned = reward.aligner(source, flow, flags(holes)[:, t])
        distances.append((aligned - target).abs().mean())
    torch.testing.assert_close(metrics["wta"][0], torch.stack(distances).mean(), atol=1e-5, rtol=1e-5)


def test_a_batch_scores_as_its_items_do_alone(reward):
    reference, holes, repaired = episode()
    together = reward.measure(reward.begin(reference, holes), repaired, flags(holes))
    for i in range(3):
        one = slice(i, i + 1)
        alone = reward.measure(reward.begin(reference[one], holes[one]), repaired[one], flags(holes)[one])
        for name in METRICS:
            torch.testing.assert_close(alone[name], together[name][one], atol=1e-6, rtol=1e-6)


def test_states_can_be_picked_per_episode(reward):
    reference, holes, repaired = episode()
    state = reward.begin(reference, holes)
    assert all(len(value) == 3 for value in state.values())
    before = {name: value.clone() for name, value in state.items()}
    picked = reward.measure({k: v[[2, 0]] for k, v in state.items()}, repaired[[2, 0]], flags(holes)[[2, 0]])
    whole = reward.measure(state, repaired, flags(holes))
    for name in METRICS:
        torch.testing.assert_close(picked[name], whole[name][[2, 0]], atol=1e-6, rtol=1e-6)
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_better_repairs_earn_more(reward):
    reference, holes, _ = episode()
    state = reward.begin(reference, holes)
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(1))
    rewards, hole = [], []
    for strength in (0.4, 0.1, 0.02, 0.0):
        repaired = torch.where(holes > 0, (reference + strength * noise).clamp(0, 1), reference)
        metrics = reward.measure(state, repaired, flags(holes))
        rewards.append(reward.combine(metrics, 0.9, 0.45, 0.2)[0])
        hole.append(metrics["psnr_hole"])
    assert (torch.stack(rewards).diff(dim=0) > 0).all()
    assert (torch.stack(hole).diff(dim=0) > 0).all()
    assert hole[-1].eq(PSNR_CAP).all()


def test_a_perfect_repair_reaches_the_ends_of_the_ranges(reward):
    reference, holes, _ = episode()
    metrics = reward.measure(reward.begin(reference, holes), reference, flags(holes))
    assert metrics["psnr"].eq(PSNR_CAP).all()
    assert metrics["ssim"].eq(1).all()
    assert metrics["lpips"].eq(0).all()
    assert metrics["perceptual"].eq(0).all()


def test_combine_is_equation_six():
    metrics = {name: torch.tensor([float(i + 1), 2.0 * (i + 1)]) for i, name in enumerate(METRICS)}
    alpha, beta, gamma = torch.tensor([0.8, 1.0]), torch.tensor([0.3, 0.6]), torch.tensor([0.1, 0.3])
    total, terms = combine(metrics, alpha, beta, gamma, psnr_scale=50)
    expected = (
        alpha * (metrics["ssim"] + metrics["psnr"] / 50)
        - beta * (metrics["perceptual"] + metrics["lpips"])
        - gamma * metrics["wta"]
    )
    torch.testing.assert_close(total, expected)
    assert set(terms) == set(TERMS)
    torch.testing.assert_close(sum(terms.values()), total)
    assert combine(metrics, 0.8, 0.3, 0.1)[0].shape == (2,)


def test_psnr_scale_of_one_gives_raw_decibel():
    metrics = {name: torch.ones(1) for name in METRICS} | {"psnr": torch.tensor([30.0])}
    assert combine(metrics, 1.0, 0.3, 0.1, psnr_scale=1)[1]["psnr"].item() == 30


def test_one_frame_has_no_temporal_term(reward):
    reference, holes, repaired = (x[:, :1] for x in episode())
    metrics = reward.measure(reward.begin(reference, holes), repaired, flags(holes))
    assert metrics["wta"].eq(0).all()
    assert all(value.isfinite().all() for value in metrics.values())


def test_changes_outside_the_hole_count_too(reward):
    """The shortcut for SSIM must not assume that known pixels are intact."""
    reference, holes, repaired = episode()
    noise = torch.rand(repaired.shape, generator=torch.Generator().manual_seed(2))
    corner = repaired.clone()
    corner[:, 1, :, -1, -1] = 1 - corner[:, 1, :, -1, -1]
    for candidate in (noise, corner):
        metrics = reward.measure(reward.begin(reference, holes), candidate, flags(holes))
        torch.testing.assert_close(metrics["ssim"], ssim(candidate, reference).mean(1), atol=1e-6, rtol=0)


def test_weight_masks_reach_the_temporal_term(reward):
    reference, holes, repaired = episode()
    state = reward.begin(reference, holes)
    none, full = (reward.measure(state, repaired, value * torch.ones_like(repaired))["wta"] for value in (0.0, 1.0))
    assert (none != full).any()
    for frame, counts in ((0, True), (-1, False)):  # D of a frame goes with the step to the next: the last has none
        weights = torch.zeros_like(repaired)
        weights[:, frame] = 1
        assert torch.equal(reward.measure(state, repaired, weights)["wta"], none) != counts


def test_frames_without_a_hole_do_not_make_nan(reward):
    reference, holes, repaired = episode()
    holes = holes.clone()
    holes[0, 1] = 0
    holes[1] = 0
    metrics = reward.measure(reward.begin(reference, holes), repaired, flags(holes))
    assert metrics["psnr_hole"].isfinite().all()
    assert metrics["psnr_hole"][1] == PSNR_CAP


def test_uint8_references_are_scaled(reward):
    reference, holes, _ = episode(batch=1)
    bytes_ = (reference * 255).round().byte()
    torch.testing.assert_close(reward.begin(bytes_, holes)["reference"], bytes_.float() / 255)


@pytest.mark.vgg16
def test_vgg16_backbone_scores_too():
    reference, holes, repaired = episode(batch=1, length=2)
    scorer = Reward("vgg16")
    metrics = scorer.measure(scorer.begin(reference, holes), repaired, flags(holes))
    torch.testing.assert_close(metrics["lpips"], lpips(repaired, reference, "vgg16").mean(1), atol=1e-5, rtol=0)


def test_bad_input_is_named(reward, tmp_path):
    reference, holes, repaired = episode(batch=1)
    state = reward.begin(reference, holes)
    with pytest.raises(InputError, match="NaN"):
        reward.measure(state, repaired * float("nan"), flags(holes))
    with pytest.raises(InputError, match="shape"):
        reward.measure(state, repaired[:, :2], flags(holes))
    with pytest.raises(InputError, match="D must"):
        reward.measure(state, repaired, holes)
    with pytest.raises(InputError, match="reference"):
        reward.begin(reference * 2, holes)
    with pytest.raises(InputError, match="holes"):
        reward.begin(reference, flags(holes))
    with pytest.raises(InputError, match="31"):
        reward.begin(reference[..., :24, :24], holes[..., :24, :24])
    with pytest.raises(InputError, match="psnr_scale"):
        Reward(psnr_scale=0)
    with pytest.raises(UnknownNameError, match="vgg16"):
        Reward("resnet")
    with pytest.raises(MissingWeightsError, match="nothing"):
        Reward(aligner=str(tmp_path / "nothing.safetensors"))
