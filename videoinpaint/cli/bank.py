"""Banks of episodes: what a reset computes, computed once and kept by seed, so that a training only reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from videoinpaint.cli.environment import EnvironmentFlags


@dataclass(frozen=True)
class Build(EnvironmentFlags):
    """Prepare episodes and store them, file by file. The same command resumes where it was stopped, or adds to
    the bank if it asks for more episodes. Use it by `gym.make(..., bank=FOLDER)` or `train --bank FOLDER`, with the
    same arguments of the environment."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")] = Path("runs/bank")
    """Where the bank is, or will be."""
    episodes: int = 2_000
    """How many episodes."""
    first_seed: int = 1_000_000_000
    """Seed of the first episode; the others follow. Training draws from here on, evaluation from 0."""
    workers: int = 1
    """Processes, each with one thread; 1: this one, with all threads."""
    ray: str | None = None
    """Prepare them as tasks of a Ray cluster instead: local (this machine only), auto, or its address; needs the
    extra ray. The files are written here."""

    def run(self) -> None:
        """Build, and say what it takes."""
        from videoinpaint.cli.output import progress
        from videoinpaint.envs.bank.shards import SHARD
        from videoinpaint.envs.build_bank import build_bank

        with progress("building", -(-self.episodes // SHARD), "files") as advance:
            built = build_bank(
                self.folder, self.env_id, self.env_kwargs(), episodes=self.episodes, first_seed=self.first_seed,
                workers=self.workers, cluster=self.ray, on_done=advance,
            )  # fmt: skip
        size = f"{built.bytes_per_episode / 1e6:.2f} MB an episode"
        print(f"wrote {self.folder}: {built.episodes} episodes, {built.made} of them now, {size}")


@dataclass(frozen=True)
class Show:
    """Say what a bank holds, after reading all of it."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """Of the bank."""

    def run(self) -> None:
        """Read and print."""
        from videoinpaint.cli.output import progress
        from videoinpaint.envs.bank.shards import Plan, read_shards

        plan: Plan
        plan, reading = read_shards(self.folder)
        held, size = 0, 0
        parts = plan.shards()
        with progress("reading", len(parts), "files") as advance:
            for count, bytes_ in reading:
                held, size = held + count, size + bytes_
                advance()
        print(f"{self.folder}: {held} of {plan.episodes} episodes of {plan.env_id}, from seed {plan.first}, undamaged")
        for name, value in plan.identity.items():
            print(f"  {name}: {value}")
        if held:
            print(f"  {size / held / 1e6:.2f} MB an episode")


COMMAND = Annotated[Build, tyro.conf.subcommand("build")] | Annotated[Show, tyro.conf.subcommand("show")]
