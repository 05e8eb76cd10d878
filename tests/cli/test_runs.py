"""`train`, `evaluate` and `demo`: their flags mean what the package means, and small runs leave what they promise."""

from __future__ import annotations

import base64
import csv
import json
import shlex
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
import tyro

from videoinpaint.agents.policies.export import blank_network, save_policy
from videoinpaint.agents.ppo.callbacks import Recorder
from videoinpaint.benchmarks.demo import verdict
from videoinpaint.cli import main
from videoinpaint.cli.environment import EnvironmentFlags
from videoinpaint.cli.evaluate import Evaluate
from videoinpaint.cli.train import Train
from videoinpaint.clips.files.video import read_video
from videoinpaint.errors import InputError
from videoinpaint.registration import ENVIRONMENTS
from videoinpaint.weights import read_file

Fails = Callable[..., str]
SMALL = (
    "--num-frames",
    "2",
    "--height",
    "36",
    "--width",
    "48",
    "--inpainter",
    "telea",
    "--detector",
    "none",
    "--device",
    "cpu",
)


def test_train_flags_have_the_configurations_defaults() -> None:
    from videoinpaint.agents.ppo.training import TrainConfig

    config = Train().config()
    assert config == TrainConfig(
        output=config.output, env=config.env, env_id=config.env_id, device=config.device, checkpoint_every=2_000
    )
    assert {f.name for f in fields(TrainConfig)} - {f.name for f in fields(Train)} == {
        "env", "vf_coef", "max_grad_norm", "progress"
    }  # fmt: skip


def test_no_target_kl_is_none() -> None:
    assert Train(target_kl=0).config().target_kl is None
    assert Train(target_kl=0.2).config().target_kl == 0.2


@pytest.mark.parametrize("env_id", [one.id for one in ENVIRONMENTS])
def test_an_id_without_flags_is_what_it_registers(env_id: str) -> None:
    assert EnvironmentFlags(env_id=env_id).env_kwargs() == {}
    assert Train(env_id=env_id).config().env == {}


def test_flags_that_are_given_are_passed_on_and_no_others() -> None:
    asked = EnvironmentFlags(reward_weights="fixed", compute_price=0.5).env_kwargs()
    assert asked == {"reward_weights": "fixed", "compute_price": 0.5}


def test_flags_of_another_environment_are_refused() -> None:
    with pytest.raises(InputError, match="propagator"):
        EnvironmentFlags(propagator="flow").env_kwargs()
    with pytest.raises(InputError, match="masks"):
        EnvironmentFlags(env_id="VideoInpaintOneShot-v1", masks="square").env_kwargs()


def test_an_unknown_id_is_one_line_that_lists_those_there_are(fails: Fails) -> None:
    message = fails("train", "--env-id", "Nope-v0", "--output", "runs/none")
    assert "Nope-v0" in message
    assert "VideoInpaint-v1" in message


def test_train_then_evaluate(tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]) -> None:
    run, scores, page = tmp_path / "run", tmp_path / "scores.json", tmp_path / "scores.html"
    words = ["train", "--output", str(run), "--steps", "12", "--num-envs", "2", "--n-steps", "6", *SMALL]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert str(run / "policy.safetensors") in shown
    assert f"videoinpaint evaluate {shlex.join(SMALL)} --policies {run} random" in shown
    assert "seeds that training never draws" in shown
    assert json.loads((run / "run.json").read_text())["config"]["env"]["height"] == 36
    policy = (run / "policy.safetensors").read_bytes()
    assert main(words) == 0
    assert f"{run} holds this run, which has ended: 12 of 12 steps are done" in capsys.readouterr().out
    assert (run / "policy.safetensors").read_bytes() == policy
    assert "gamma=0.5 (was 0.95)" in fails(*words, "--gamma", "0.5")  # it does not train over an earlier run
    told = fails(*words, "--steps", "24")
    assert f"{run} holds a run of 12 steps, asked for are 24" in told
    assert "--resume" in told
    assert "steps=24 (was 12)" in fails(*words, "--steps", "24", "--gamma", "0.5")
    assert main([*words, "--steps", "24", "--resume"]) == 0
    assert f"going on in {run}: 12 of 24 steps are done" in capsys.readouterr().out
    assert "24 steps, asked for are 12" in fails(*words)

    words = ["evaluate", "--policies", str(run), "heads4", "--episodes", "6", "--num-envs", "3", *SMALL]
    assert main([*words, "--output", str(scores), "--report", str(page)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("heads4", "random", "PSNR hole"))
    assert "95% intervals" in shown
    results = json.loads(scores.read_text())
    trained, fixed, baseline = results["policies"]
    assert [p["trained"] for p in results["policies"]] == [True, False, False]
    assert [r["seed"] for r in trained["records"]] == list(range(6))
    assert baseline["name"] == results["baseline"] == "random"
    assert baseline["difference"] is None
    returns = np.array([[r["episode_return"] for r in p["records"]] for p in (fixed, baseline)])
    assert fixed["difference"]["mean"] == pytest.approx((returns[0] - returns[1]).mean())
    assert fixed["difference"]["low"] <= fixed["difference"]["mean"] <= fixed["difference"]["high"]
    assert page.read_text().count("data:image/png;base64") >= 4


def test_a_training_that_was_interrupted_goes_on_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--steps", "24", "--num-envs", "2", "--n-steps", "6", "--checkpoint-every", "12"]
    words = ["train", *sizes, *SMALL, "--output"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    capsys.readouterr()
    halves = tmp_path / "halves"
    kept = halves / "checkpoints" / "step-000000012"

    usual = Recorder._on_rollout_end

    def interrupted(self: Recorder) -> None:
        if kept.is_dir():
            raise KeyboardInterrupt
        usual(self)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_on_rollout_end", interrupted)
        assert main([*words, str(halves)]) == 130
    told = " ".join(capsys.readouterr().err.split())
    assert f"error: interrupted; 12 of 24 steps are kept in {kept}: the same settings go on from there" in told
    assert main([*words, str(halves)]) == 0
    assert f"going on in {halves}: 12 of 24 steps are done" in capsys.readouterr().out
    whole, again = (read_file(folder / "policy.safetensors")[0] for folder in (tmp_path / "whole", halves))
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_training_says_how_to_compare_it_in_its_own_environment() -> None:
    words = shlex.split(Train().comparison(Path("runs/train")))
    assert words == ["videoinpaint", "evaluate", "--policies", "runs/train", "random", "heads12", "heuristic"]
    environment = EnvironmentFlags("VideoInpaintRegions-v1", "my clips;x", num_frames=4, action_grid=(2, 3))
    asked = Train(**vars(environment), bank=Path("bank"), prefetch=2)
    words = shlex.split(asked.comparison(Path("my run")))
    assert not {"--bank", "--prefetch"} & set(words)
    played = tyro.cli(Evaluate, args=words[2:])
    assert (played.env_id, played.num_frames, played.action_grid) == ("VideoInpaintRegions-v1", 4, (2, 3))
    assert (played.clips, played.policies) == ("my clips;x", ("my run", "random", "heads12", "heuristic"))
    assert played.env_kwargs() == asked.env_kwargs()
    assert "--env-id VideoInpaint-v0" in Train(preset="paper").comparison(Path("run"))
    assert "--precision float32" in Train(precision="float32").comparison(Path("run"))


def test_the_papers_environment_is_not_called_out_of_date() -> None:
    """It is asked for by its version, on purpose. Whoever makes it by Gymnasium is told as ever."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        words = ["evaluate", "--env-id", "VideoInpaint-v0", "--policies", "heads4", "--episodes", "2", *SMALL]
        assert main(words) == 0
        assert not any("out of date" in str(one.message) for one in told)
        gymnasium.make("VideoInpaint-v0").close()
        assert any("out of date" in str(one.message) for one in told)


def test_training_seeds_are_one_row_and_every_ending_has_its_form(tmp_path: Path) -> None:
    runs = [tmp_path / f"seed{seed}" for seed in range(2)]
    for seed, run in enumerate(runs):
        network = blank_network()
        with torch.no_grad():
            network.action_net.linear.bias[0] = seed  # another number of heads each
        save_policy(run / "policy.safetensors", network)
    words = ["evaluate", "--policies", f"a_b={tmp_path}/seed*", "heads4", "--episodes", "5", "--num-envs", "5", *SMALL]
    for ending in ("json", "csv", "md", "tex"):
        assert main([*words, "--output", str(tmp_path / f"scores.{ending}")]) == 0
    results = json.loads((tmp_path / "scores.json").read_text())
    grouped = results["policies"][0]
    assert (grouped["name"], grouped["training_seeds"], len(grouped["records"])) == ("a_b", 2, 10)
    assert [r["training_seed"] for r in grouped["records"]] == [0] * 5 + [1] * 5
    heads = {r["training_seed"]: r["controls"][0]["heads"] for r in grouped["records"]}
    assert heads[0] < heads[1]
    assert grouped["quality"]["mean"] == pytest.approx(np.mean([r["quality"] for r in grouped["records"]]))
    assert grouped["return"]["low"] < grouped["return"]["mean"] < grouped["return"]["high"]
    with (tmp_path / "scores.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["policy"] for row in table] == [
        p["name"] for p in sorted(results["policies"], key=lambda p: -p["quality"]["mean"])
    ]
    row = next(row for row in table if row["policy"] == "a_b")
    assert (row["training_seeds"], row["episodes"]) == ("2", "5")
    assert float(row["quality_low"]) == pytest.approx(grouped["quality"]["low"])
    assert "| a\\_b (2 seeds) |" in (tmp_path / "scores.md").read_text()
    assert r"a\_b (2 seeds) &" in (tmp_path / "scores.tex").read_text()


def test_results_say_what_they_were_measured_with(tmp_path: Path) -> None:
    output = tmp_path / "scores.json"
    words = ["evaluate", "--policies", "heads4", "--episodes", "2", *SMALL]
    assert main([*words, "--output", str(output)]) == 0
    told = json.loads(output.read_text())
    assert told["env"]["id"] == "VideoInpaint-v1"
    assert (told["env"]["kwargs"]["height"], told["env"]["kwargs"]["psnr_scale"]) == (36, 50.0)  # given, and a default
    assert told["precision"]["asked"] == "auto"
    assert told["precision"]["used"] in ("float32", "bfloat16")
    assert (told["device"], told["machine"]["threads"]) == ("cpu", torch.get_num_threads())
    assert {
        "torch",
        "torchvision",
        "numpy",
        "gymnasium",
        "stable-baselines3",
        "opencv",
        "videoinpaint",
        "python",
    } == set(told["software"])
    assert any("alex" in weight["file"] and len(weight["sha256"]) == 64 for weight in told["weights"])
    assert told["random_weights"] == []


def test_evaluate_takes_a_foreign_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine_cli.py").write_text(
        "import numpy as np\n\nclass Mine:\n    def act(self, observation):\n"
        "        return np.zeros((len(observation['masks']), 5), np.float32)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "--policy", "mine_cli:Mine", "--episodes", "2", "--output", "scores.json", *SMALL]
    assert main(words) == 0
    assert "without intervals, which need 5 clips; " in capsys.readouterr().out
    first = json.loads((tmp_path / "scores.json").read_text())["policies"][0]
    assert first["name"] == "mine_cli:Mine"
    assert {c["fusion"] for r in first["records"] for c in r["controls"]} == {0.65}


def test_bad_input_is_one_line(tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "nonsense" in fails("evaluate", "--policies", "nonsense", *SMALL)
    assert "scores.txt" in fails("evaluate", "--policies", "random", "--output", "scores.txt", *SMALL)
    assert "episodes must lie in 2" in fails("evaluate", "--policies", "random", "--episodes", "1", *SMALL)
    assert "height" in fails("evaluate", "--policies", "random", *SMALL, "--height", "8")
    assert "steps" in fails("train", "--steps", "0", *SMALL)
    assert "nonsense" in fails("train", *SMALL, "--clips", "nonsense")
    for command in ("train", "evaluate"):
        told = fails(command, "--env-id", "Nope-v0")
        assert "Nope-v0" in told
        assert "VideoInpaintBudget-v0" in told
    assert "seed*" in fails("evaluate", "--policies", "mine=nowhere/seed*", *SMALL)
    assert not list(tmp_path.iterdir())


def test_demo_leaves_what_it_promises_and_can_be_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videoinpaint.benchmarks.demo.SHOWN_SIZE", (3, 48, 64))
    monkeypatch.setattr("videoinpaint.benchmarks.demo.ROLLOUT", 3)  # an episode of each environment
    folder = tmp_path / "demo"
    words = ["demo", "--output", str(folder), "--steps", "1", "--episodes", "2", *SMALL]
    assert main(words) == 0
    first = json.loads((folder / "results.json").read_text())
    (folder / "mine.txt").write_text("a user's note")
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "report.html" in shown
    assert "What to try next" in shown
    results = json.loads((folder / "results.json").read_text())
    names = {p["name"] for p in results["policies"]}
    assert {"ppo (this run)", "trained", "default", "heads4", "heads8", "heuristic", "random"} == names
    assert results["versions"]["torch"]
    assert verdict(results["policies"]) in results["summary"]
    assert results["seeds"]["evaluation"] == "0 to 1"
    # the same seed gives the same numbers
    assert [p["return"] for p in results["policies"]] == [p["return"] for p in first["policies"]]
    assert all((folder / name).exists() for name in results["files"])
    assert any((folder / "training" / "tensorboard").iterdir())
    frames, _ = read_video(folder / "before-after.mp4")
    assert len(frames) >= 24
    page = (folder / "report.html").read_text()
    assert all(name in page for name in names)
    assert len(base64.b64decode(page.split("data:image/jpeg;base64,")[1].split('"')[0])) > 10_000
    assert (folder / "mine.txt").exists()


def test_demo_refuses_a_folder_that_is_not_its_own(tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "training").mkdir()
    assert "something else" in fails("demo", "--output", tmp_path)
    assert (tmp_path / "training").is_dir()
