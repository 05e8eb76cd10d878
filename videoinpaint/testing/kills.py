"""Trainings that are killed at random moments: nothing half-written is ever there, and the rerun ends the same.

    python -m videoinpaint.testing.kills --count 200

A process trains a small network, with a checkpoint after every iteration, and writes its weights, a JSON file and a
folder. It is killed by SIGKILL, at any moment of all that, a few times over; then it is left to end. After every kill
each file that is there must be whole, and in the end the results must be those of a run that nobody disturbed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import nn

from videoinpaint.checkpoints import CHECKPOINT
from videoinpaint.checks import plain_content
from videoinpaint.files import write_atomically, write_json
from videoinpaint.fitting import FitConfig, fit
from videoinpaint.weights import read_file, save_safetensors

RESULTS = ("weights.safetensors", "note.json", "kept/a.txt")


@dataclass(frozen=True)
class Kills:
    """How often."""

    count: int = 40
    """Kills in all."""
    each: int = 4
    """Kills of one training before it is left to end."""
    seed: int = 0
    """Of the moments."""
    iterations: int = 40
    """Of a training."""


def work(folder: Path, iterations: int) -> None:
    """What is killed: a training and its results."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = nn.Linear(64, 64)

    def loss(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        return network(torch.from_numpy(rng.normal(size=(4, 64))).float()).square().mean(), {}

    fit(network, loss, FitConfig(folder / "run", iterations, progress=False, save_seconds=0.0))
    for _ in range(5):
        save_safetensors(folder / RESULTS[0], network.state_dict(), {"a": 1})
        write_json(folder / RESULTS[1], {"numbers": list(range(2_000))})
        with write_atomically(folder / "kept", folder=True) as draft:
            (draft / "a.txt").write_text("x" * 50_000)


def killed(folder: Path, iterations: int, seconds: float | None) -> bool:
    """Work in a process of its own, killed after so many seconds (None: not at all); returns whether it was.

    Raises:
        RuntimeError: it ended by itself, and in failure.
    """
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work(folder, iterations)
            os._exit(0)
        os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"the work in {folder} failed after a kill")
    return False


def whole(folder: Path) -> Iterator[str]:
    """Names of the files that are there, each read to its end.

    Raises:
        Exception: one is half-written.
    """
    checkpoint = folder / "run" / CHECKPOINT
    if checkpoint.exists():
        assert plain_content(checkpoint)["iteration"] > 0
        yield CHECKPOINT
    for name in RESULTS:
        path = folder / name
        if path.exists():
            yield name
            if name.endswith(".safetensors"):
                read_file(path)
            elif name.endswith(".json"):
                assert len(json.loads(path.read_text())["numbers"]) == 2_000
            else:
                assert len(path.read_text()) == 50_000
    if (folder / "kept").exists():  # a folder without its file would be half of one
        assert (folder / RESULTS[2]).exists()


def contents(folder: Path) -> dict[str, bytes]:
    """The results, byte for byte."""
    return {name: (folder / name).read_bytes() for name in RESULTS}


def run(flags: Kills) -> dict[str, int]:
    """Kill and look; see the module's description.

    Returns:
        ``kills``, ``runs`` that ended after them, and ``resumed``: kills after which there was a checkpoint.

    Raises:
        Exception: something was half-written, a rerun failed, or its results differ.
    """
    # Otherwise every child imports it for seconds, when its optimiser first steps, and is mostly killed there.
    importlib.import_module("torch._dynamo")
    rng, done = np.random.default_rng(flags.seed), {"kills": 0, "runs": 0, "resumed": 0}
    with tempfile.TemporaryDirectory() as top:
        began = time.monotonic()
        killed(Path(top) / "whole", flags.iterations, None)
        seconds, expected = time.monotonic() - began, contents(Path(top) / "whole")
        while done["kills"] < flags.count:
            folder = Path(top) / str(done["runs"])
            for _ in range(min(flags.each, flags.count - done["kills"])):
                was_killed = killed(folder, flags.iterations, float(rng.uniform(0, seconds)))
                done["kills"] += was_killed
                done["resumed"] += CHECKPOINT in set(whole(folder)) and was_killed
            killed(folder, flags.iterations, None)
            done["runs"] += 1
            if contents(folder) != expected:
                raise RuntimeError(f"after {flags.each} kills run {done['runs']} ended otherwise: {folder}")
    return done


if __name__ == "__main__":
    found = run(tyro.cli(Kills, description=__doc__))
    print(f"{found['kills']} kills ({found['resumed']} with a checkpoint behind them), {found['runs']} runs that ended")
    print("nothing half-written, every rerun equal")
    sys.exit(0)
