"""The folder of a training: who may write there, what it goes on from, and what it says on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from videoinpaint.checks import find_unusable, plain_content
from videoinpaint.drafts import remove_stale_within
from videoinpaint.errors import DivergedError, InputError
from videoinpaint.files import locked, write_atomically

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
"""Files of a folder."""
Result = TypeVar("Result")


@contextmanager
def alone(folder: Path, parts: Collection[str] = ()) -> Iterator[None]:
    """Hold a run's folder while training runs in it; the lock ends with the process.

    What a killed training was writing is removed, there and in the folders ``parts`` within.

    Raises:
        InputError: on entry, where another process trains in it.
    """
    with locked(folder, f"another training runs in {folder}: wait for its end, or name another folder"):
        for place in (folder, *(folder / part for part in parts)):
            remove_stale_within(place)
        yield


def check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on from what was trained with other settings.

    Raises:
        InputError: they differ; the message names them.
    """
    changed = [f"{k}={now.get(k)!r} (was {before.get(k)!r})" for k in {**before, **now} if now.get(k) != before.get(k)]
    if changed:
        remedy = "name another folder (`--output`, or `--folder` where it was given)"
        raise InputError(f"{folder} was trained with other settings: {', '.join(changed)}; {remedy}")


def last_good(folder: Path | None) -> str:
    """What to do after a training went astray."""
    path = None if folder is None else folder / CHECKPOINT
    where = f"the last good checkpoint is {path}" if path and path.is_file() else "there is no checkpoint from before"
    return f"lower the learning rate, in another folder; {where}"


def save(folder: Path, state: Mapping[str, Any], loose: Collection[str] = ()) -> None:
    """Write the checkpoint of a folder: tensors and plain values, all of them finite but for the entries `loose`.

    Raises:
        DivergedError: a number is not finite; what was there stays.
    """
    if wrong := find_unusable({key: value for key, value in state.items() if key not in loose}):
        raise DivergedError(f"training went astray, {wrong}: {last_good(folder)}")
    with write_atomically(folder / CHECKPOINT) as draft:
        write_state(draft, state)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values by `torch.save`, to a draft.

    Raises:
        OSError: the disk refuses, which torch does not say by itself.
    """
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch goes on to close its archive, and tells of that instead of the disk
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def resume(
    folder: Path,
    restore: Callable[[dict[str, Any]], Result],
    owner: str,
    fresh: Result,
    loose: Collection[str] = (),
) -> Result:
    """Go on from the checkpoint of a folder, which is made if it is not there.

    Args:
        folder: of the run.
        restore: gets what :func:`save` was given; where to go on from.
        owner: whose checkpoint it must be, for the message.
        fresh: where to begin without a checkpoint.
        loose: entries in which a number may stand for "not measured yet" by not being finite.

    Raises:
        InputError: the file is damaged, holds values that are not finite, or ``restore`` cannot use it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CHECKPOINT
    if not path.exists():
        return fresh
    try:
        stored = plain_content(path)
        if wrong := find_unusable({key: value for key, value in stored.items() if key not in loose}):
            raise ValueError(wrong)
        return restore(stored)
    except InputError:
        raise
    except Exception as error:  # a damaged file, or one of another program, can fail in nearly any way
        raise InputError(f"{path} is not a checkpoint of {owner} ({error}): name another folder") from error


def load_optimiser(optimiser: torch.optim.Optimizer, stored: Mapping[str, Any]) -> None:
    """The state of an Adam, looked at before it is loaded: its own loader believes everything.

    Raises:
        ValueError: it is the state of another optimiser.
    """

    def told(groups: Any) -> Any:  # a checkpoint may hold tuples as lists, and the rate is set at every step
        return [{k: list(v) if isinstance(v, tuple) else v for k, v in g.items() if k != "lr"} for g in groups]

    if told(stored["param_groups"]) != told(optimiser.state_dict()["param_groups"]):
        raise ValueError("the optimiser was another")
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for place, state in stored["state"].items():
        moments = [state["exp_avg"], state["exp_avg_sq"]]
        if state.keys() != {"step", "exp_avg", "exp_avg_sq"} or not float(state["step"]) >= 0:
            raise ValueError(f"the optimiser's state holds {', '.join(state)}")
        if any(tuple(moment.shape) != tuple(parameters[place].shape) for moment in moments):
            raise ValueError("the optimiser's moments are of other shapes")
        if float(moments[1].min()) < 0 or not all(moment.is_floating_point() for moment in moments):
            raise ValueError("the optimiser's moments are no moments")
    optimiser.load_state_dict(dict(stored))


def log(folder: Path, numbers: Mapping[str, float]) -> None:
    """Add a line to ``log.jsonl`` of a folder."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in numbers.items()}) + "\n")
