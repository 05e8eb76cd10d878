"""Scores from records, the tables of policies and headroom, learning curves from training runs' folders."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from videoinpaint.agents.evaluation.record import EpisodeRecord, by_clip
from videoinpaint.benchmarks.policies import headroom, learning_curve
from videoinpaint.benchmarks.policies import returns as policies
from videoinpaint.benchmarks.protocol.episodes import env_kwargs, fixed_return, grid
from videoinpaint.controls import Controls
from videoinpaint.errors import InputError, UnknownNameError

TINY = {"num_frames": 2, "height": 36, "width": 48, "inpainter": "compact", "detector": "none"}
PLAIN = {"num_frames": 2, "height": 36, "width": 48, "inpainter": "telea", "detector": "none", "device": "cpu"}


def record(clip, value, policy="p", seed=0, length=1, **metrics):
    raw = {"psnr": 25.0, "ssim": 0.9, "lpips": 0.1, "perceptual": 0.2, "wta": 0.3, "psnr_hole": 15.0} | metrics
    return EpisodeRecord(
        policy, seed, clip, "m", length, value, raw, 1.0, [value / length] * length,
        [Controls().as_dict()] * length, [raw] * length,
    )  # fmt: skip


def test_episodes_of_one_clip_count_once():
    assert by_clip([record("a", 1.0), record("b", 5.0), record("a", 3.0)]) == {"a": 2.0, "b": 5.0}


def test_the_fixed_weight_return_is_equation_six_summed_over_iterations():
    expected = 0.9 * (0.9 + 25 / 50) - 0.45 * (0.2 + 0.1) - 0.2 * 0.3
    assert fixed_return(record("a", 99.0, length=2)) == pytest.approx(2 * expected)
    early = record("a", 99.0, length=1)
    assert fixed_return(early, iterations=3) == pytest.approx(3 * expected), "ending early costs nothing"
    assert fixed_return(early, iterations=1) == fixed_return(early)


def test_graded_studio_suites_bring_their_own_holes():
    assert env_kwargs("studio:large", "square")["masks"] == "studio:large"
    assert env_kwargs("folder", "square", num_frames=3) == {"clips": "folder", "masks": "square", "num_frames": 3}


def test_grids_combine_objectives_and_refuse_unknown_ones():
    made = grid((2, 12), (0.5,), ("average", "texture"))
    assert len(made) == 4
    assert {c.beta for c in made} == {0.45, 0.6}
    with pytest.raises(InputError, match="objectives"):
        grid(objectives=("nice",))


def test_headroom_is_what_the_oracle_gains_over_the_fixed_setting_and_a_policy_captures_a_share():
    clips = [f"c{i}" for i in range(8)]
    few, many = Controls(heads=2), Controls(heads=12)
    constant = {few: [record(c, 1.0) for c in clips], many: [record(c, i / 8) for i, c in enumerate(clips)]}
    search = [record(c, 2.0 + 0.01 * i) for i, c in enumerate(clips)]
    trained = [[record(c, 1.5) for c in clips], [record(c, 1.6) for c in clips]]
    result = headroom.compared(search, constant, many, few, trained)
    assert result["headroom"]["mean"] == pytest.approx(2.035 - np.mean(np.arange(8) / 8))
    assert result["headroom_in_hindsight"]["mean"] == pytest.approx(1.035)
    assert result["gain"]["mean"] == pytest.approx(1.55 - np.mean(np.arange(8) / 8))
    assert result["captured"] == pytest.approx(result["gain"]["mean"] / result["headroom"]["mean"])
    assert sum(result["best_constant_shares"].values()) == pytest.approx(1)


def test_an_oracle_never_loses_to_a_constant_setting_and_no_headroom_is_no_share():
    clips = [f"c{i}" for i in range(6)]
    only = {Controls(): [record(c, 1.0) for c in clips]}
    result = headroom.compared(
        [record(c, 0.5) for c in clips], only, Controls(), Controls(), [[record(c, 1.0) for c in clips]]
    )
    assert result["headroom"]["mean"] == 0.0
    assert np.isnan(result["captured"])


def test_policies_table_pairs_everybody_with_the_best_fixed_setting(capsys):
    flags = policies.Policies(suites=("studio:easy",), policies=("random",), trained=("heads4", "heads12"), episodes=5,
                              choice_episodes=1, heads=(2, 12), fusion=(0.5,), num_envs=3, **TINY)  # fmt: skip
    results = policies.run(flags)
    rows = results["suites"]["studio:easy"]["policies"]
    assert set(rows) == {"best fixed", "random", "trained"}
    assert rows["trained"]["training_seeds"] == 2
    assert rows["best fixed"]["difference"] is None
    expected = rows["random"]["return"]["mean"] - rows["best fixed"]["return"]["mean"]
    assert rows["random"]["difference"]["mean"] == pytest.approx(expected)
    assert rows["random"]["fixed_return"]["mean"] != pytest.approx(rows["random"]["return"]["mean"])
    assert len(rows["random"]["clips"]) == 5
    assert np.isfinite(results["overall"]["trained"]["iqm"]["low"])
    policies.report(results)
    shown = " ".join(capsys.readouterr().out.split())
    assert "trained (2 seeds)" in shown
    assert "5 episodes, 95% intervals over clips and training seeds; best fixed: " in shown


@pytest.mark.parametrize("benchmark", [headroom.Headroom, policies.Policies])
def test_two_rows_of_one_name_are_refused_before_any_episode(benchmark):
    run = headroom.run if benchmark is headroom.Headroom else policies.run
    with pytest.raises(InputError, match="two rows would be called 'trained'"):
        run(benchmark(policies=("random", "trained"), trained=("heads4",), **TINY))


def test_headroom_runs_in_both_environments(capsys):
    flags = headroom.Headroom(
        suites=("studio:easy",), policies=("random",), episodes=2, choice_episodes=1, heads=(2, 12), fusion=(0.5,),
        num_envs=1, **TINY,
    )  # fmt: skip
    results = headroom.run(flags)
    for environment in ("plain", "budget"):
        row = results["environments"][environment]["studio:easy"]
        assert row["headroom_in_hindsight"]["mean"] >= -1e-9
        assert row["metrics"]["oracle"]["iterations"] == 3
    headroom.report(results)
    shown = " ".join(capsys.readouterr().out.split())
    assert "VideoInpaintBudget-v0" in shown
    assert shown.count("without intervals, which need 5 clips; ") == 3
    assert "95%" not in shown
    with pytest.raises(InputError, match="environments"):
        headroom.run(headroom.Headroom(environments=("nothing",)))


def test_everybody_s_score_lies_between_the_best_fixed_setting_and_the_oracle():
    clips = [f"c{i}" for i in range(6)]

    def played(value, noise=0.0, gflops=1.0):
        return [replace(record(c, value + noise * i, psnr_hole=10 * value), gflops=gflops) for i, c in enumerate(clips)]

    rows = headroom.standings({
        "best fixed": [played(1.0, gflops=4.0)], "oracle": [played(3.0, 0.01)],
        "half": [played(1.9, 0.005), played(2.1)],
    })  # fmt: skip
    assert rows["best fixed"]["score"]["mean"] == 0
    assert rows["oracle"]["score"]["mean"] == pytest.approx(1)
    assert rows["half"]["score"]["low"] < rows["half"]["score"]["mean"] < rows["half"]["score"]["high"]
    assert rows["half"]["score"]["mean"] == pytest.approx((1.00625) / 2.025)
    assert rows["half"]["psnr_hole_gain"]["mean"] == pytest.approx(10)
    assert rows["half"]["gflops_share"] == 0.25
    none = headroom.standings({"best fixed": [played(1.0)], "oracle": [played(1.0)]})
    assert np.isnan(none["oracle"]["score"]["mean"])


def test_headroom_of_a_grid_writes_a_table(tmp_path):
    flags = headroom.Headroom(
        suites=("studio:easy",), environments=("regions",), policies=("random",), action_grid=(1, 2), episodes=1,
        choice_episodes=1, heads=(2, 12), fusion=(0.5,), num_envs=1, table=tmp_path / "t.md", **TINY,
    )  # fmt: skip
    rows = headroom.run(flags)["environments"]["regions"]["studio:easy"]["policies"]
    assert set(rows) == {"best fixed", "oracle", "random"}
    assert rows["oracle"]["return"]["mean"] >= rows["best fixed"]["return"]["mean"]
    assert "VideoInpaintRegions-v0" in (tmp_path / "t.md").read_text()
    with pytest.raises(InputError, match="md"):
        headroom.run(replace(flags, table=tmp_path / "t.pdf"))


def make_run(folder, steps, env):
    """A training run's folder with untrained policies at every step."""
    from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
    from videoinpaint.agents.policies.export import save_policy
    from videoinpaint.envs import VideoInpaintEnv

    made = VideoInpaintEnv(**env)
    network = ClosedLoopPolicy(made.observation_space, made.action_space, lambda _: 1e-3)
    for step in steps[:-1]:
        target = folder / "checkpoints" / f"step-{step:09d}"
        target.mkdir(parents=True)
        save_policy(target / "policy.safetensors", network, {"steps": step})
    save_policy(folder / "policy.safetensors", network, {"steps": steps[-1]})
    (folder / "run.json").write_text(json.dumps({"config": {"env_id": "VideoInpaint-v0", "env": env}}))
    curve = [{"steps": step, "return": 1.0 + i, "episodes": 1} for i, step in enumerate(steps)]
    (folder / "curve.json").write_text(json.dumps(curve))
    return folder


def test_learning_curves_play_every_step_that_all_runs_saved(tmp_path, capsys):
    first = make_run(tmp_path / "a", [10, 20, 30], PLAIN)
    second = make_run(tmp_path / "b", [20, 30], PLAIN)
    flags = learning_curve.LearningCurve(runs=(first, second), episodes=3, choice_episodes=1, heads=(12,),
                                         fusion=(0.5,), num_envs=2, plot=tmp_path / "plots" / "curve.png")  # fmt: skip
    results = learning_curve.run(flags)
    assert [point["steps"] for point in results["points"]] == [20, 30]
    assert all(len(point["by_run"]) == 2 for point in results["points"])
    assert set(results["baselines"]) == {"best fixed", "random"}
    assert (tmp_path / "plots" / "curve.png").read_bytes().startswith(b"\x89PNG")
    learning_curve.report(results)
    shown = " ".join(capsys.readouterr().out.split())  # a narrow table breaks its caption
    assert "3 held-out episodes, without intervals, which need 5 clips" in shown


def test_runs_without_a_common_step_are_refused_before_anything_plays(tmp_path, monkeypatch):
    def play(*_, **__):
        raise AssertionError("played")

    monkeypatch.setattr(learning_curve, "Arena", play)
    runs = (make_run(tmp_path / "a", [10, 20], PLAIN), make_run(tmp_path / "b", [30], PLAIN))
    with pytest.raises(InputError, match="same number of steps"):
        learning_curve.run(learning_curve.LearningCurve(runs=runs, plot=tmp_path / "curve.png"))


def test_folders_without_a_training_run_are_refused(tmp_path):
    with pytest.raises(InputError, match="`videoinpaint train` wrote"):
        learning_curve.run(learning_curve.LearningCurve(runs=(tmp_path,)))


@pytest.mark.parametrize(
    ("key", "form"),
    [
        *((key, "{}:Source") for key in ("config", "clips", "masks", "inpainter", "detector", "propagator")),
        ("clips", "studio,{}:Source"),
        ("clips", "one_shot:{}:Source"),
        ("masks", "first-frame:{}:Source"),
    ],
)
def test_nothing_that_a_run_names_is_imported(tmp_path, monkeypatch, key, form):
    """run.json is data, like a video: looking at somebody's training must not run their code."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "planted_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    folder = make_run(tmp_path / "run", [10], PLAIN)
    name = form.format("planted_module")
    config = {"env_id": "VideoInpaint-v1", "env": PLAIN | {key: name}}
    if key == "config":
        config = {"env_id": "planted_module:Id-v0", "env": PLAIN}
    elif key == "propagator":
        config["env_id"] = "VideoInpaintOneShot-v1"
    (folder / "run.json").write_text(json.dumps({"config": config}))
    flags = learning_curve.LearningCurve(runs=(folder,), episodes=5, choice_episodes=1, heads=(12,), fusion=(0.5,))
    with pytest.raises((InputError, UnknownNameError)):
        learning_curve.run(flags)
    assert not (tmp_path / "ran").exists()


def test_what_a_flag_trusts_is_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_own_part.py").write_text("from videoinpaint.inpainters.telea import TeleaInpainter as Mine")
    env = PLAIN | {"inpainter": "my_own_part:Mine"}
    folder = make_run(tmp_path / "run", [10], PLAIN)
    (folder / "run.json").write_text(json.dumps({"config": {"env_id": "VideoInpaint-v0", "env": env}}))
    flags = learning_curve.LearningCurve(runs=(folder,), episodes=2, choice_episodes=1, heads=(12,), fusion=(0.5,))
    with pytest.raises(InputError, match="--trust my_own_part:Mine"):
        learning_curve.run(flags)
    assert learning_curve.run(replace(flags, trust=("my_own_part:Mine",)))["points"]


@pytest.mark.parametrize(
    "content", ["[1]", '{"config": 3}', '{"config": {"env_id": 1, "env": {}}}', "[" * 60_000, "\xff", '{"config": {}}']
)
def test_a_run_record_that_is_none_is_refused_in_one_line(tmp_path, content):
    folder = make_run(tmp_path / "run", [10], {"num_frames": 2, "height": 48, "width": 64})
    (folder / "run.json").write_bytes(content.encode("latin1"))
    with pytest.raises(InputError, match=r"training run|train"):
        learning_curve.run(learning_curve.LearningCurve(runs=(folder,)))


def test_shared_flags_say_what_to_play(tmp_path):
    flags = policies.Policies(
        reward_weights="action", objectives=("largest",), heads=(3,), fusion=(0.6,), masks="object"
    )
    assert flags.arguments("studio") == policies.Policies(masks="object").arguments("studio") | {
        "reward_weights": "action"
    }
    assert flags.arguments("studio")["masks"] == "object"
    assert flags.candidates == [Controls(3, 0.6, 1.0, 0.6, 0.3)]  # the upper ends of the weights' ranges
    assert not set(flags.seeds) & set(flags.choice_seeds)
    run = make_run(tmp_path / "run", [10], {"num_frames": 2, "height": 48, "width": 64})
    for none in ({"episodes": 0}, {"choice_episodes": 0}):
        for refuse in (
            lambda: policies.run(policies.Policies(**none)),  # noqa: B023 - called at once
            lambda: headroom.run(headroom.Headroom(**none)),  # noqa: B023
            lambda: learning_curve.run(learning_curve.LearningCurve(runs=(run,), **none)),  # noqa: B023
        ):
            with pytest.raises(InputError, match="1 or more"):
                refuse()
