"""Environment steps a second, as simulators report them: the steps alone, with a policy, and within a training.

    python -m videoinpaint.benchmarks.networks.throughput --envs 1 4 16 --threads 2 --output throughput.json

Every number of environments is timed with and without a bank of episodes, resets included; with ``--compile`` also
compiled. The same run says where a
step's time goes, how many operations and how much memory traffic it takes, and what this machine could do at most.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch.utils._python_dispatch import TorchDispatchMode

from videoinpaint.agents.policies.policy import make_policy
from videoinpaint.agents.ppo import TrainConfig, train
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import SmallClips
from videoinpaint.checks import MAX_COUNT, whole_number
from videoinpaint.envs.build_bank import build_bank
from videoinpaint.envs.ids import make_batch
from videoinpaint.envs.vector import VideoInpaintVectorEnv
from videoinpaint.inpainters.published.cost import count_flops
from videoinpaint.registration import DEFAULT_ID

H100 = {"float32": 67e12, "bfloat16": 989e12, "bytes": 3.35e12}
"""Operations and bytes a second at most, of an SXM card with dense matrices, by its data sheet."""


@dataclass(frozen=True, kw_only=True)
class Throughput(SmallClips):
    """What to time."""

    env_id: str = DEFAULT_ID
    """A registered environment of this package."""
    envs: tuple[int, ...] = (1, 4, 16)
    """Numbers of environments in a batch."""
    rounds: int = 6
    """Steps of every environment that are timed; two episodes by default."""
    training: bool = True
    """Time trainings too, of one and of two rollouts of `rounds` steps: their difference counts."""
    policy: str = "default"
    """What chooses in the second column."""
    compile: bool = False
    """Time every batch with compiled networks too; the wait before the first step is not timed."""
    threads: int = 2
    """CPU threads."""
    markdown: Path | None = None
    """Write the three columns here, as Markdown."""


def run(flags: Throughput) -> dict[str, Any]:
    """Time everything; see the module's description.

    Returns:
        ``rows``, one for every number of environments with and without a bank (steps a second of the three kinds, and
        seconds of a reset and a step), ``shares`` of a step's time, ``work`` of a step of one environment, ``peaks`` of
        this machine, ``bounds``: steps a second that operations and traffic allow here and on an H100.
    """
    whole_number(flags.rounds, "rounds", 1, 10**6)
    for number in flags.envs:
        whole_number(number, "envs", 1, MAX_COUNT)
    make_policy(flags.policy)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        count = max(flags.envs) * (2 + flags.rounds // 3)
        build_bank(bank, flags.env_id, flags.env_kwargs(), episodes=count)
        for number in flags.envs:
            for kept, compiled in product((None, bank), (False, True)[: 1 + flags.compile]):
                rows.append(_row(flags, number, kept, compiled, Path(folder)))
    work, peaks = _work(flags), _peaks(flags.device)
    bounds = {"here": _bound(work, peaks), "H100": _bound(work, H100)}
    settings = flags.asked()
    return envelope(
        "throughput", settings, rows=rows, shares=_shares(flags), work=work, peaks=peaks, bounds=bounds
    )  # fmt: skip


def _row(flags: Throughput, number: int, bank: Path | None, compiled: bool, folder: Path) -> dict[str, Any]:
    kwargs = flags.env_kwargs() | ({} if bank is None else {"bank": str(bank)})
    kwargs |= {"compile": True} if compiled else {}
    env = make_batch(flags.env_id, number, AutoresetMode.SAME_STEP, kwargs)
    rng = np.random.default_rng(0)
    policy = make_policy(flags.policy)

    def drawn(_: Any) -> np.ndarray:
        return rng.uniform(-1, 1, (number, 5)).astype(np.float32)

    def play(act: Callable[[Any], np.ndarray]) -> float:
        observation, _ = env.reset(seed=0)
        began = time.perf_counter()
        for _ in range(flags.rounds):
            observation, *_ = env.step(act(observation))
        _wait(flags.device)
        return number * flags.rounds / (time.perf_counter() - began)

    for _ in range(1 + compiled):  # warms up
        play(drawn)
    found: dict[str, Any] = {
        "envs": number,
        "bank": bank is not None,
        "compiled": compiled,
        "steps": play(drawn),
        "inference": play(policy.act),
    }
    env.close()
    found["training"] = _training(flags, number, kwargs, folder) if flags.training else None
    return found


def _training(flags: Throughput, number: int, kwargs: dict[str, Any], folder: Path) -> float:
    """Steps a second of the second rollout and its updates, without what a training does once."""
    seconds = []
    for rollouts in (1, 2):
        with tempfile.TemporaryDirectory(dir=folder) as run:
            config = TrainConfig(
                Path(run) / "run", kwargs, flags.env_id, number * flags.rounds * rollouts, num_envs=number,
                n_steps=flags.rounds, device=flags.device, checkpoint_every=0, progress=False,
            )  # fmt: skip
            seconds.append(train(config).seconds)
    return number * flags.rounds / max(seconds[1] - seconds[0], 1e-9)


def _shares(flags: Throughput) -> dict[str, float]:
    """Of the time of `step`, what each part takes, in one environment."""
    env = VideoInpaintVectorEnv(1, **flags.env_kwargs())
    env.reset(seed=0)
    core, seconds = env._core, dict.fromkeys(("inpainter", "detector", "reward", "step"), 0.0)
    state = env._running.shelf.opened([0])

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        _wait(flags.device)
        began = time.perf_counter()
        yield
        _wait(flags.device)
        seconds[name] += time.perf_counter() - began

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any, **kwargs: Any) -> Any:
            with timed(name):
                return call(*args, **kwargs)

        return inner

    action = np.zeros((1, 5), np.float32)
    core.step(state, action)  # warms up
    parts = {"inpainter": (core.loop.inpainter, "refine"), "detector": (core.loop.detector, "detect")}
    for name, (part, method) in (parts | {"reward": (core.reward, "measure")}).items():
        setattr(part, method, watched(name, getattr(part, method)))
    for _ in range(flags.rounds):
        with timed("step"):
            core.step(state, action)
    whole = seconds.pop("step")
    return {name: part / whole for name, part in seconds.items()} | {"rest": 1 - sum(seconds.values()) / whole}


class _Traffic(TorchDispatchMode):
    """Bytes that the operators read and write, each by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [*_tensors(args), *_tensors(result if isinstance(result, tuple | list) else [result])]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


def _tensors(values: Sequence[Any]) -> list[torch.Tensor]:
    flat = [one for value in values for one in (value if isinstance(value, tuple | list) else [value])]
    return [one for one in flat if isinstance(one, torch.Tensor)]


def _work(flags: Throughput) -> dict[str, float]:
    """GFLOPs and GB of memory traffic of a step of one environment with the controls in the middle of their ranges."""
    env = VideoInpaintVectorEnv(1, **flags.env_kwargs() | {"precision": "float32"})
    env.reset(seed=0)
    step = partial(env._core.step, env._running.shelf.opened([0]), np.zeros((1, 5), np.float32))
    _, flops = count_flops(step)
    with _Traffic() as traffic:
        step()
    return {"gflops": flops / 1e9, "gigabytes": traffic.bytes / 1e9}


def _peaks(device: str) -> dict[str, float]:
    """What this machine multiplies and copies in a second."""
    found: dict[str, float] = {}
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        for side in (256, 512, 1024, 2048):
            a = torch.randn(side, side, device=device).to(kind)
            seconds = min(_seconds(partial(torch.matmul, a, a), device) for _ in range(4))
            found[name] = max(found.get(name, 0.0), 2 * side**3 / seconds)
            if seconds > 0.05:  # 2048 take minutes where a processor has no such products
                break
    x = torch.zeros(64 * 2**20, dtype=torch.uint8, device=device)
    found["bytes"] = 2 * x.numel() / min(_seconds(x.clone, device) for _ in range(4))
    return found


def _bound(work: Mapping[str, float], peaks: Mapping[str, float]) -> dict[str, float]:
    """Steps a second if nothing but this limited them."""
    flops = {kind: peaks[kind] / (work["gflops"] * 1e9) for kind in ("float32", "bfloat16")}
    return flops | {"traffic": peaks["bytes"] / (work["gigabytes"] * 1e9)}


def _seconds(call: Callable[[], Any], device: str) -> float:
    _wait(device)
    began = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


COLUMNS = ("environments", "bank", "compiled", "steps a second", "with inference", "with training")


def table(results: Mapping[str, Any]) -> list[list[str]]:
    """The three columns, a row for each number of environments with and without a bank."""
    kinds = ("steps", "inference", "training")
    told = [["yes" if row[flag] else "no" for flag in ("bank", "compiled")] for row in results["rows"]]
    return [
        [str(row["envs"]), *flags, *(tables.number(row[kind], 2) for kind in kinds)]
        for row, flags in zip(results["rows"], told)
    ]


def report(results: Mapping[str, Any]) -> None:
    """Print the three columns, where the time goes, and what would be possible."""
    size = "{env_id}, {num_frames} frames of {height}x{width}, {threads} threads, {device}".format(
        **results["settings"]
    )
    tables.show("environment steps a second", COLUMNS, table(results), size.format(**results["settings"]))
    shares = [[name, f"{share:.0%}"] for name, share in results["shares"].items()]
    tables.show("time of a step", ["part", "share"], shares)
    work = results["work"]
    caption = f"a step: {work['gflops']:.1f} GFLOPs, {work['gigabytes']:.2f} GB of traffic if nothing is fused"
    kinds = ("float32", "bfloat16", "traffic")
    rows = [[name, *(tables.number(bound[kind], 1) for kind in kinds)] for name, bound in results["bounds"].items()]
    tables.show("steps a second at most", ["machine", *kinds], rows, caption)
    if results["settings"].get("markdown"):
        tables.write_table(Path(results["settings"]["markdown"]), COLUMNS, table(results))


if __name__ == "__main__":
    tables.main(Throughput, run, report, __doc__ or "")
