"""Every benchmark end to end at a tiny size: what it returns, what it prints, and bad input."""

from __future__ import annotations

import json
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from videoinpaint.benchmarks.networks import detector, speed
from videoinpaint.benchmarks.policies import controls
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL, write_json
from videoinpaint.benchmarks.repair import quality
from videoinpaint.controls import Controls
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import UnknownNameError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.protocols import Refinement

TINY = {"num_frames": 4, "height": 48, "width": 64, "limit": 2}


class Obedient:
    """Paints the reference's mean plus what its controls say, so that every effect is known."""

    name = "obedient"
    controls = frozenset({"heads", "fusion"})
    min_size = (16, 16)

    def __init__(self, device="cpu", weights=None):
        pass

    def begin(self, frames, masks):
        return {"filled": make_inpainter("telea").begin(frames, masks)["filled"]}

    def refine(self, state, repaired, masks, values):
        heads = torch.as_tensor(values[:, 0])
        error = (0.3 - 0.02 * heads).view(-1, 1, 1, 1, 1)
        return Refinement((state["filled"] + error).clamp(0, 1), heads.double())


@dataclass
class Flags:
    output: Path | None = None
    threads: int = 1


def test_a_folder_as_output_is_refused_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench", "--output", str(tmp_path)])
    measured = []
    with pytest.raises(SystemExit) as ended:
        tables.main(Flags, measured.append, print, "")
    assert ended.value.code == 2
    assert f"{tmp_path}: it is a folder; name a file" in capsys.readouterr().err
    assert not measured
    assert tmp_path.is_dir()


class Repeating:
    """Flags the whole hole."""

    name = "repeating"

    def detect(self, repaired, masks):
        from videoinpaint.detectors import make_detector

        return make_detector("none").detect(repaired, masks)


@pytest.fixture(scope="module")
def repairs():
    flags = quality.Quality(masks=("stationary",), inpainters=("telea", "propagation", "compact"),
                            feedback=("compact", "random"), iterations=2, **TINY)  # fmt: skip
    return quality.run(flags)


def test_quality_has_a_row_per_method_iteration_and_feedback(repairs):
    suite = repairs["suites"]["stationary"]
    assert list(suite["methods"]) == [
        "telea", "propagation", "compact x1", "compact x2 (compact)", "compact x2 (random)",
    ]  # fmt: skip
    for method in suite["methods"].values():
        assert set(method["clips"]) == set(suite["pairing"]["pairs"])
        assert method["mean"]["seconds_per_frame"] > 0
        assert method["mean"]["psnr"] > method["mean"]["psnr_hole"] > 5


def test_quality_compares_with_baselines_first_pass_and_random_feedback(repairs):
    compared = {(c["a"], c["b"]): c["metrics"]["psnr_hole"] for c in repairs["suites"]["stationary"]["comparisons"]}
    assert ("compact x2 (compact)", "telea") in compared
    assert ("compact x2 (compact)", "compact x1") in compared
    assert ("compact x2 (compact)", "compact x2 (random)") in compared
    methods = repairs["suites"]["stationary"]["methods"]
    entry = compared[("compact x2 (compact)", "telea")]
    expected = methods["compact x2 (compact)"]["mean"]["psnr_hole"] - methods["telea"]["mean"]["psnr_hole"]
    assert entry["difference"]["mean"] == pytest.approx(expected)
    assert entry["worst"]["difference"] <= entry["difference"]["mean"]


def test_quality_prints_and_writes(repairs, capsys, tmp_path):
    quality.report(repairs)
    assert "compact x2 (compact)" in capsys.readouterr().out
    read = json.loads(write_json(tmp_path / "q.json", repairs).read_text())
    assert read["protocol"] == PROTOCOL
    quality.report(read)


def test_sweeps_find_the_effects_that_are_there_and_no_others(small_suite):
    loop = ClosedLoop(Obedient(), Repeating())
    result = controls.sweep(loop, small_suite, iterations=(1,))["controls"]
    heads = result["heads"]["means"]
    assert heads["12"]["psnr_hole"] > heads["7"]["psnr_hole"] > heads["2"]["psnr_hole"]
    assert heads["12"]["gflops"] == 6 * heads["2"]["gflops"] == 12
    assert result["heads"]["best"]["psnr_hole"]["12"] == 1.0
    for dead in ("fusion", "alpha", "beta", "gamma", "objective"):
        means = [entry["psnr_hole"] for entry in result[dead]["means"].values()]
        assert len(set(means)) == 1
        assert result[dead]["causal"] == []
        assert set(result[dead]["best"]["psnr_hole"].values()) == {0.0}


def test_sweeps_run_by_name_and_report(capsys):
    flags = controls.ControlEffects(suites=("studio:easy",), iterations=(2,), **(TINY | {"limit": 1}))
    results = controls.run(flags)
    suite = results["suites"]["studio:easy"]["controls"]
    assert results["honoured"] == ["fusion", "heads", "objective"]
    assert suite["heads"]["means"]["2"]["gflops"] < suite["heads"]["means"]["12"]["gflops"]
    assert suite["heads"]["means"]["12"]["transformer_seconds"] > 0
    controls.report(results)
    assert "objective texture" in capsys.readouterr().out


def test_detector_precision_is_reported_for_every_inpainter(capsys):
    flags = detector.DetectorPrecision(masks=("stationary",), inpainters=("telea",), **TINY)
    results = detector.run(flags)
    entry = results["suites"]["stationary"]["inpainters"]["telea"]
    assert 0 < entry["mean"]["constant"] < 1
    assert 0 < entry["mean"]["average_precision"] <= 1
    assert entry["lift_of_means"] == pytest.approx(entry["mean"]["average_precision"] / entry["mean"]["constant"])
    blind = detector.run(
        detector.DetectorPrecision(masks=("stationary",), inpainters=("telea",), detector="none", **TINY)
    )
    assert blind["suites"]["stationary"]["inpainters"]["telea"]["lift_of_means"] == pytest.approx(1.0)
    detector.report(results)
    assert "telea" in capsys.readouterr().out


def test_speed_times_the_parts_and_the_naive_reward(capsys):
    """How fast they are on a shared machine is not for a test."""
    flags = speed.Speed(inpainter="telea", detector="none", repeats=1, num_frames=2, height=48, width=64,
                        frame_height=48, frame_width=64)  # fmt: skip
    results = speed.run(flags)
    assert {"reset", "step", "step: inpainter", "step: detector", "step: reward"} <= set(results["milliseconds"])
    ours, naive = (results["reward"][key]["median"] for key in ("ours_ms", "naive_ms"))
    assert results["reward"]["times_faster"]["median"] == pytest.approx(naive / ours)
    assert set(results["frame_seconds"]) == {1, 2, 3}
    speed.report(results)
    assert "reward, naive" in capsys.readouterr().out


def test_unknown_names_are_refused_before_any_work():
    with pytest.raises(UnknownNameError, match="inpainter"):
        quality.run(quality.Quality(inpainters=("nothing",), **TINY))
    with pytest.raises(UnknownNameError, match="mask"):
        quality.run(quality.Quality(inpainters=("telea",), masks=("nothing",), **TINY))


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_the_command_line_ends_with_one_line_after_bad_input(monkeypatch, capsys):
    # As `python -m` runs it, here: another Python would only import everything again.
    monkeypatch.setattr(sys, "argv", ["quality", "--inpainters", "nothing", "--threads", "1"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("videoinpaint.benchmarks.repair.quality", run_name="__main__", alter_sys=True)
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: unknown inpainter 'nothing'")
    assert len(shown.strip().splitlines()) == 1


def test_default_controls_are_the_middle_of_the_sweeps():
    for values in controls.SWEEPS.values():
        assert all(isinstance(entry, Controls) for entry in values.values())
    assert controls.SWEEPS["fusion"]["0.65"] == controls.BASE


def test_an_interval_of_nothing_is_a_dash() -> None:
    nothing = {"mean": float("nan"), "low": float("nan"), "high": float("nan")}
    assert tables.interval(nothing, signed=True) == tables.interval(None) == "-"
