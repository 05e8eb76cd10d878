"""Suites, repairs by windows, metrics, random feedback."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from videoinpaint.benchmarks.networks.detector import inside_hole, precision
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL, envelope, plain, published, set_threads, write_json
from videoinpaint.benchmarks.protocol.suite import make_suite, pairing
from videoinpaint.benchmarks.repair.random_feedback import RandomDetector
from videoinpaint.benchmarks.repair.timed import repair, windows
from videoinpaint.detectors import make_detector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.metrics import lpips, lpips_hole, psnr_hole, ssim, warp_error
from videoinpaint.metrics.measures import E_WARP_SCALE, METRICS, Reference
from videoinpaint.protocols import Detection


def digests(suite):
    return pairing([(pair.name, pair.digest) for pair in suite])


def test_pairing_is_fixed_by_seed_and_index_and_hashed(small_suite):
    assert digests(small_suite) == digests(small_suite)
    other = make_suite("studio:easy", "stationary", num_frames=4, height=48, width=64, limit=2, seed=1)
    assert digests(small_suite)["digest"] != digests(other)["digest"]
    first = make_suite("studio:easy", "stationary", num_frames=4, height=48, width=64, limit=1)
    assert next(iter(first)).digest == next(iter(small_suite)).digest, "a shorter suite must be the longer one's start"


def test_a_suite_needs_frames():
    with pytest.raises(InputError):
        make_suite("studio", "stationary", num_frames=1)


@pytest.mark.parametrize(("length", "window"), [(24, 8), (25, 8), (7, 8), (9, 8), (5, 2)])
def test_windows_cover_a_clip_without_a_leftover_of_one_frame(length, window):
    spans = windows(length, window)
    assert [frame for first, last in spans for frame in range(first, last)] == list(range(length))
    sizes = [last - first for first, last in spans]
    assert max(sizes) <= window
    assert max(sizes) - min(sizes) <= 1


def test_repair_keeps_known_pixels_and_counts_every_pass(pair):
    truth, holes = pair.tensors()
    loop = ClosedLoop(make_inpainter("propagation"), make_detector("none"))
    results = repair(loop, truth, holes, iterations=2, window=2)
    assert len(results) == 2
    for result in results:
        assert result.frames.shape == truth.shape
        known = (holes == 0).expand_as(truth)
        assert torch.equal(result.frames[known], truth[known])
        assert torch.equal(result.masks, holes)
    assert 0 < results[0].seconds < results[1].seconds
    with pytest.raises(InputError):
        repair(loop, truth, holes, iterations=0)


def test_pairs_of_frames_count_where_the_earlier_has_its_hole(pair):
    truth, holes = pair.tensors()
    holes = torch.stack([holes[:, t].roll(12 * t, -1) for t in range(holes.shape[1])], 1)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    repaired = torch.where(holes > 0, (truth + 0.1 * noise).clamp(0, 1), truth).mul(255).round().div(255)
    expected = E_WARP_SCALE * float(warp_error(repaired, truth, holes).mean())
    assert Reference(truth, holes).measure(repaired)["e_warp_hole"] == pytest.approx(expected, rel=1e-4)


def test_measures_are_the_public_metrics_of_the_rounded_repair(pair):
    truth, holes = pair.tensors()
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    repaired = torch.where(holes > 0, (truth + 0.1 * noise).clamp(0, 1), truth)
    rounded = repaired.mul(255).round().div(255)
    measured = Reference(truth, holes).measure(repaired)
    assert list(measured) == list(METRICS)
    assert measured["psnr_hole"] == pytest.approx(float(psnr_hole(rounded, truth, holes).mean()), abs=1e-4)
    assert measured["ssim"] == pytest.approx(float(ssim(rounded, truth).mean()), abs=1e-5)
    assert measured["lpips"] == pytest.approx(float(lpips(rounded, truth).mean()), abs=1e-5)
    assert measured["lpips_hole"] == pytest.approx(float(lpips_hole(rounded, truth, holes).mean()), abs=1e-5)
    for name, where in (("e_warp", None), ("e_warp_hole", holes)):
        expected = E_WARP_SCALE * float(warp_error(rounded, truth, where).mean())
        assert measured[name] == pytest.approx(expected, rel=1e-3)
    assert math.isnan(measured["ssim65"]), "48 rows hold no window of 65"
    assert measured["psnr"] > measured["psnr_hole"]


def test_measuring_in_pieces_changes_nothing():
    pair = next(iter(make_suite("studio", "object", num_frames=10, height=48, width=64, limit=1)))
    truth, holes = pair.tensors()
    measured = Reference(truth, holes).measure(truth * (1 - holes))
    rounded = (truth * (1 - holes)).mul(255).round().div(255)
    assert measured["lpips_hole"] == pytest.approx(float(lpips_hole(rounded, truth, holes).mean()), abs=1e-5)


class Ramp:
    """Flags the left of every hole more than the right."""

    name = "ramp"

    def detect(self, repaired, masks):
        flagged = masks * torch.linspace(1, 0, masks.shape[-1])
        return Detection(flagged, flagged.expand(-1, -1, 3, -1, -1))


def test_random_feedback_flags_the_same_values_elsewhere_inside_the_hole(pair):
    truth, holes = pair.tensors()
    informed, random = Ramp().detect(truth, holes).masks, RandomDetector(base=Ramp()).detect(truth, holes)
    assert torch.equal(informed.flatten(2).sort().values, random.masks.flatten(2).sort().values)
    assert random.masks[holes == 0].sum() == 0
    inside = holes > 0
    correlation = np.corrcoef(informed[inside].numpy(), random.masks[inside].numpy())[0, 1]
    assert abs(correlation) < 0.6, "it must not repeat what the other detector says"
    again = RandomDetector(base=Ramp()).detect(truth.repeat(2, 1, 1, 1, 1), holes.repeat(2, 1, 1, 1, 1))
    assert torch.equal(again.masks[1:], random.masks), "alone or in a batch"


def test_random_feedback_loads_by_name():
    detector = make_detector("videoinpaint.benchmarks.repair.random_feedback:RandomDetector")
    assert detector.name == "random"


def test_precision_is_one_for_the_truth_and_the_prevalence_for_a_constant():
    poor = np.array([True, False, False, True, False])
    assert precision(poor, poor.astype(np.float32))["average_precision"] == 1.0
    assert precision(poor, np.ones(5, np.float32))["lift"] == pytest.approx(1.0)
    assert math.isnan(precision(np.ones(3, bool), np.ones(3, np.float32))["lift"])


def test_only_pixels_inside_the_hole_are_judged(pair):
    truth, holes = pair.tensors()
    repaired = truth.clone()
    repaired[:, 0] = (repaired[:, 0] + 0.5).clamp(0, 1)
    poor, flagged = inside_hole(repaired, truth, holes, holes)
    assert len(poor) == len(flagged) == int(holes.sum())
    assert 0 < poor.sum() <= holes[:, 0].sum()


def test_outputs_name_their_protocol_and_are_valid_json(tmp_path):
    data = envelope("quality", {"path": tmp_path}, value=np.float32(1.5), missing=float("nan"), table=np.arange(3))
    path = write_json(tmp_path / "sub" / "out.json", data)
    assert list(path.parent.iterdir()) == [path], "no draft is left"
    read = json.loads(path.read_text())
    assert read["protocol"] == PROTOCOL
    assert (read["value"], read["missing"], read["table"]) == (1.5, None, [0, 1, 2])
    assert plain({"a": (1, "b")}) == {"a": [1, "b"]}


def test_published_tables_name_their_source():
    table = published("clip_rl.table1")
    assert table["source"].startswith("CLIP-RL")
    best = next(row for row in table["rows"] if row["method"] == "CLIP-RL")
    assert best["davis_object"] == {"psnr": 34.5, "ssim": 0.979, "lpips": 0.033}
    with pytest.raises(InputError):
        published("clip_rl.table99")


def test_every_clip_has_a_hole_of_its_own():
    pairs = list(make_suite("studio", "stationary", num_frames=2, height=48, width=64, limit=3))
    assert len({pair.holes.tobytes() for pair in pairs}) == 3


def test_the_digest_of_pairs_has_their_names():
    assert pairing([("a", "0" * 16)])["digest"] != pairing([("b", "0" * 16)])["digest"]


def test_no_threads_are_refused():
    with pytest.raises(InputError, match="threads must be 1 or more, got 0"):
        set_threads(0)
