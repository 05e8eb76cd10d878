"""Folders of trials: a file for each training episode, with what settings returned in it and where they were tried."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videoinpaint.envs.ids import effective_kwargs
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.files import locked, user_path, writing
from videoinpaint.weights import read_file, save_safetensors

_BESIDE = ("bank", "compile", "device", "flat_info", "precision", "prefetch", "reward_map")
"""Arguments of an environment that say how it computes and not what."""

Entries = dict[str, Tensor]


@dataclass(frozen=True)
class Kind:
    """One kind of trials.

    Attributes:
        format: its name and version, which files say.
        shapes: of every entry as it should be, from the entries of a file; KeyError or ValueError where these cannot
            be of this kind.
    """

    format: str
    shapes: Callable[[Mapping[str, Tensor]], Mapping[str, tuple[int, ...]]]


def told_of(env_id: str, kwargs: Mapping[str, Any]) -> str:
    """What files say of the environment that was played: its id, and the arguments that change episodes."""
    chosen = {name: value for name, value in effective_kwargs(env_id, kwargs).items() if name not in _BESIDE}
    return json.dumps({"env_id": env_id, "env": chosen}, sort_keys=True)


class Folder:
    """A folder that trials of one kind and environment are written to.

    Args:
        path: made where it is missing.
        kind: of its trials.
        told: of the environment, see :func:`told_of`.
    """

    def __init__(self, path: str | Path, kind: Kind, told: str) -> None:
        self.path, self.kind, self.told = user_path(path), kind, told
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)

    def locked(self) -> AbstractContextManager[None]:
        """For one process at a time.

        Raises:
            InputError: another process builds here.
        """
        busy = f"another process builds trials in {self.path}: wait for it, or name another folder"
        return locked(self.path, busy)

    def check(self) -> None:
        """Raise InputError where the folder holds trials of another environment."""
        earlier = next(self.path.glob("*.safetensors"), None)
        if earlier is not None and _read(earlier, [self.kind])[2] != self.told:
            env_id = json.loads(self.told)["env_id"]
            raise InputError(
                f"{self.path} holds trials of another environment than {env_id} as asked: name another folder"
            )

    def has(self, seed: int) -> bool:
        """Whether this episode's trials are there."""
        return self._file(seed).exists()

    def write(self, seed: int, entries: Entries) -> None:
        """Write one episode's, whole or not at all."""
        save_safetensors(self._file(seed), entries, {"format": self.kind.format, "environment": self.told})

    def _file(self, seed: int) -> Path:
        return self.path / f"{seed:010d}.safetensors"


def load(kinds: Sequence[Kind], *folders: str | Path) -> tuple[Kind, Entries, dict[str, Any]]:
    """What is in folders: of which of the kinds it is, its entries, episodes first, and the environment.

    Raises:
        InputError: there is nothing in one of them, or episodes of different environments, or one episode twice.
        CorruptWeightsError: a file is damaged or is something else.
    """
    paths = []
    for folder in folders:
        found_here = sorted(user_path(folder).glob("*.safetensors"))
        if not found_here:
            raise InputError(f"no trials in {folder}: make them with `videoinpaint trials build {folder}`")
        paths += found_here
    where = " and ".join(map(str, folders))
    if not paths:
        raise InputError("no folder of trials was named: make one with `videoinpaint trials build`")
    if len({path.name for path in paths}) < len(paths):
        raise InputError(f"{where} hold the same episodes: give each folder a --first-seed of its own")
    found_kinds, found, told = zip(*(_read(path, kinds) for path in paths))
    if len(set(told)) > 1:
        raise InputError(f"trials in {where} are of different environments: keep them in folders of their own")
    whole = {name: torch.stack([one[name].float() for one in found]) for name in found[0]}
    return found_kinds[0], whole, json.loads(told[0])


def _read(path: Path, kinds: Sequence[Kind]) -> tuple[Kind, Entries, str]:
    """Of which kind a file is, what it holds, and of which environment it is."""
    tensors, metadata = read_file(path)
    told = f"{path} is no trial of this version: delete it, and build it again"
    kind = next((kind for kind in kinds if kind.format == metadata.get("format")), None)
    if kind is None:
        raise CorruptWeightsError(told)
    try:
        shapes = kind.shapes(tensors)
    except (KeyError, ValueError) as error:
        raise CorruptWeightsError(told) from error
    if {name: tuple(x.shape) for name, x in tensors.items()} != dict(shapes):
        raise CorruptWeightsError(told)
    if not all(x.isfinite().all() for x in tensors.values()):
        raise CorruptWeightsError(told)
    return kind, tensors, metadata.get("environment", "{}")
