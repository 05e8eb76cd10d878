"""The process in which a policy of a submission runs: it is sent observations and answers with actions.

It is started by :mod:`videoinpaint.benchmarks.leaderboard.sandbox.isolated`. No environment, reference, seed or salt
ever is in it. What a policy prints goes nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.benchmarks.leaderboard.sandbox.confinement import confine
from videoinpaint.benchmarks.leaderboard.sandbox.wire import Channel
from videoinpaint.controls import controls_to_action
from videoinpaint.registry import call_with_known, takes

Act = Callable[[dict[str, NDArray[Any]], list[int]], Any]
"""Actions for what is observed: ``(B, 5)``, or ``(B, rows, columns, 5)`` where rows and columns of cells are given."""
GROUP = "videoinpaint.policies"


def main() -> None:
    """Serve one policy until the other end closes."""
    channel = _private_channel()
    try:
        job, _ = channel.receive()
        _import_first(job["kind"], job["torch"])
        channel.send({"confined": confine(job["folders"], job["needed"], job["memory"])})
        begin = _loader(job)
        act: Act | None = None
        channel.send({"ready": True})
        while True:
            header, observation = channel.receive()
            if header["begin"] or act is None:
                act = begin(int(header["seed"]))
            channel.send({}, actions=np.asarray(act(observation, header.get("cells", [])), dtype=np.float32))
    except (EOFError, KeyboardInterrupt):
        return
    except BaseException as error:  # whatever a policy raises, SystemExit too
        text = "more memory than it may have" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        channel.send({"error": text[:400]}, 5.0)


def _private_channel() -> Channel:
    """The pipes, away from where print and input would reach them."""
    reading, writing = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return Channel(reading, writing)


def _import_first(kind: str, needs_torch: bool) -> None:
    """Import what is heavy before memory is counted, and torch only where it is needed: it takes seconds, and its
    libraries alone may be more than a policy may ask for.
    """
    if not needs_torch:
        return
    import torch

    torch.set_num_threads(1)
    # What a network wants to import wants to write: the optimizer's modules temporary files, Matplotlib its cache.
    if kind != "torchscript":
        import torch._dynamo
    if kind in ("safetensors", "builtin"):
        import videoinpaint.agents.policies.baselines
        import videoinpaint.agents.policies.export  # noqa: F401 - for its imports


def _loader(job: dict[str, Any]) -> Callable[[int], Act]:
    """What begins an episode: seed -> act. The seed follows from what is observed, and only what draws takes it."""
    kind, name = job["kind"], job["name"]
    if kind == "torchscript":
        return _torchscript(name)
    if kind == "fixed":
        return _fixed([float(value) for value in name.split(",")])
    if kind == "safetensors":
        from videoinpaint.agents.policies.export import load_policy

        found: Any = load_policy(name)
    elif kind == "builtin":
        from videoinpaint.agents.policies.policy import POLICIES

        found = POLICIES.find(name)()  # what draws at random looks at what it sees, as it does everywhere
    else:
        found = _installed(job["distribution"], name, job["place"])
    return _series(found)


def _series(found: Any) -> Callable[[int], Act]:
    """Of a policy, a class or a factory; only what takes a seed is built anew for every episode."""
    is_factory = isinstance(found, type) or not hasattr(found, "act")
    if is_factory and takes(found, "seed"):
        return lambda seed: _acting(call_with_known(found, seed=seed))
    policy = found() if is_factory else found

    def begin(seed: int) -> Act:
        reset = getattr(policy, "reset", None)
        if callable(reset):
            reset()
        return _acting(policy)

    return begin


def _acting(policy: Any) -> Act:
    """By cell where there are cells and the policy can; else what it chooses is for all of them."""

    def act(observation: dict[str, NDArray[Any]], cells: list[int]) -> Any:
        by_cell = getattr(policy, "act_by_cell", None) if cells else None
        return by_cell(observation, *cells) if callable(by_cell) else policy.act(observation)

    return act


def _fixed(controls: list[float]) -> Callable[[int], Act]:
    action = controls_to_action(np.array([controls], dtype=np.float32))
    return lambda seed: lambda observation, cells: np.repeat(action, len(observation["masks"]), axis=0)


def _torchscript(file: str) -> Callable[[int], Act]:
    import torch

    module = torch.jit.load(file, map_location="cpu").eval()

    def act(observation: dict[str, NDArray[Any]], cells: list[int]) -> NDArray[np.float32]:
        with torch.no_grad():
            frames, masks = (torch.from_numpy(observation[key].copy()) for key in ("frames", "masks"))
            return module(frames, masks).float().numpy()

    def begin(seed: int) -> Act:
        torch.manual_seed(seed)
        return act

    return begin


def _installed(distribution: str, name: str, place: str) -> Any:
    import sys
    from importlib.metadata import distributions

    if place not in sys.path:
        sys.path.append(place)
    for one in distributions(name=distribution, path=[place]):
        for point in one.entry_points.select(group=GROUP, name=name):
            return point.load()
    raise LookupError(f"no entry point {name} of {GROUP} in {distribution}")
