"""Folders of trials: a file for each training episode, with what settings returned in it and where they were tried."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videoinpaint.drafts import remove_stale_within
from videoinpaint.envs.ids import effective_kwargs
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.files import locked, user_path, writing
from videoinpaint.weights import read_file, save_safetensors

_BESIDE = ("bank", "compile", "device", "flat_info", "precision", "prefetch", "reward_map")
"""Arguments of an environment that say how it computes and not what."""

_NAME = re.compile(r"\d+\.safetensors")

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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For one process at a time; what a killed one was writing is removed.

        Raises:
            InputError: another process builds here.
        """
        busy = f"another process builds trials in {self.path}: wait for it, or name another folder"
        with locked(self.path, busy):
            remove_stale_within(self.path)
            yield

    def check(self) -> None:
        """Raise InputError where the folder holds trials of another environment, kind or version."""
        next((path for path in _files(self.path) if self._is_whole(path)), None)

    def has(self, seed: int) -> bool:
        """Whether this episode's trials are there, and whole; what is damaged may be written anew.

        Raises:
            InputError: they are of another environment, kind or version.
        """
        return self._file(seed).exists() and self._is_whole(self._file(seed))

    def _is_whole(self, path: Path) -> bool:
        try:
            told = _read(path, [self.kind])[2]
        except CorruptWeightsError:
            return False
        if told != self.told:
            env_id = json.loads(self.told)["env_id"]
            raise InputError(
                f"{self.path} holds trials of another environment than {env_id} as asked: name another folder"
            )
        return True

    def write(self, seed: int, entries: Entries) -> None:
        """Write one episode's, whole or not at all."""
        save_safetensors(self._file(seed), entries, {"format": self.kind.format, "environment": self.told})

    def _file(self, seed: int) -> Path:
        return self.path / f"{seed:010d}.safetensors"


def load(kinds: Sequence[Kind], *folders: str | Path) -> tuple[Kind, Entries, dict[str, Any]]:
    """What is in folders: of which of the kinds it is, its entries, episodes first, and the environment.

    Raises:
        InputError: there is nothing in one of them, or episodes of different environments, or one episode twice, or a
            trial of another kind or version.
        CorruptWeightsError: a file is damaged.
    """
    paths = []
    for folder in folders:
        found_here = _files(user_path(folder))
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


def _files(folder: Path) -> list[Path]:
    """The trials in a folder by their names, in order: a policy may have been written beside them."""
    return sorted(path for path in folder.glob("*") if _NAME.fullmatch(path.name))


def _read(path: Path, kinds: Sequence[Kind]) -> tuple[Kind, Entries, str]:
    """Of which kind a file is, what it holds, and of which environment it is."""
    try:
        tensors, metadata = read_file(path)
        kind = next((kind for kind in kinds if kind.format == metadata.get("format")), None)
        if kind is None:
            raise InputError(f"{path} is no trial of this kind and version: delete it, or name another folder")
        if {name: tuple(x.shape) for name, x in tensors.items()} != dict(kind.shapes(tensors)):
            raise ValueError("it holds other entries")
    except InputError:
        raise
    except (CorruptWeightsError, KeyError, ValueError) as error:
        raise CorruptWeightsError(
            f"{path} is a damaged trial: run the `videoinpaint trials build` that made it again, which plays it anew"
        ) from error
    return kind, tensors, metadata.get("environment", "{}")
