"""The files of a bank: a description, and shards of some episodes each, which appear whole or not at all.

``bank.json`` says of which environment and seeds the bank is. ``shard-00012.safetensors`` holds the episodes of 32
seeds in a row. What is not there yet is not read: a bank can be used while another process fills it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from videoinpaint.checks import shown
from videoinpaint.envs.bank.identity import Identity
from videoinpaint.envs.states.batch import placed
from videoinpaint.envs.states.episodes import Episode
from videoinpaint.envs.states.packing import Packed, bases_of, pack, plain_layout, read_layout, unpack
from videoinpaint.errors import InputError
from videoinpaint.files import read_json, write_json
from videoinpaint.protocols import State
from videoinpaint.version import __version__

FORMAT = 4
SHARD = 32
"""Episodes in a file."""

_DESCRIPTION = "bank.json"
_NAME = re.compile(r"shard-(\d{5,})\.safetensors")


@dataclass(frozen=True)
class Plan:
    """What a bank is to hold.

    Attributes:
        env_id: of the environment, for whoever looks.
        identity: see :func:`videoinpaint.envs.bank.identity.identify`.
        first, episodes: the seeds: `first`, `first` + 1, ...
    """

    env_id: str
    identity: Identity
    first: int
    episodes: int

    def shards(self) -> list[range]:
        """The seeds of every file."""
        end = self.first + self.episodes
        return [range(start, min(start + SHARD, end)) for start in range(self.first, end, SHARD)]

    def write(self, folder: Path) -> None:
        """Describe the bank in its folder, which is made."""
        told = {"format": FORMAT, "videoinpaint": __version__, "env_id": self.env_id, "environment": self.identity}
        write_json(folder / _DESCRIPTION, told | {"first": self.first, "episodes": self.episodes})


def read_plan(folder: Path) -> Plan:
    """The description of a bank.

    Raises:
        InputError: the folder holds no bank, or one of another version.
    """
    if not (folder / _DESCRIPTION).is_file():
        held = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
        remedy = "name another folder" if held else f"build one by `videoinpaint bank build {folder}`"
        raise InputError(f"{folder} holds no bank of episodes: {remedy}")
    told = read_json(folder / _DESCRIPTION, "the description of a bank of episodes")
    version = (told.get("format"), told.get("videoinpaint"))
    if version != (FORMAT, __version__):
        raise InputError(
            f"the bank {folder} is of version {shown(version)}, this is {(FORMAT, __version__)}: build it again"
        )
    identity, first, count = told.get("environment"), told.get("first"), told.get("episodes")
    known = isinstance(identity, dict) and all(isinstance(v, str) for v in identity.values())
    if not known or type(first) is not int or type(count) is not int or count < 1 or first < 0:
        raise InputError(f"{folder / _DESCRIPTION} is damaged: build the bank again")
    assert isinstance(identity, dict)
    return Plan(str(told.get("env_id")), identity, first, count)


def check_identity(folder: Path, theirs: Identity, ours: Identity) -> None:
    """Raise `InputError` where a bank was built of another environment."""
    if differing := [
        f"{name} {shown(theirs.get(name))} (here {shown(ours.get(name))})"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]:
        raise InputError(
            f"the bank {folder} belongs to an environment with other arguments: {'; '.join(differing)}: "
            "give those arguments, or build another bank"
        )


def shard_path(folder: Path, number: int) -> Path:
    """Where the file with this number is."""
    return folder / f"shard-{number:05d}.safetensors"


def shard_of(episodes: Sequence[Episode], states: Sequence[State]) -> bytes:
    """A file that holds episodes with what `begin` made of each."""
    tensors: State = {}
    told: dict[str, Any] = {}
    for episode, state in zip(episodes, states):
        clip = episode.tensors()
        packed = pack(state, bases_of(clip))
        content = clip | {f"state/{name}": tensor for name, tensor in packed.kept.items()}
        tensors |= {f"{episode.seed}/{name}": tensor.contiguous() for name, tensor in content.items()}
        told[str(episode.seed)] = {
            "clip": episode.clip, "mask": episode.mask, "built_on": packed.built_on,
            "layout": plain_layout(packed.layout), "digest": _digest(content),
        }  # fmt: skip
    return save(tensors, {"videoinpaint_bank": json.dumps(told)})


def has_shard(path: Path, seeds: Sequence[int]) -> bool:
    """Whether a file is there, whole, and holds the episodes of these seeds; their digests are compared when read."""
    try:
        told = _Shard(path).told
        return all(str(seed) in told for seed in seeds)
    except InputError:
        return False


def read_shards(folder: Path) -> tuple[Plan, Iterator[tuple[int, int]]]:
    """What a bank is to hold, and for each of its files how many episodes are in it and how many bytes it takes.

    Raises:
        InputError: no bank, or, when its turn comes, a damaged file.
    """
    plan = read_plan(folder)

    def read() -> Iterator[tuple[int, int]]:
        for number, seeds in enumerate(plan.shards()):
            path = shard_path(folder, number)
            if path.exists():
                shard = _Shard(path)
                yield sum(len(shard.content(seed)) > 0 for seed in seeds), path.stat().st_size
            else:
                yield 0, 0

    return plan, read()


class _Shard:
    """A file of a bank, open.

    Raises:
        InputError: it is missing, truncated, or no shard.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safe_open(path, framework="pt", device="cpu")
            self.told = json.loads((self._file.metadata() or {})["videoinpaint_bank"])
            self._names = list(self._file.keys())
        except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
            raise self._damaged(error) from error
        self._seen: set[int] = set()

    def check_seeds(self, seeds: Sequence[int]) -> None:
        """Raise InputError where the file holds none of the episodes that are to be in it: it is another's content."""
        if not any(str(seed) in self.told for seed in seeds):
            raise self._damaged(ValueError(f"it holds none of the episodes {seeds[0]} to {seeds[-1]}"))

    def content(self, seed: int) -> State:
        """The tensors of one episode, by their own names; the first time they are compared with their digest."""
        prefix = f"{seed}/"
        try:
            found = {n.removeprefix(prefix): self._file.get_tensor(n) for n in self._names if n.startswith(prefix)}
            if seed not in self._seen:
                if _digest(found) != self.told[str(seed)]["digest"]:
                    raise ValueError(f"the digest of episode {seed} is another")
                self._seen.add(seed)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise self._damaged(error) from error
        return found

    def _damaged(self, error: Exception) -> InputError:
        reason = " ".join(str(error).split())[:200]
        return InputError(f"{self.path} is damaged ({reason}): delete it, and build the bank again, which only makes "
                          "what is missing")  # fmt: skip


class Bank:
    """Episodes that are read back instead of begun; see `bank` among the arguments of `VideoInpaintEnv`.

    Args:
        folder: of the bank.
        identity: of the environment that wants to use it.
        device: where states are wanted. Of a GPU the bank's content lies there, packed, once it was read.

    Raises:
        InputError: no bank, another version or environment, no episode yet, or damaged files.
    """

    def __init__(self, folder: str | Path, identity: Identity, device: torch.device) -> None:
        self.folder, self.device = Path(folder), device
        self.plan = read_plan(self.folder)
        check_identity(self.folder, self.plan.identity, identity)
        there = {int(m[1]) for path in self.folder.iterdir() if (m := _NAME.fullmatch(path.name))}
        parts = self.plan.shards()
        # A bank that is being added to is described as it will be, while its last file still holds fewer.
        self._open = {k: _Shard(shard_path(self.folder, k)) for k in sorted(there) if k < len(parts)}
        for number, shard in self._open.items():
            shard.check_seeds(parts[number])
        self._places = {s: k for k, shard in self._open.items() for s in parts[k] if str(s) in shard.told}
        if not self._places:
            raise InputError(f"the bank {folder} holds no episode yet: wait for its first file")
        self.seeds = np.array(list(self._places), dtype=np.int64)
        """Of the episodes that were there when it was opened, in order."""
        self._there: dict[int, State] = {}

    def __len__(self) -> int:
        return len(self.seeds)

    def __contains__(self, seed: int) -> bool:
        return seed in self._places

    def draw(self, rng: np.random.Generator) -> int:
        """The seed of one of the episodes, all alike likely."""
        return int(self.seeds[rng.integers(len(self.seeds))])

    def episode(self, seed: int) -> Episode:
        """The episode of a seed, which knows how to begin without being computed.

        Raises:
            KeyError: the bank does not hold it.
            InputError: its file is damaged.
        """
        clip, told = self._content(seed), self._told(seed)
        try:
            frames, observed = clip["frames"].cpu().numpy(), clip.get("observed")
            holes = clip["holes"].cpu().numpy()
            seen = None if observed is None else observed.cpu().numpy()
            return Episode(
                frames, holes, str(told["clip"]), str(told["mask"]), seed, seen, partial(self.begun, seed),
                self._packed(seed), seeded=True,
            )  # fmt: skip
        except (KeyError, TypeError, RuntimeError) as error:
            raise self._shard(seed)._damaged(error) from error

    def begun(self, seed: int) -> State:
        """The state of one episode as `begin` makes it, new tensors on the device."""
        try:
            state = unpack([self._packed(seed)], [bases_of(self._content(seed))])
            return {name: placed(name, tensor, self.device) for name, tensor in state.items()}
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise self._shard(seed)._damaged(error) from error

    def _packed(self, seed: int) -> Packed:
        content, told = self._content(seed), self._told(seed)
        kept = {n.removeprefix("state/"): t for n, t in content.items() if n.startswith("state/")}
        return Packed(kept, dict(told["built_on"]), read_layout(told["layout"]))

    def _content(self, seed: int) -> State:
        if self.device.type == "cpu":
            return self._shard(seed).content(seed)
        if seed not in self._there:
            self._there[seed] = {n: t.to(self.device) for n, t in self._shard(seed).content(seed).items()}
        return self._there[seed]

    def _told(self, seed: int) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._shard(seed).told[str(seed)]
        return told

    def _shard(self, seed: int) -> _Shard:
        return self._open[self._places[seed]]


def _digest(content: State) -> str:
    found = hashlib.sha256()
    for name in sorted(content):
        tensor = content[name]
        found.update(f"{name}:{tensor.dtype}{tuple(tensor.shape)}".encode())
        flat = tensor.contiguous().flatten()
        found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()
