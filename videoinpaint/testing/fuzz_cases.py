"""Inputs and their mutations; see :mod:`videoinpaint.testing.fuzz`.

A case is a function of a bench, which holds good inputs to begin from, and of a generator. It returns what came of the
mutated input, to be looked at for numbers that are none, or raises.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from videoinpaint.agents import make_policy
from videoinpaint.agents.policies.export import blank_network, load_policy, save_policy
from videoinpaint.agents.ppo.training import TrainConfig, train
from videoinpaint.benchmarks.policies.learning_curve import read_run
from videoinpaint.checkpoints import CHECKPOINT
from videoinpaint.clips import make_clips, make_masks
from videoinpaint.detectors import make_detector
from videoinpaint.envs import VideoInpaintEnv, VideoInpaintVectorEnv
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.inpainters import make_inpainter
from videoinpaint.testing.fuzz_media import Media, flag_case, picture_case, video_case
from videoinpaint.testing.mutations import mutated, mutated_bytes, nonsense
from videoinpaint.weights import path_of, read_file, save_safetensors

SMALL: dict[str, Any] = {
    "num_frames": 2, "height": 48, "width": 64, "inpainter": "telea", "detector": "none", "device": "cpu",
}  # fmt: skip
Case = Callable[["Bench", np.random.Generator], Any]


class Bench(Media):
    """Good inputs, made once, in a folder of their own."""

    @functools.cached_property
    def env(self) -> VideoInpaintEnv:
        """An environment within an episode."""
        env = VideoInpaintEnv(**SMALL)
        env.reset(seed=0)
        return env

    @functools.cached_property
    def batch(self) -> VideoInpaintVectorEnv:
        """A batch within its episodes."""
        batch = VideoInpaintVectorEnv(num_envs=2, **SMALL)
        batch.reset(seed=0)
        return batch

    @functools.cached_property
    def state(self) -> dict[str, Any]:
        """Of an episode after one step."""
        env = VideoInpaintEnv(**SMALL)
        env.reset(seed=1)
        env.step(np.zeros(5, np.float32))
        return env.get_state()

    @functools.cached_property
    def policy(self) -> Path:
        """A policy's file."""
        return save_policy(self.fresh(".safetensors"), blank_network(), {"steps": 3})

    @functools.cached_property
    def weights(self) -> dict[str, bytes]:
        """Weight files of each format: a small network's own, and the shipped ones of the repair."""
        tensors = {"a": torch.linspace(-1, 1, 300).view(3, 100), "b": torch.arange(7), "c": torch.ones(2).half()}
        own = save_safetensors(self.fresh(".safetensors"), tensors, {"layers": 3})
        torch.save(tensors, self.fresh_pth)
        shipped = {name: path_of(name).read_bytes() for name in ("detector-compact", "inpainter-compact")}
        return shipped | {".safetensors": own.read_bytes(), ".pth": self.fresh_pth.read_bytes()}

    @functools.cached_property
    def fresh_pth(self) -> Path:
        """Where the torch file lies."""
        return self.fresh(".pth")

    @functools.cached_property
    def fitted(self) -> Path:
        """The folder of a small training by gradient descent."""
        folder = self.fresh()
        _fit(folder)
        return folder

    @functools.cached_property
    def trained(self) -> TrainConfig:
        """A small training by PPO that has ended."""
        config = TrainConfig(
            output=self.fresh(), env=dict(SMALL), steps=6, num_envs=1, n_steps=6, batch_size=6, n_epochs=1,
            device="cpu", progress=False,
        )  # fmt: skip
        train(config)
        return config


def weights_case(bench: Bench, rng: np.random.Generator) -> Any:
    """A damaged weight file, read; the networks of the repair also run."""
    name = str(rng.choice(list(bench.weights)))
    path = bench.fresh(name if name.startswith(".") else ".safetensors")
    path.write_bytes(mutated_bytes(rng, bench.weights[name]))
    try:
        tensors, _ = read_file(path)
        if name.startswith("."):
            return tensors
        frames, holes = torch.full((1, 2, 3, 32, 32), 0.5), torch.zeros(1, 2, 1, 32, 32)
        holes[..., 8:20, 8:20] = 1
        if name == "detector-compact":
            return vars(make_detector("compact", weights=str(path)).detect(frames, holes))
        part = make_inpainter("compact", weights=str(path), precision="float32")
        from videoinpaint.envs.loop import ClosedLoop

        loop = ClosedLoop(part, make_detector("none"))
        return loop.refine(loop.begin(frames, holes), [[12, 0.65, 0.9, 0.45, 0.2]])[0]["repaired"]
    finally:
        path.unlink()


def policy_case(bench: Bench, rng: np.random.Generator) -> Any:
    """A damaged policy, which then acts."""
    path = bench.fresh(".safetensors")
    path.write_bytes(mutated_bytes(rng, bench.policy.read_bytes()))
    observation = {"frames": np.zeros((1, 6, 48, 64), np.uint8), "masks": np.full((1, 2, 48, 64), 255, np.uint8)}
    try:
        return load_policy(path).act(observation)
    finally:
        path.unlink()


def state_case(bench: Bench, rng: np.random.Generator) -> Any:
    """A damaged state, which then is stepped."""
    state = mutated(rng, copy.deepcopy(bench.state))
    if rng.random() < 0.3:
        bench.batch.set_state([state, bench.state])
        return bench.batch.step(np.zeros((2, 5), np.float32))[1]
    bench.env.set_state(state)
    return bench.env.step(np.zeros(5, np.float32))[1]


def action_case(bench: Bench, rng: np.random.Generator) -> Any:
    """Actions, seeds and options of any kind."""
    what = rng.integers(5)
    if what == 0:
        return bench.env.reset(seed=nonsense(rng), options=None if rng.random() < 0.7 else nonsense(rng))[0]["frames"]
    if what == 1:
        options = {str(rng.choice(["clip", "mask", "other"])): nonsense(rng)}
        return bench.env.reset(seed=0, options=options)[0]["frames"]
    if what == 2:
        return bench.batch.reset(seed=nonsense(rng), options=None if rng.random() < 0.7 else nonsense(rng))[0]["frames"]
    bench.env.reset(seed=0)
    action = mutated(rng, [0.0] * 5) if rng.random() < 0.5 else nonsense(rng)
    if what == 3:
        return vars(bench.env.to_controls(action))
    return bench.env.step(action)[1]


def argument_case(bench: Bench, rng: np.random.Generator) -> Any:
    """Arguments of environments, parts, clips, policies and trainings."""
    names = list(VideoInpaintEnv.__init__.__annotations__)
    chosen = {str(rng.choice(names)): nonsense(rng) for _ in range(int(rng.integers(1, 3)))}
    chosen.pop("return", None)
    what = rng.integers(6)
    if what < 3:
        env = VideoInpaintEnv(**(SMALL | chosen))
        return env.reset(seed=0)[0]["frames"]
    if what == 3:
        return type(VideoInpaintVectorEnv(num_envs=nonsense(rng), **SMALL)).__name__
    if what == 4:
        makers: list[Callable[..., Any]] = [make_clips, make_masks, make_policy, make_inpainter, make_detector]
        make = makers[int(rng.integers(5))]
        return type(make(str(nonsense(rng)) if rng.random() < 0.5 else nonsense(rng))).__name__
    fields = list(TrainConfig.__dataclass_fields__)
    return TrainConfig.from_mapping({"output": "x", str(rng.choice(fields)): nonsense(rng)}).as_dict()


def json_case(bench: Bench, rng: np.random.Generator) -> Any:
    """Damaged run.json and curve.json of a training run."""
    folder = bench.fresh()
    shutil.copytree(bench.trained.output, folder)
    try:
        path = folder / str(rng.choice(["run.json", "curve.json"]))
        text = path.read_bytes()
        if rng.random() < 0.5:
            text = json.dumps(mutated(rng, json.loads(text)), default=str).encode(errors="replace")
        path.write_bytes(mutated_bytes(rng, text) if rng.random() < 0.6 else text)
        return len(read_run(folder).policies)
    finally:
        shutil.rmtree(folder)


def fit_case(bench: Bench, rng: np.random.Generator) -> Any:
    """A damaged checkpoint of training by gradient descent, from which it goes on."""
    folder = bench.fresh()
    shutil.copytree(bench.fitted, folder)
    try:
        _damage(folder / CHECKPOINT, rng)
        return dict(_fit(folder).state_dict())
    finally:
        shutil.rmtree(folder)


def ppo_case(bench: Bench, rng: np.random.Generator) -> Any:
    """A damaged checkpoint of PPO, from which it goes on."""
    config = replace(bench.trained, output=bench.fresh(), resume=True, steps=12)
    shutil.copytree(bench.trained.output, config.output)
    try:
        checkpoint = next(Path(config.output).glob("checkpoints/step-*"))
        path = checkpoint / str(rng.choice(["state.pt", "state.pt", "config.json", "policy.safetensors"]))
        if path.suffix == ".pt":
            _damage(path, rng)
        else:
            path.write_bytes(mutated_bytes(rng, path.read_bytes()))
        return read_file(train(config).policy)[0]
    finally:
        shutil.rmtree(config.output)


KINDS: dict[str, Case] = {
    "weights": weights_case, "policies": policy_case, "states": state_case, "actions": action_case,
    "arguments": argument_case, "json": json_case, "fit": fit_case, "states again": state_case,
    "actions again": action_case, "ppo": ppo_case, "pictures": picture_case, "videos": video_case, "flags": flag_case,
}  # fmt: skip
"""Kind -> case. A training is slow, and states and actions come in many kinds: these two stand twice."""


def _damage(path: Path, rng: np.random.Generator) -> None:
    """Mutate a torch file: its content, or its bytes."""
    if rng.random() < 0.7:
        content = mutated(rng, torch.load(path, weights_only=True))
        try:
            torch.save(content, path)
            return
        except Exception:  # some nonsense cannot be written
            pass
    path.write_bytes(mutated_bytes(rng, path.read_bytes()))


def _fit(folder: Path) -> nn.Module:
    """Two iterations of a small training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Linear(3, 2)
        config = FitConfig(folder, iterations=2, progress=False, warmup=1, save_seconds=0.0)

        def loss(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
            return network(torch.from_numpy(rng.normal(size=(4, 3))).float()).square().mean(), {}

        if not (folder / CHECKPOINT).exists():

            class StopError(Exception):
                pass

            calls = itertools.count()

            def stopped(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
                if next(calls) == 1:
                    raise StopError
                return loss(rng)

            try:
                return fit(network, stopped, config)
            except StopError:
                return network
        return fit(network, loss, config)
