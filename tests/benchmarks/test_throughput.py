"""Steps a second: the three columns, where a step's time goes, and what bounds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from videoinpaint.benchmarks.networks import against, memory
from videoinpaint.benchmarks.networks.throughput import Throughput, _bound, _Traffic, report, run
from videoinpaint.errors import InputError


def test_the_three_columns_are_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = {"num_frames": 2, "height": 36, "width": 48}
    results = run(Throughput(envs=(1, 2), rounds=3, threads=1, markdown=tmp_path / "table.md", **size))
    assert [(row["envs"], row["bank"]) for row in results["rows"]] == [(1, False), (1, True), (2, False), (2, True)]
    assert all(row[kind] > 0 for row in results["rows"] for kind in ("steps", "inference", "training"))
    assert sum(results["shares"].values()) == pytest.approx(1)
    assert all(0 <= share < 1 for share in results["shares"].values())
    assert results["work"]["gflops"] > 0.1
    assert all(limit > 0 for limits in results["bounds"].values() for limit in limits.values())
    report(results)
    assert "steps a second at most" in capsys.readouterr().out
    assert len((tmp_path / "table.md").read_text().splitlines()) == 6


def test_a_bound_is_what_a_machine_does_by_what_a_step_needs() -> None:
    peaks = {"float32": 4e9, "bfloat16": 8e9, "bytes": 3e9}
    bound = _bound({"gflops": 2.0, "gigabytes": 0.5}, peaks)
    assert bound == {"float32": 2.0, "bfloat16": 4.0, "traffic": 6.0}


def test_traffic_is_what_operators_read_and_write() -> None:
    x = torch.zeros(1000)
    with _Traffic() as traffic:
        (x + 1).view(10, 100)
    assert traffic.bytes == 8000


def test_what_one_environment_more_takes_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    results = memory.run(memory.Memory(envs=(1, 2), steps=2, threads=1, num_frames=2, height=36, width=48))
    assert results["state"] == sum(results["entries"].values()) > results["entries"]["loop/repaired"] > 0
    assert all(0 < batch["held"] <= batch["peak"] for batch in results["batches"].values())
    memory.report(results)
    assert "one environment more" in capsys.readouterr().out
    with pytest.raises(InputError, match="the larger one second"):
        memory.run(memory.Memory(envs=(4, 4)))


def test_another_setting_is_timed_in_turns_with_this_one(capsys: pytest.CaptureFixture[str]) -> None:
    size = {"num_frames": 2, "height": 36, "width": 48, "threads": 1}
    asked = against.Against(
        env_id="VideoInpaintRegions-v0",
        envs=(2,),
        turns=2,
        steps=1,
        variables=("VIDEOINPAINT_NOTHING=1",),
        arguments=("inpainter=compact2",),
        **size,
    )
    results = against.run(asked)
    (row,) = results["rows"]
    assert np.shape(row["turns"]) == (2, 2)
    assert row["lowest"] <= row["ratio"] <= row["highest"]
    assert results["versions"]["other"] == results["versions"]["this"]
    against.report(results)
    assert "this / other" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"other": Path("/nowhere")}, "holds no folder videoinpaint"),
        ({"variables": ("=1",)}, "'=1' is not NAME=VALUE"),
        ({"arguments": ("bank",)}, "'bank' is not NAME=VALUE"),
    ],
)
def test_what_cannot_be_timed_is_said(asked: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        against.run(against.Against(**asked))  # type: ignore[arg-type]


def test_a_process_that_ends_with_an_error_is_said(tmp_path: Path) -> None:
    # An installation that lacks what it needs fails as an environment that it does not know does, but at once.
    (tmp_path / "videoinpaint").mkdir()
    (tmp_path / "gymnasium.py").write_text("raise ImportError('none is installed here')")
    with pytest.raises(InputError, match="a process that plays ended with status 1: its message is above"):
        against.run(against.Against(other=tmp_path, envs=(1,)))
