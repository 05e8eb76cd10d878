"""Comparisons: who is one method, who is best, and tables that survive any name."""

from __future__ import annotations

import csv
import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.benchmarks.policies.compare import Contestant, contestant, play
from videoinpaint.benchmarks.policies.comparison import (
    add_scores,
    comparison_numbers,
    comparison_table,
    ranked,
    summaries,
)
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.frozen import frozen_suite
from videoinpaint.benchmarks.protocol.suite_references import suite_references
from videoinpaint.benchmarks.protocol.tables import write_table
from videoinpaint.benchmarks.report.charts import bars_chart, differences_chart
from videoinpaint.cli import main
from videoinpaint.envs import VideoInpaintVectorEnv
from videoinpaint.envs.references import references
from videoinpaint.errors import InputError

METRICS = {"psnr": 30.0, "ssim": 0.9, "psnr_hole": 20.0, "lpips": 0.1}


def record(seed: int, total: float, quality: float, clip: str | None = None) -> EpisodeRecord:
    steps = [quality - 0.5, quality]
    return EpisodeRecord(
        "x", seed, clip or f"clip{seed}", "square", 1, total, METRICS, 2.0, [total], [{"heads": 4}], [METRICS],
        quality_by_iteration=list(steps), end="repaired",
    )  # fmt: skip


def played(total: float, quality: float, spread: float = 0.1) -> list[EpisodeRecord]:
    return [record(seed, total + spread * seed, quality + spread * seed) for seed in range(6)]


def test_a_group_is_one_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (1, 0):
        (tmp_path / f"seed{seed}").mkdir()
    wild, listed = contestant(f"mine={tmp_path}/seed*"), contestant(f"mine={tmp_path}/seed0, {tmp_path}/seed1,")
    assert wild == listed == Contestant("mine", f"{tmp_path}/seed0", trained=True, seeds=(f"{tmp_path}/seed1",))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert contestant("mine=~/seed*") == wild
    assert contestant("heads4") == Contestant("heads4", "heads4", trained=False)
    assert contestant("mine:Policy").trained
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert contestant(str(odd)).seeds == ()  # a folder's name, not a group's
    for wrong in ("=heads4", "mine=", f"mine={tmp_path}/none*"):
        with pytest.raises(InputError, match=r"mine|heads4"):
            contestant(wrong)


def test_training_seeds_widen_the_interval_and_differences_are_paired_by_clip() -> None:
    runs = [played(3.0, 1.0), played(3.0, 2.0)]
    records = {"mine": runs, "one": runs[:1], "base": [played(5.0, 0.8)]}
    contestants = [Contestant(name, name, trained=name != "base") for name in records]
    mine, one, base = summaries(records, contestants, "base")
    assert (mine["training_seeds"], one["training_seeds"], mine["episodes"]) == (2, 1, 6)
    assert mine["quality"]["mean"] == pytest.approx(1.75)
    assert mine["quality"]["high"] - mine["quality"]["low"] > one["quality"]["high"] - one["quality"]["low"]
    # What clips share cancels: one seed differs from the baseline by 0.2 on every clip.
    assert one["quality_difference"] == pytest.approx({"mean": 0.2, "low": 0.2, "high": 0.2})
    assert mine["quality_difference"]["high"] > 1
    assert base["quality_difference"] is base["difference"] is None
    assert mine["quality_gain"]["mean"] == pytest.approx(0.5)
    assert mine["ends"] == {"repaired": 12}
    assert [entry["training_seed"] for entry in mine["records"]] == [0] * 6 + [1] * 6


def test_the_distance_of_videos_is_that_of_each_training_seed() -> None:
    """Pooled, it would fall with every training seed: distances of more episodes are smaller."""
    rng = np.random.default_rng(0)
    real = rng.standard_normal((6, 1, 20))

    def run() -> list[EpisodeRecord]:
        return [replace(one, features=(x, x + rng.standard_normal(x.shape))) for one, x in zip(played(1.0, 1.0), real)]

    runs = [run() for _ in range(3)]
    records = {"mine": runs} | {str(seed): [alone] for seed, alone in enumerate(runs)}
    mine, *alone = summaries(records, [Contestant(name, name) for name in records], "mine")
    assert mine["vfid"]["mean"] == pytest.approx(np.mean([one["vfid"]["mean"] for one in alone]))


def test_the_better_repair_stands_first_whatever_it_returns(tmp_path: Path) -> None:
    records = {"gamed": [played(9.0, 1.0)], "a|b_c": [played(1.0, 2.0)]}
    contestants = [Contestant(name, name) for name in records]
    policies = summaries(records, contestants, "gamed")
    assert [entry["name"] for entry in ranked(policies)] == ["a|b_c", "gamed"]
    titles, rows = comparison_table(policies, "gamed")
    assert [row[0] for row in rows] == ["a|b_c", "gamed"]
    assert titles[:4] == ["policy", "PSNR hole", "quality", "quality - gamed"]
    assert all(len(row) == len(titles) for row in rows)
    assert "mask J&F" not in titles  # nothing measured, no column
    titles, rows = comparison_numbers(policies)
    with write_table(tmp_path / "a.csv", titles, rows).open(newline="") as file:
        first = next(csv.DictReader(file))
    assert float(first["quality"]) == pytest.approx(policies[1]["quality"]["mean"])
    assert float(first["return_high"]) == pytest.approx(policies[1]["return"]["high"])
    assert float(first["quality_gain"]) == pytest.approx(0.5)


def test_without_a_quality_there_is_no_ranking() -> None:
    silent = [replace(one, quality_by_iteration=[]) for one in played(1.0, 1.0)]
    with pytest.raises(InputError, match="quality"):
        summaries({"a": [silent]}, [Contestant("a", "a")], "a")


def test_any_name_can_be_written(tmp_path: Path) -> None:
    columns, rows = ["policy", "J&F"], [["50%_a|b\\c{~}^#$ <i>\nx", np.float64(0.5)], ["[1]", "0.1 [0.0, 0.2]"]]
    text = write_table(tmp_path / "a.tex", columns, rows).read_text().splitlines()
    assert text[2] == r"policy & J\&F \\"
    assert text[4] == (r"50\%\_a|b\textbackslash{}c\{\textasciitilde{}\}\textasciicircum{}\#\$ <i> x & 0.500 \\")
    assert text[5].startswith("{[}1{]} & ")
    lines = write_table(tmp_path / "a.md", columns, rows).read_text().splitlines()
    assert lines[1] == "| --- | ---: |"
    assert lines[2] == r"| 50%\_a\|b\\c{\~}^#\$ \<i\> x | 0.500 |"
    assert len(lines) == 4
    with (write_table(tmp_path / "a.csv", columns, rows)).open(newline="") as file:
        assert next(csv.DictReader(file))["policy"] == rows[0][0]
    with pytest.raises(InputError, match=r"\.tex"):
        write_table(tmp_path / "a.txt", columns, rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.md", "a.tex"]


STRANGE = [
    "[/bold]",
    "a$b_{$c",
    "[red",
    "\\[",
    "%s{0}",
    "$\\frac$",
    "a\nb\x1b[31m",
    "x" * 300,
    "\udcff",
    "a|b`c`",
]


@pytest.mark.parametrize("name", STRANGE)
def test_any_name_can_be_shown_and_drawn(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    columns, rows = ["policy", f"return - {name}"], [[name, "0.5"], ["other", 0.25]]
    tables.show(name, columns, rows, name)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "0.250" in shown
    if name in ("[/bold]", "a$b_{$c", "[red"):
        assert shown.count(name) >= 3  # the title, a row and the caption; a heading may be wrapped
    for ending in (".csv", ".md", ".tex"):
        assert write_table(tmp_path / f"a{ending}", columns, rows).stat().st_size
    entries = [{"name": name, "trained": True, "return": {"mean": 1.0, "low": 0.5, "high": 2.0}}]
    for draw in (bars_chart, differences_chart):
        assert draw(entries, "return", f"return - {name}").startswith(b"\x89PNG")


SMALL = {"num_frames": 2, "height": 48, "width": 64, "inpainter": "telea", "detector": "none", "device": "cpu"}


@pytest.mark.parametrize("name", ["[/bold]", "a$b_{$c"])
def test_a_policys_path_does_not_end_an_evaluation(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from videoinpaint.agents.policies.export import blank_network, save_policy

    monkeypatch.chdir(tmp_path)
    save_policy(Path(name) / "policy.safetensors", blank_network())
    flags = [word for key, value in SMALL.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    words = ["evaluate", "--policies", name, "--episodes", "2", "--num-envs", "2", "--report", "r.html", *flags]
    assert main([*words, "--output", "r.json"]) == 0
    assert Path("r.json").stat().st_size
    assert Path("r.html").stat().st_size


class Cheat:
    """Reaches through the process for the environments that there are and makes their rewards what it likes."""

    def act(self, observation):
        for one in gc.get_objects():
            if isinstance(one, VideoInpaintVectorEnv):
                one._core.reward.psnr_scale = 1e-3
        return np.zeros((len(observation["masks"]), 5), np.float32)


def test_a_policy_that_changes_its_environment_harms_nobody_after_it() -> None:
    honest = [Contestant("honest", "heads4")]
    alone = play(honest, [0, 1], "VideoInpaint-v1", SMALL, 2)["honest"]
    after = play([Contestant("cheat", Cheat()), *honest], [0, 1], "VideoInpaint-v1", SMALL, 2)
    assert after["cheat"][0][0].episode_return > 100
    assert after["honest"] == alone


def test_vfid_is_over_all_episodes_and_only_where_all_have_features() -> None:
    rng = np.random.default_rng(0)
    real = [rng.normal(size=(1, 8)) for _ in range(6)]
    exact = [replace(one, features=(each, each)) for one, each in zip(played(1.0, 1.0), real)]
    worse = [replace(one, features=(each, each + 3)) for one, each in zip(played(1.0, 1.0), real)]
    partly = [*exact[:5], replace(exact[5], features=None)]
    records = {"exact": [exact], "worse": [worse], "partly": [partly]}
    first, second, third = summaries(records, [Contestant(name, name) for name in records], "exact")
    assert first["vfid"]["mean"] == pytest.approx(0, abs=1e-3)
    assert second["vfid"]["mean"] == pytest.approx(8 * 9, rel=1e-3)
    assert "vfid" not in third
    assert "features" not in first["records"][0]


def test_scores_of_a_whole_suite_stand_beside_raw_ones() -> None:
    suite = frozen_suite("studio-mixed-v1", "VideoInpaintBudget-v0")
    known = suite_references(suite)
    assert known is not None
    reached = {name: {"return": row["return"]} for name, row in known["policies"].items()}
    add_scores(list(reached.values()), suite.env_id, {"device": "cpu"}, suite)
    assert reached["random"]["score"]["mean"] == 0
    assert 0 < reached["best fixed"]["score"]["mean"] < reached["greedy oracle"]["score"]["mean"] < 1
    part, other = {"return": {"mean": 0.1}}, {"return": {"mean": 0.1}}
    add_scores([part], suite.env_id, {}, suite.first(3))
    add_scores([other], suite.env_id, {"inpainter": "telea"}, suite)
    assert "score" not in part | other


def test_a_score_is_given_for_the_episodes_of_the_references_and_no_others() -> None:
    known = references()["VideoInpaint-v1"]
    oracle, count = known["policies"]["oracle"]["return"], known["episodes"]

    def scored(seeds: range) -> dict:
        entry = {"return": oracle, "records": [{"seed": seed} for seed in seeds]}
        add_scores([entry], "VideoInpaint-v1", {})
        return entry

    assert scored(range(count))["score"]["mean"] == pytest.approx(1)
    assert "score" not in scored(range(4 * count))
    assert "score" not in scored(range(1, count + 1))
