"""The folder of a run: what it holds, and whether a configuration goes on there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from videoinpaint.agents.ppo.checkpoint import CONFIG, checkpoints
from videoinpaint.agents.ppo.config import TrainConfig
from videoinpaint.checkpoints import check_same
from videoinpaint.errors import InputError
from videoinpaint.files import read_json

CHECKPOINTS, POLICIES = "checkpoints", "policies"
"""Folders within a run's."""

# What decides nothing, and what may differ too between a run and its continuation.
_IDLE = {"output", "checkpoint_every", "progress", "device", "resume"}
_FREE = {*_IDLE, "steps"}


def check_folder(folder: Path, config: TrainConfig) -> list[Path]:
    """The checkpoints in a folder, after refusing to mix runs.

    Raises:
        InputError: the folder is a file, or holds a run and the configuration does not resume, or one of others.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder for the run")
    saved = checkpoints(folder / CHECKPOINTS)
    if saved and not config.resume:
        raise InputError(f"{folder} already holds a training run: go on by resume=True, or name another folder")
    if saved:
        now, before = _settings(saved[-1], config, _IDLE if _falls(config) else _FREE)
        check_same(folder, before, now)
    return saved


def going_on(config: TrainConfig) -> tuple[TrainConfig, str]:
    """For the command line: the same settings go on in the folder that holds their run, without being told to.

    Returns:
        the configuration, which then resumes, and a line about what the folder holds; "" where it holds no run.

    Raises:
        InputError: the folder holds a run of other settings, other `steps` among them unless `resume` says that these
            may differ.
    """
    folder = Path(config.output)
    saved = checkpoints(folder / CHECKPOINTS)
    if not saved:
        return config, ""
    if not config.resume:
        now, before = _settings(saved[-1], config, _IDLE)
        changed = {name for name in now if now[name] != before[name]}
        if changed == {"steps"} and not _falls(config):
            ways = "ask for those, take it to others by --resume, or name another folder (--output)"
            raise InputError(f"{folder} holds a run of {before['steps']} steps, asked for are {config.steps}: {ways}")
        check_same(folder, before, now)
    steps = _steps(saved[-1])
    told = f"{folder} holds this run, which has ended" if steps >= config.steps else f"going on in {folder}"
    return replace(config, resume=True), f"{told}: {steps} of {config.steps} steps are done"


def kept_of(config: TrainConfig) -> str:
    """What an interruption leaves, in a clause."""
    saved = checkpoints(Path(config.output) / CHECKPOINTS)
    if not saved:
        return (
            f"nothing is kept yet, as the first checkpoint comes after {config.checkpoint_every or config.steps} steps"
        )
    kept = f"{_steps(saved[-1])} of {config.steps} steps are kept in {saved[-1]}"
    return f"{kept}: the same settings go on from there (in Python with resume=True)"


def last_good(folder: Path) -> str:
    """What a training that went astray can go on from."""
    saved = checkpoints(folder / CHECKPOINTS)
    return f"the last good checkpoint is {saved[-1]}" if saved else "there is no checkpoint from before"


def _falls(config: TrainConfig) -> bool:
    """Whether something falls over all steps, whose number then decides the result."""
    return config.anneal or config.final_ent_coef is not None


def _steps(checkpoint: Path) -> int:
    return int(checkpoint.name[5:])


def _settings(checkpoint: Path, config: TrainConfig, without: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a configuration and of a checkpoint. Runs from before a setting existed had its default."""
    stored = read_json(checkpoint / CONFIG, "a run's settings")
    before, now = TrainConfig(Path(config.output)).as_dict() | stored, config.as_dict()
    names = [name for name in now if name not in without]
    return {name: now[name] for name in names}, {name: before.get(name) for name in names}
