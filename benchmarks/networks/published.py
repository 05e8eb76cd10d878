"""The published networks in the loop: what they cost, what their controls change, and what the loop saves.

    python -m videoinpaint.benchmarks.networks.published --weights random --only sttn propainter

Every network is measured in processes of its own, so that peak memory is its own. With random weights nothing is said
about quality: repairs are noise, and only cost means anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videoinpaint.benchmarks.networks.published_order import plain_pass
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.apart import apart
from videoinpaint.benchmarks.protocol.envelope import envelope, published, set_threads
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.clips.studio.scenes import Studio
from videoinpaint.composition import GREY
from videoinpaint.controls import Controls
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import PUBLISHED, make_inpainter
from videoinpaint.inpainters.published import PublishedInpainter
from videoinpaint.inpainters.published.cost import count_flops
from videoinpaint.memory import peak_bytes
from videoinpaint.protocols import Detection

HEADS, FUSIONS = (2, 4, 8, 12), (0.5, 0.65, 0.8)
TARGET = 1.5  # three iterations of the loop against one plain pass


@dataclass(frozen=True, kw_only=True)
class Published(Computing):
    """What to measure."""

    only: tuple[str, ...] = PUBLISHED
    """Networks."""
    weights: str | None = None
    """random for untrained networks; by default the official files from the cache."""
    num_frames: int = 10
    """Frames of the clip that the loop repairs."""
    control_frames: int = 2
    """Frames of the clip on which controls are compared."""
    height: int = 240
    """Pixels."""
    width: int = 432
    """Pixels."""
    feedback: str = "part"
    """What is flagged after the first pass: part (the left half of the hole in the middle half of the frames, then half
    of those frames) or whole (the whole hole again and again)."""


class ScriptedDetector:
    """Flags a given part of the hole, whatever the repair looks like: costs must not depend on what is painted.

    Args:
        feedback: "part" or "whole", as the flag of the command.
    """

    name = "scripted"

    def __init__(self, feedback: str) -> None:
        if feedback not in ("part", "whole"):
            raise InputError(f"unknown feedback {feedback!r}: use part or whole")
        self.feedback, self.calls = feedback, 0

    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        """See :class:`videoinpaint.protocols.Detector`; every call flags less."""
        self.calls += 1
        flagged = masks
        if self.feedback == "part":
            length, width = masks.shape[1], masks.shape[-1]
            keep = max(1, length // (2 * self.calls))
            first = (length - keep) // 2
            columns = masks.flatten(0, 3).amax(0).nonzero()
            flagged = torch.zeros_like(masks)
            middle = int(columns.float().mean()) + 1 if len(columns) else width
            flagged[:, first : first + keep, ..., :middle] = masks[:, first : first + keep, ..., :middle]
        return Detection(flagged, flagged.expand_as(repaired))


def clip(num_frames: int, height: int, width: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """A studio clip, grey in a rectangle of an eighth of the frame: ``(1, T, 3, H, W)`` and ``(1, T, 1, H, W)``."""
    frames = Studio().sample(np.random.default_rng(0), num_frames, height, width).frames
    clean = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)[None].float() / 255
    holes = torch.zeros(1, num_frames, 1, height, width)
    holes[..., height // 4 : 3 * height // 4, 3 * width // 8 : 5 * width // 8] = 1
    return torch.where(holes > 0, torch.full_like(clean, GREY), clean).to(device), holes.to(device)


@contextmanager
def stopwatch(into: dict[str, float]) -> Iterator[None]:
    """Wall and CPU seconds of what is done inside, as ``seconds`` and ``cpu_seconds``."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def memory() -> float:
    """Peak resident memory of this process so far, MiB."""
    return peak_bytes() / 2**20


def measure_loop(part: PublishedInpainter, flags: Published) -> dict[str, Any]:
    """`begin`, then three iterations with scripted feedback."""
    frames, holes = clip(flags.num_frames, flags.height, flags.width, flags.device)
    loop = ClosedLoop(part, ScriptedDetector(flags.feedback), flags.device)
    controls = Controls(heads=12, fusion=0.5).to_array()[None]
    before, begin = memory(), dict[str, float]()
    with stopwatch(begin):
        state, flops = count_flops(lambda: loop.begin(frames, holes))
    passes = []
    for _ in range(3):
        one: dict[str, float] = {}
        with stopwatch(one):
            state, gflops, _ = loop.refine(state, controls)
        passes.append(one | {"gflops": float(gflops[0])})
    return {
        "parameters": sum(p.numel() for p in part.networks.parameters()),
        "begin": begin | {"gflops": flops / 1e9},
        "passes": passes,
        "memory_weights": before,
        "memory_peak": memory(),
    }


def measure_plain(part: PublishedInpainter, flags: Published) -> dict[str, Any]:
    """One pass in the published order, and how far the loop's first pass is from it inside the hole."""
    frames, holes = clip(flags.num_frames, flags.height, flags.width, flags.device)
    one: dict[str, float] = {}
    with stopwatch(one):
        plain, flops = count_flops(lambda: plain_pass(part, frames, holes))
    peak = memory()
    controls = Controls(heads=12, fusion=0.5).to_array()[None]
    ours = part.refine(part.begin(frames, holes), frames, holes, controls).frames
    gap = float(((ours - plain) * holes).abs().max())
    return {"pass": one | {"gflops": flops / 1e9}, "memory_peak": peak, "largest_difference": gap}


def measure_controls(part: PublishedInpainter, flags: Published) -> dict[str, Any]:
    """GFLOPs, time and the mean change inside the hole of the first pass, for settings of heads and fusion."""
    frames, holes = clip(flags.control_frames, flags.height, flags.width, flags.device)
    state = part.begin(frames, holes)

    def run(controls: Controls) -> tuple[Tensor, dict[str, float]]:
        if controls.heads < HEADS[-1]:
            part.ranking(1)  # measure the heads' importance before the clock starts
        one: dict[str, float] = {}
        with stopwatch(one):
            result = part.refine(state, frames, holes, controls.to_array()[None])
        return result.frames, one | {"gflops": float(result.gflops[0])}

    base = run(Controls(heads=12, fusion=0.5))
    settings: list[tuple[str, float, Controls]] = [
        ("heads", heads, Controls(heads=heads, fusion=0.5)) for heads in HEADS
    ]
    settings += [
        ("fusion", fusion, Controls(heads=12, fusion=fusion)) for fusion in FUSIONS if "fusion" in part.controls
    ]
    rows = []
    for name, value, controls in settings:
        painted, cost = run(controls)
        change = float(((painted - base[0]).abs() * holes).sum() / (3 * holes.sum()))
        rows.append({"control": name, "value": value, "change": change, **cost})
    return {"rows": rows, "num_heads": part.num_heads}


MEASURES: dict[str, Callable[[PublishedInpainter, Published], dict[str, Any]]] = {
    "loop": measure_loop,
    "plain": measure_plain,
    "controls": measure_controls,
}


def _in_child(name: str, measure: str, flags: Published) -> dict[str, Any]:
    set_threads(flags.threads)
    part: Any = make_inpainter(name, weights=flags.weights, device=flags.device)
    return MEASURES[measure](part, flags) | {"random_weights": part.random_weights}


def run(flags: Published) -> dict[str, Any]:
    """Every measurement of every network, each in a fresh process."""
    if unknown := set(flags.only) - set(PUBLISHED):
        raise InputError(f"unknown networks {sorted(unknown)}: use some of {', '.join(PUBLISHED)}")
    ScriptedDetector(flags.feedback)
    bar, advance = tables.progress("measuring", len(flags.only) * len(MEASURES))
    networks: dict[str, Any] = {}
    with bar:
        for name in flags.only:
            networks[name] = {}
            for measure in MEASURES:
                networks[name][measure] = apart(_in_child, name, measure, flags)
                advance()
    settings = flags.asked()
    return envelope("published", settings, networks=networks)


def report(result: Mapping[str, Any]) -> None:
    """Print costs, the loop against the plain order, and the controls, beside what CLIP-RL prints."""
    frames, networks = result["settings"]["num_frames"], result["networks"]
    untrained = any(found["loop"]["random_weights"] for found in networks.values())
    caption = "RANDOM WEIGHTS: repairs are noise, only cost means anything." if untrained else ""
    size = f"{result['settings']['width']}x{result['settings']['height']}, {frames} frames"
    tables.show(
        f"Cost of the first pass ({size}, {result['settings']['threads']} threads)",
        ["network", "parameters", "s/frame", "CPU s/frame", "GFLOPs/frame", "MiB with weights", "MiB peak",
         "MiB a frame"],
        [_cost_row(name, found["loop"], frames) for name, found in networks.items()], caption,
    )  # fmt: skip
    tables.show(
        f"Three iterations of the loop against one plain pass (feedback {result['settings']['feedback']}, CPU seconds)",
        ["network", "begin", "pass 1", "pass 2", "pass 3", "sum", "plain pass", f"ratio (target {TARGET})",
         "GFLOPs ratio", "plain MiB peak", "difference of pass 1"],
        [_loop_row(name, found) for name, found in networks.items()], caption,
    )  # fmt: skip
    control_frames = result["settings"]["control_frames"]
    tables.show(
        f"Controls (first pass, {control_frames} frames; change: mean absolute in the hole, against 12 heads, 0.5)",
        ["network", "control", "value", "GFLOPs/frame", "CPU s/frame", "change"],
        [
            [name, row["control"], str(row["value"]), row["gflops"] / control_frames,
             row["cpu_seconds"] / control_frames, f"{row['change']:.4f}"]
            for name, found in networks.items() for row in found["controls"]["rows"]
        ], caption,
    )  # fmt: skip
    rows = published("clip_rl.table3")["rows"]
    tables.show(
        "CLIP-RL, Table 3, as printed (the table does not say per what)",
        ["iterations", "GFLOPs"], [[str(row["iterations"]), str(row["gflops"])] for row in rows],
    )  # fmt: skip


def _cost_row(name: str, loop: Mapping[str, Any], frames: int) -> list[Any]:
    first = [loop["begin"], loop["passes"][0]]
    sums = [sum(part[key] for part in first) / frames for key in ("seconds", "cpu_seconds", "gflops")]
    more = loop["memory_peak"] - loop["memory_weights"]
    return [name, f"{loop['parameters']:,}", *sums, f"{loop['memory_weights']:.0f}", f"{loop['memory_peak']:.0f}",
            f"{more / frames:.0f}"]  # fmt: skip


def _loop_row(name: str, found: Mapping[str, Any]) -> list[Any]:
    parts = [found["loop"]["begin"], *found["loop"]["passes"]]
    plain = found["plain"]["pass"]
    ratios = [sum(part[key] for part in parts) / plain[key] for key in ("cpu_seconds", "gflops")]
    seconds = [part["cpu_seconds"] for part in parts]
    return [name, *seconds, sum(seconds), plain["cpu_seconds"], *ratios, f"{found['plain']['memory_peak']:.0f}",
            f"{found['plain']['largest_difference']:.1e}"]  # fmt: skip


if __name__ == "__main__":
    tables.main(Published, run, report, __doc__)
