"""How much memory an environment takes: its state, entry by entry, and one more environment in a batch.

    python -m videoinpaint.benchmarks.networks.memory --envs 8 20 --threads 2 --output memory.json

Batches of two sizes are played in processes of their own, resets included. What the larger one holds more, divided by
the environments that it has more, is what one environment costs beyond the networks: at the end, when what is free
was given back to the system, and at the peak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.apart import apart
from videoinpaint.benchmarks.protocol.envelope import envelope, set_threads
from videoinpaint.benchmarks.protocol.flags import SmallClips
from videoinpaint.envs.ids import make_batch
from videoinpaint.errors import InputError
from videoinpaint.memory import give_back, held_bytes, peak_bytes
from videoinpaint.registration import DEFAULT_ID


@dataclass(frozen=True, kw_only=True)
class Memory(SmallClips):
    """What to measure."""

    env_id: str = DEFAULT_ID
    """A registered environment of this package."""
    envs: tuple[int, int] = (8, 20)
    """Numbers of environments in the two batches; up to four lie packed in part only."""
    steps: int = 60
    """Environment steps in all, as many in both batches, so that what libraries keep of them is the same."""
    bank: Path | None = None
    """Episodes come from a bank."""
    device: str = "cpu"
    """cpu or cuda; counted is what the process holds on the host."""
    threads: int = 2
    """CPU threads."""

    def env_kwargs(self) -> dict[str, Any]:
        """Of the environments, which a bank may begin."""
        return super().env_kwargs() | ({} if self.bank is None else {"bank": str(self.bank)})


def run(flags: Memory) -> dict[str, Any]:
    """Measure; see the module's description.

    Returns:
        ``batches``: of each number of environments the bytes ``held`` at the end and at the ``peak``; ``environment``:
        the same for one environment more, and of each batch what one environment keeps between steps, ``kept``;
        ``entries``: bytes of an episode's state by entry; ``state``: their sum.

    Raises:
        InputError: the second batch is not the larger one.
    """
    fewer, more = flags.envs
    if not 0 < fewer < more:
        raise InputError(f"envs are two numbers of environments, the larger one second, got {fewer} and {more}")
    batches = {str(count): apart(_play, flags, count) for count in flags.envs}
    entries = batches[str(fewer)].pop("entries")
    batches[str(more)].pop("entries")
    one = {kind: (batches[str(more)][kind] - batches[str(fewer)][kind]) / (more - fewer) for kind in ("held", "peak")}
    settings = flags.asked()
    return envelope(
        "memory", settings, batches=batches, environment=one, entries=entries, state=sum(entries.values())
    )  # fmt: skip


def _play(flags: Memory, count: int) -> dict[str, Any]:
    set_threads(flags.threads)
    env = make_batch(flags.env_id, count, AutoresetMode.SAME_STEP, flags.env_kwargs())
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(-(-flags.steps // count)):
        env.step(rng.uniform(-1, 1, (count, 5)).astype(np.float32))
    peak = peak_bytes()
    give_back()
    inner: Any = env.unwrapped
    found = {"held": held_bytes(), "peak": peak, "kept": inner._running.shelf.nbytes / count}
    tensors = inner.get_state()[0]["tensors"]
    return found | {"entries": {name: tensor.numel() * tensor.element_size() for name, tensor in tensors.items()}}


def report(results: Mapping[str, Any]) -> None:
    """Print what an environment takes, and the largest entries of its state."""
    settings = results["settings"]
    size = "{env_id}, {num_frames} frames of {height}x{width}, {threads} threads, {device}".format(**settings)
    rows = [[f"{count} environments", *_megabytes(batch)] for count, batch in results["batches"].items()]
    rows.append(["one environment more", *_megabytes(results["environment"]), ""])
    tables.show("memory of the process, MB", ["", "held", "at the peak", "an environment, between steps"], rows, size)
    entries = sorted(results["entries"].items(), key=lambda item: -item[1])
    listed = [[name, tables.number(count / 1e6, 2)] for name, count in entries if count >= 1e4]
    whole = f"together {results['state'] / 1e6:.1f} MB, while it is worked on"
    tables.show("an episode's state, MB", ["entry", ""], listed, whole)


def _megabytes(found: Mapping[str, float]) -> list[str]:
    return [tables.number(float(found[kind]) / 1e6, 1) for kind in ("held", "peak", "kept") if kind in found]


if __name__ == "__main__":
    tables.main(Memory, run, report, __doc__ or "")
