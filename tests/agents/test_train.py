"""A training run: what it leaves, that it learns, and that stopping it changes nothing."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecMonitor
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from videoinpaint.agents import make_policy
from videoinpaint.agents.ppo import checkpoint, training
from videoinpaint.agents.ppo.checkpoint import checkpoints, pack, unpack
from videoinpaint.agents.ppo.replay import ReplayConfig
from videoinpaint.agents.ppo.training import TrainConfig, train
from videoinpaint.benchmarks.policies.learning_curve import read_run
from videoinpaint.drafts import draft_name
from videoinpaint.envs import NaturalControls
from videoinpaint.errors import CorruptWeightsError, DivergedError, InputError, VideoInpaintError
from videoinpaint.weights import read_file, save_safetensors

ROLLOUT = 12
MakeEnvs = Callable[[TrainConfig], VecEnv]


def config(folder: Path, **kwargs: Any) -> TrainConfig:
    settings: dict[str, Any] = {
        "steps": 4 * ROLLOUT, "num_envs": 2, "n_steps": 6, "batch_size": 6, "n_epochs": 2, "device": "cpu",
        "checkpoint_every": ROLLOUT, "progress": False, "learning_rate": 1e-2,
    }  # fmt: skip
    return TrainConfig(output=folder, **(settings | kwargs))


class Stopped(Exception):
    pass


def stop_after(steps: int) -> Any:
    def stop(done: int, row: dict) -> None:
        if done >= steps:
            raise Stopped

    return stop


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"replay": ReplayConfig(trajectories=9, max_steps=4), "sync_every": 2},
        {"env": {"length": 5}},
        {"anneal": True},
        {"clone": "heads4"},
        {
            "policy": "paper",
            "replay": ReplayConfig(trajectories=9, max_steps=4),
            "sync_every": 2,
            "ent_coef": 0.1,
            "final_ent_coef": 0.0,
            "clone": "heads4",
        },
        {"policy": "described", "clone": "heads4"},
    ],
    ids=["plain", "replay and sync", "episodes across rollouts", "annealed", "cloned", "the paper's", "described"],
)
def test_a_stopped_run_ends_in_the_same_bits(tmp_path: Path, extra: dict, make_toys: MakeEnvs) -> None:
    whole = train(config(tmp_path / "whole", **extra), make_env=make_toys)
    stopped = config(tmp_path / "stopped", **extra)
    with pytest.raises(Stopped):  # in the middle of the third rollout's bookkeeping, one checkpoint behind
        train(stopped, make_env=make_toys, on_progress=stop_after(3 * ROLLOUT))
    torch.manual_seed(99)
    again = train(replace(stopped, resume=True), make_env=make_toys)
    assert again.steps == whole.steps == 4 * ROLLOUT
    assert again.curve == whole.curve
    one, two = (read_file(run.policy)[0] for run in (whole, again))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    states = [torch.load(run.checkpoint / "state.pt", weights_only=True) for run in (whole, again)]
    assert all(torch.equal(a, b) for a, b in zip(*map(_tensors, states)))


def test_an_annealed_rate_falls_to_nothing_and_its_run_keeps_its_length(tmp_path: Path, make_toys: MakeEnvs) -> None:
    annealed = config(tmp_path / "run", anneal=True, steps=42)
    events = EventAccumulator(str(train(annealed, make_env=make_toys).folder / "tensorboard")).Reload()
    rates = [event.value for event in events.Scalars("train/learning_rate")]
    np.testing.assert_allclose(rates, [1e-2 * left / 42 for left in (30, 18, 6)], rtol=1e-5)  # the last comes after
    with pytest.raises(InputError, match="steps=84"):
        train(replace(annealed, steps=84, resume=True), make_env=make_toys)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    return [tensor for part in parts for tensor in _tensors(part)]


def test_a_run_explains_itself(tmp_path: Path, make_toys: MakeEnvs) -> None:
    result = train(config(tmp_path / "run", steps=30), make_env=make_toys)
    assert result.steps == 36  # whole rollouts
    assert [row["steps"] for row in result.curve] == [12, 24, 36]
    told = json.loads((result.folder / "run.json").read_text())
    assert told["config"]["n_steps"] == 6
    assert {"command", "software", "commit", "machine", "precision", "weights"} <= told.keys()
    assert json.loads((result.folder / "curve.json").read_text()) == result.curve
    assert len(checkpoints(result.folder / "checkpoints")) == 2  # the two latest
    assert not [path for path in result.folder.rglob("*") if ".part" in path.name]
    events = EventAccumulator(str(result.folder / "tensorboard")).Reload()
    wanted = {"rollout/return", "metrics/psnr", "controls/heads", "train/value_loss"}
    assert wanted <= set(events.Tags()["scalars"])
    assert "pictures/before_after" in events.Tags()["images"]
    np.testing.assert_allclose(events.Scalars("rollout/return")[0].value, result.curve[0]["return"], rtol=1e-5)


def test_it_learns_what_the_picture_says(tmp_path: Path, make_toys: MakeEnvs, toy_env: type) -> None:
    # A picture says it all: clips of a single frame, a near horizon. Five seeds ended with errors of 0.25 to 0.5.
    settings = {"steps": 1440, "num_envs": 8, "n_steps": 15, "batch_size": 60, "n_epochs": 6, "learning_rate": 3e-3}
    settings |= {"gamma": 0.3, "gae_lambda": 0.5}
    single: dict[str, Any] = {"num_frames": 1}
    run = config(tmp_path, **settings, checkpoint_every=0, env=single)
    policy = make_policy(train(run, make_env=make_toys).folder)
    env = toy_env(**single)
    wanted, chosen = [], []
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        wanted.append(1.6 * (env.light - 0.5))
        chosen.append(policy.act({key: value[None] for key, value in observation.items()})[0, 0])
    error = np.sqrt(np.mean(np.square(np.subtract(wanted, chosen))))
    assert error < 0.8 * np.std(wanted)  # the best constant is at 1.0


def test_runs_are_not_mixed(tmp_path: Path, make_toys: MakeEnvs) -> None:
    first = config(tmp_path, steps=ROLLOUT)
    train(first, make_env=make_toys)
    with pytest.raises(InputError, match="already holds"):
        train(first, make_env=make_toys)
    with pytest.raises(InputError, match="gamma"):
        train(replace(first, resume=True, gamma=0.5), make_env=make_toys)
    longer = train(replace(first, resume=True, steps=2 * ROLLOUT), make_env=make_toys)
    assert longer.steps == 2 * ROLLOUT
    same = train(replace(first, resume=True, steps=2 * ROLLOUT), make_env=make_toys)  # nothing left to do
    assert same.curve == longer.curve


def test_damaged_checkpoints_are_named_and_nothing_is_unpickled(tmp_path: Path, make_toys: MakeEnvs) -> None:
    first = config(tmp_path, steps=ROLLOUT)
    state = train(first, make_env=make_toys).checkpoint / "state.pt"
    more = replace(first, resume=True, steps=2 * ROLLOUT)

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "pwned",))

    for content in (state.read_bytes()[:-1000], pickle.dumps(Evil(), protocol=2)):
        state.write_bytes(content)
        with pytest.raises(CorruptWeightsError, match="delete it"):
            train(more, make_env=make_toys)
    torch.save({"evil": Evil()}, state)
    with pytest.raises(CorruptWeightsError, match="delete it"):
        train(more, make_env=make_toys)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("where", ["policy", "optimizer"])
def test_a_checkpoint_with_a_number_that_is_none_is_refused(tmp_path: Path, make_toys: MakeEnvs, where: str) -> None:
    run = config(tmp_path, steps=ROLLOUT)
    checkpoint = train(run, make_env=make_toys).checkpoint
    if where == "policy":
        tensors, metadata = read_file(checkpoint / "policy.safetensors")
        next(iter(tensors.values())).view(-1)[0] = np.nan
        save_safetensors(checkpoint / "policy.safetensors", tensors, metadata)
    else:
        state = torch.load(checkpoint / "state.pt", weights_only=True)
        floats = [tensor for tensor in _tensors(state[where]) if tensor.is_floating_point() and tensor.numel()]
        floats[0].view(-1)[0] = np.nan
        torch.save(state, checkpoint / "state.pt")
    with pytest.raises(CorruptWeightsError, match="NaN"):
        train(replace(run, resume=True, steps=2 * ROLLOUT), make_env=make_toys)


def test_two_trainings_in_one_folder_are_not_both_run(tmp_path: Path, make_toys: MakeEnvs) -> None:
    refused = []

    def second(done: int, row: dict) -> None:
        with pytest.raises(InputError, match="another training runs"):
            train(config(tmp_path / "run", resume=True), make_env=make_toys)
        refused.append(done)

    first = train(config(tmp_path / "run"), make_env=make_toys, on_progress=second)
    assert len(refused) == 4
    assert first.steps == 4 * ROLLOUT
    assert train(config(tmp_path / "run", resume=True), make_env=make_toys).steps == 4 * ROLLOUT  # the lock is gone


def test_equal_trainings_give_equal_files(tmp_path: Path, make_toys: MakeEnvs) -> None:
    one, two = (train(config(tmp_path / name), make_env=make_toys) for name in "ab")
    assert one.policy.read_bytes() == two.policy.read_bytes()


class Spoiling(VecEnvWrapper):
    """Gives rewards that are no numbers once `spoiled` is set."""

    spoiled = False

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observation, rewards, dones, infos = self.venv.step_wait()
        return observation, rewards * (np.nan if self.spoiled else 1), dones, infos


@pytest.mark.parametrize("wrong", ["reward", "weight"])
def test_training_that_goes_astray_stops_and_names_its_last_good_checkpoint(
    tmp_path: Path, make_toys: MakeEnvs, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    run = config(tmp_path)
    envs = Spoiling(make_toys(run))

    def spoil(done: int, row: dict) -> None:
        if done == 3 * ROLLOUT and wrong == "reward":
            envs.spoiled = True
        elif done == 3 * ROLLOUT:
            fill = lambda self, closure=None: self.param_groups[0]["params"][0].data.fill_(np.inf)  # noqa: E731
            monkeypatch.setattr(torch.optim.Adam, "step", fill)

    with pytest.raises(DivergedError, match=r"last good checkpoint is .*step-0000000(24|36)"):
        train(run, make_env=lambda _: envs, on_progress=spoil)
    monkeypatch.undo()
    for path in tmp_path.rglob("*.safetensors"):
        read_file(path)
    assert train(replace(run, resume=True), make_env=make_toys).steps == 4 * ROLLOUT


HUGE = 10**400
BAD = [
    {"steps": 0}, {"steps": "many"}, {"steps": HUGE}, {"gamma": 1.5}, {"num_envs": 1, "n_steps": 1},
    {"device": "abacus"}, {"ent_coef": float("nan")}, {"ent_coef": float("inf")}, {"learning_rate": 1e308},
    {"learning_rate": float("nan")}, {"vf_coef": -1.0}, {"max_grad_norm": 0.0}, {"target_kl": float("nan")},
    {"seed": -1}, {"seed": 2**32}, {"seed": 1.5}, {"start_std": float("nan")}, {"num_envs": HUGE},
    {"n_steps": 10**9}, {"checkpoint_every": -1}, {"env": ["clips"]}, {"device": "meta"}, {"replay": True},
    {"env": {"autoreset_mode": "SameStep"}},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad}"[:40])
def test_bad_settings_leave_nothing(tmp_path: Path, bad: dict, make_toys: MakeEnvs) -> None:
    with pytest.raises(InputError):
        train(config(tmp_path / "run", **bad), make_env=make_toys)
    assert not (tmp_path / "run").exists()


def test_it_trains_and_resumes_on_the_real_batch(tmp_path: Path, small: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    env = small | {"max_iterations": 4}  # a rollout of six ends within an episode
    whole = train(config(tmp_path / "whole", steps=24, env=env))
    sizes = {}
    for kind in ("brief", "with all tensors, as of version 0.1.0"):
        part = config(tmp_path / kind, steps=12, env=env)
        with monkeypatch.context() as patch:
            if kind != "brief":
                patch.setattr(checkpoint, "_has", lambda _, names: "get_brief_state" not in names)
            sizes[kind] = (train(part).checkpoint / "state.pt").stat().st_size
        rest = train(replace(part, steps=24, resume=True))
        assert rest.curve == whole.curve
        one, two = (read_file(run.policy)[0] for run in (whole, rest))
        assert all(torch.equal(one[name], two[name]) for name in one)
    brief, full = sizes.values()
    assert full - brief > 0.9 * 2 * state_bytes(env)
    assert {"metrics/psnr_hole", "metrics/lpips", "controls/gamma", "return"} <= whole.curve[0].keys()


class Drawing(VecEnvWrapper):
    """A part of somebody's that draws from the generators that all share."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.drawn: list[tuple[float, ...]] = []

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        self.drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))  # noqa: NPY002
        return self.venv.step_wait()


def test_what_draws_from_shared_generators_goes_on_where_it_was(tmp_path: Path, make_toys: MakeEnvs) -> None:
    def drawn(run: TrainConfig) -> list[tuple[float, ...]]:
        envs = Drawing(make_toys(run))
        train(run, make_env=lambda _: envs)
        return envs.drawn

    whole, part = config(tmp_path / "whole"), config(tmp_path / "part", steps=2 * ROLLOUT)
    assert drawn(part) + drawn(replace(part, steps=4 * ROLLOUT, resume=True)) == drawn(whole)


def state_bytes(kwargs: dict[str, Any]) -> int:
    env = gymnasium.make("VideoInpaint-v1", **kwargs).unwrapped
    env.reset(seed=0)
    env.step(np.zeros(5, np.float32))
    tensors = env.get_state()["tensors"]  # type: ignore[attr-defined]
    return sum(tensor.nbytes for tensor in {id(one): one for one in tensors.values()}.values())


@pytest.mark.parametrize(("every", "written"), [(0, [48]), (1, [12, 24, 36, 48]), (13, [24, 48])])
def test_checkpoints_are_no_more_frequent_than_asked(
    tmp_path: Path, make_toys: MakeEnvs, every: int, written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []

    def noting(folder: Path, *args: Any, **kwargs: Any) -> Path:
        saved.append(save(folder, *args, **kwargs).name)
        return folder / saved[-1]

    save = training.save_checkpoint
    monkeypatch.setattr(training, "save_checkpoint", noting)
    train(config(tmp_path / "run", checkpoint_every=every), make_env=make_toys)
    assert saved == [f"step-{steps:09d}" for steps in written]


class Stateless(gymnasium.Wrapper):
    """An environment that cannot be saved."""

    def has_wrapper_attr(self, name: str) -> bool:
        return name not in ("get_state", "set_state") and super().has_wrapper_attr(name)

    def get_wrapper_attr(self, name: str) -> Any:
        if name in ("get_state", "set_state"):
            raise AttributeError(name)
        return super().get_wrapper_attr(name)


def test_environments_without_states_begin_new_episodes_on_resume(tmp_path: Path, toy_env: type) -> None:
    seen: list[float] = []

    class Watched(toy_env):
        def reset(self, **kwargs: Any) -> Any:
            result = super().reset(**kwargs)
            seen.append(self.light)
            return result

    def make(config: TrainConfig) -> VecEnv:
        return VecMonitor(DummyVecEnv([lambda: Stateless(Watched()) for _ in range(config.num_envs)]))

    first = config(tmp_path / "run", steps=ROLLOUT, group_size=2)
    train(first, make_env=make)
    before, seen[:] = list(seen), []
    result = train(replace(first, steps=2 * ROLLOUT, resume=True), make_env=make)
    assert result.steps == 2 * ROLLOUT
    assert [row["steps"] for row in result.curve] == [ROLLOUT, 2 * ROLLOUT]
    assert seen[0] == seen[1]  # a group still plays the same clips
    assert not set(seen) & set(before)  # and other ones than at the beginning
    told = json.loads((result.folder / "run.json").read_text())
    assert told["resumed"] == [{"steps": ROLLOUT, "environments": "reset"}]
    assert "env" not in told  # what a caller built is not the id's


def test_environments_of_ones_own_are_restored_through_wrappers(tmp_path: Path, toy_id: str) -> None:
    def make(config: TrainConfig) -> VecEnv:
        made = [lambda: gymnasium.wrappers.TransformReward(gymnasium.make(toy_id), float) for _ in range(2)]
        return VecMonitor(DummyVecEnv(made))

    whole = train(config(tmp_path / "whole", steps=2 * ROLLOUT), make_env=make)
    part = config(tmp_path / "part", steps=ROLLOUT)
    train(part, make_env=make)
    rest = train(replace(part, steps=2 * ROLLOUT, resume=True), make_env=make)
    assert rest.curve == whole.curve
    assert json.loads((rest.folder / "run.json").read_text())["resumed"][0]["environments"] == "restored"


def test_an_id_without_a_vector_form_can_be_trained_in(tmp_path: Path, toy_id: str) -> None:
    result = train(config(tmp_path / "run", steps=ROLLOUT, env_id=toy_id, env={"length": 2}))
    assert result.curve[0]["episodes"] == ROLLOUT / 2
    told = json.loads((result.folder / "run.json").read_text())
    assert told["env"] == {"id": toy_id, "kwargs": {"length": 2, "num_frames": 2}}


def test_an_id_whose_actions_are_others_is_not_trained_in(tmp_path: Path, small: dict) -> None:
    natural = NaturalControls.wrapper_spec()
    gymnasium.register(
        "VideoInpaintTestNatural-v0",
        entry_point="videoinpaint.envs:VideoInpaintEnv",
        additional_wrappers=(natural,),
    )
    try:
        with pytest.raises(InputError, match="NaturalControls"):
            train(config(tmp_path / "run", env_id="VideoInpaintTestNatural-v0", env=small))
    finally:
        del gymnasium.registry["VideoInpaintTestNatural-v0"]
    assert not (tmp_path / "run").exists()


def test_flat_infos_do_not_take_the_map_from_the_cells(tmp_path: Path, small: dict) -> None:
    env = small | {"inpainter": "compact", "action_grid": (2, 3)}
    asked = {"env_id": "VideoInpaintRegions-v1", "steps": ROLLOUT}
    flat = train(config(tmp_path / "flat", env=env | {"flat_info": True}, **asked))
    assert flat.curve == train(config(tmp_path / "whole", env=env, **asked)).curve


@pytest.mark.parametrize(
    ("wrong", "told"), [({"env_id": "Nope-v0"}, "VideoInpaint-v0"), ({"env": {"hight": 4}}, "height")]
)
def test_what_is_not_registered_is_named_before_anything_is_written(tmp_path: Path, wrong: dict, told: str) -> None:
    with pytest.raises(VideoInpaintError, match=told):
        train(config(tmp_path / "run", **wrong))
    assert not (tmp_path / "run").exists()


def test_packing_keeps_arrays() -> None:
    value = {
        "a": np.arange(5, dtype=np.uint32) + 2**31,
        "b": [(1, 2.5), None],
        "c": np.float64(3),
        "d": np.ones((2, 0)),
    }
    back = unpack(pack(value))
    assert back["a"].dtype == np.uint32
    np.testing.assert_array_equal(back["a"], value["a"])
    assert back["b"] == [[1, 2.5], None]
    assert type(back["c"]) is float
    assert back["d"].shape == (2, 0)


def test_drafts_of_a_killed_run_are_no_results_and_go_with_the_next(tmp_path: Path, make_toys: MakeEnvs) -> None:
    result = train(config(tmp_path / "run", steps=ROLLOUT), make_env=make_toys)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ending = draft_name(Path("a")).removeprefix(".a").replace(f".{os.getpid()}.", f".{ended.pid}.")
    stale = [
        result.folder / f".policy{ending}.safetensors",
        result.folder / "policies" / f".step-000000099{ending}.safetensors",
        result.folder / "checkpoints" / f".step-000000099{ending}" / "policy.safetensors",
    ]
    stale[-1].parent.mkdir()
    for path in stale:
        path.touch()
    assert list(read_run(result.folder).policies) == [ROLLOUT]
    train(config(tmp_path / "run", resume=True), make_env=make_toys)
    assert not [path for path in result.folder.rglob("*") if ".part" in path.name]


def test_a_disk_that_is_full_while_a_checkpoint_is_written_is_one_clear_error(
    tmp_path: Path, make_toys: MakeEnvs
) -> None:
    """Files that may not grow beyond a length stand in for the disk."""
    resource = pytest.importorskip("resource")
    result = train(config(tmp_path / "run", steps=ROLLOUT), make_env=make_toys)
    longest = result.policy.stat().st_size * 6 // 5  # a state holds two moments of Adam, too
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (longest, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write .*step-000000024: File too large; name another place"):
            train(config(tmp_path / "run", resume=True), make_env=make_toys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (result.folder / "checkpoints").iterdir()] == ["step-000000012"]


def test_untrained_parts_are_still_told_of_when_nothing_is_left_to_train(
    tmp_path: Path, make_toys: MakeEnvs, toy_env: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = toy_env.step

    def untrained(env: Any, action: Any) -> Any:
        *found, info = step(env, action)
        return *found, info | {"random_weights": "inpainter compact, detector focal"}

    monkeypatch.setattr(toy_env, "step", untrained)
    for resume in (False, True):
        folder = train(config(tmp_path / "run", steps=ROLLOUT, resume=resume), make_env=make_toys).folder
        told = json.loads((folder / "run.json").read_text())
        assert told["random_weights"] == ["detector focal", "inpainter compact"]


def test_policies_along_the_way_are_the_learners(tmp_path: Path, make_toys: MakeEnvs) -> None:
    """Where another, older policy collects the rollouts, the files hold what was learnt."""
    result = train(config(tmp_path / "run", sync_every=10), make_env=make_toys)
    steps = [ROLLOUT * k for k in range(1, 5)]
    saved = [read_file(result.folder / "policies" / f"step-{step:09d}.safetensors")[0] for step in steps]
    for one, two in pairwise(saved):
        assert any(not torch.equal(one[name], two[name]) for name in one)
    last = read_file(result.folder / "checkpoints" / f"step-{steps[-1]:09d}" / "policy.safetensors")[0]
    assert all(torch.equal(saved[-1][name], last[name]) for name in last)


@pytest.mark.parametrize(("asked", "made"), [(12, 12), (7, 6), (5, 4), (100, 12), (11, 6)])
def test_a_rollout_is_split_evenly(tmp_path: Path, make_toys: MakeEnvs, asked: int, made: int) -> None:
    model = training._build(config(tmp_path / "run", batch_size=asked), make_toys)
    assert model.batch_size == made
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        odd = training._build(config(tmp_path / "run", num_envs=1, n_steps=97, batch_size=96), make_toys)
    assert odd.batch_size == 49


def test_the_latest_checkpoint_is_the_one_of_most_steps(tmp_path: Path) -> None:
    for steps in (999_999_999, 1_000_000_008, 12):
        (tmp_path / f"step-{steps:09d}").mkdir()
    (tmp_path / "step-aside").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000000012", "step-999999999", "step-1000000008"]
