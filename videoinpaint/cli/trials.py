"""Policies without reinforcement learning: try settings on training episodes, fit a policy to what was best where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from videoinpaint.cli.environment import EnvironmentFlags


@dataclass(frozen=True)
class Build(EnvironmentFlags):
    """Play the same settings on every training episode and keep what each returned, a file an episode: seven plans,
    cell by cell, where there is an action grid, else thirteen settings of fusion and objective. The same command goes
    on where it was stopped."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")] = Path("runs/trials")
    """Where the files go."""
    env_id: str = "VideoInpaintRegions-v1"
    """An environment whose reward is the improvement; without an action grid, one where computation is free."""
    episodes: int = 500
    """How many episodes."""
    first_seed: int = 1_000_000_000
    """Seed of the first episode; the others follow. Training draws from here on, evaluation from 0."""

    def run(self) -> None:
        """Build, and say what was done."""
        from videoinpaint.agents.trials import build_trials
        from videoinpaint.cli.output import progress

        with progress("playing", self.episodes, "episodes") as advance:
            made = build_trials(
                self.folder, self.env_id, self.env_kwargs(), episodes=self.episodes, first_seed=self.first_seed,
                on_done=advance,
            )  # fmt: skip
        print(f"wrote {self.folder}: {self.episodes} episodes, {made} of them now")


@dataclass(frozen=True)
class Fit:
    """Fit a policy to trials, and write it where `--policy` and `evaluate` find it."""

    folders: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FOLDER...")]
    """What `trials build` wrote, in one folder or in several, each by a process of its own."""
    output: Path = Path("runs/tried.safetensors")
    """The policy's file."""
    epochs: int = 100
    """Passes over the trials."""
    seed: int = 0
    """Seed of everything random."""

    def run(self) -> None:
        """Fit and write."""
        from videoinpaint.agents.policies.export import save_policy
        from videoinpaint.agents.trials import fit_policy, load_trials
        from videoinpaint.errors import InputError
        from videoinpaint.files import check_no_folder
        from videoinpaint.version import __version__

        if self.output.suffix != ".safetensors":
            raise InputError(f"cannot write a policy to {self.output}: end the name in .safetensors")
        check_no_folder(self.output)
        trials = load_trials(*self.folders)
        told = trials.environment | {"trials": len(trials), "epochs": self.epochs, "seed": self.seed}
        network = fit_policy(trials, seed=self.seed, epochs=self.epochs)
        print(f"wrote {save_policy(self.output, network, told | {'videoinpaint': __version__})}")


COMMAND = Annotated[Build, tyro.conf.subcommand("build")] | Annotated[Fit, tyro.conf.subcommand("fit")]
