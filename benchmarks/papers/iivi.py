"""Tables 1 to 3 of IIVI as experiments: a network that is trained on each clip, in the loop as any other inpainter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from videoinpaint.benchmarks.papers.attributes import is_calm, is_fixed
from videoinpaint.benchmarks.papers.clip_rl import one_suite
from videoinpaint.benchmarks.papers.experiment import BenchFlags, Entrant, Experiment, Printed
from videoinpaint.benchmarks.papers.printed import orders, values
from videoinpaint.benchmarks.protocol.envelope import published
from videoinpaint.benchmarks.repair.internal_learning import InternalStarts, settings
from videoinpaint.checks import real_number
from videoinpaint.envs.ids import effective_kwargs
from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal.inpainter import InternalInpainter
from videoinpaint.inpainters.internal.presets import PRESETS
from videoinpaint.inpainters.internal.trainer import PAPER, PAPER_WEIGHTS
from videoinpaint.registration import DEFAULT_ID

POOL = 4
"""Translations of the mask that are prepared, as in the environment."""

SCRATCH, OURS = "IIVI, from scratch", "IIVI, from propagation"
EXTERNAL = ("psnr", "ssim65", "lpips")


def trained(name: str, flags: BenchFlags, *, start: str = "none", **changes: Any) -> Entrant:
    """A row of a network that is trained on each clip for ``flags.steps`` steps, then paints it.

    Args:
        name: of the row.
        flags: what was asked for.
        start: what holes hold at first, see :class:`videoinpaint.inpainters.internal.trainer.Internal`.
        changes: of the configuration: `arch`, `weights`.
    """

    def made() -> dict[str, Any]:
        shape = effective_kwargs(DEFAULT_ID)
        height, width = int(flags.height or shape["height"]), int(flags.width or shape["width"])
        chosen = InternalStarts(width_factor=flags.width_factor, pool=POOL, height=height, width=width)
        config = replace(PAPER, start=start) if flags.preset == "paper" else settings(chosen, start)
        config = replace(config, **changes)
        return {"inpainter": InternalInpainter(flags.device, steps=flags.steps, config=config), **_ONE_PASS}

    return Entrant(name, stage=name, kwargs=made)


_ONE_PASS = {"max_iterations": 1, "detector": "none"}


def _options(flags: BenchFlags) -> dict[str, Any]:
    if flags.steps < 1:
        raise InputError(f"steps must be 1 or more, got {flags.steps}")
    if flags.preset not in PRESETS:
        raise InputError(f"unknown preset {flags.preset!r}: use one of {', '.join(PRESETS)}")
    real_number(flags.width_factor, "width_factor", 0, 4, above=True)
    if flags.preset == "paper" and flags.width_factor not in (BenchFlags.width_factor, 1):
        raise InputError("width_factor has no effect with preset paper, whose network has width 1: leave it out")
    changed = {} if flags.preset == "quick" else {"preset": flags.preset}
    return {"steps": flags.steps, "width_factor": flags.width_factor, **changed}


def by_hole(found: Mapping[str, float]) -> str:
    """Fixed or object."""
    return "fixed" if is_fixed(found) else "object"


def by_complexity(found: Mapping[str, float]) -> str:
    """Simple or complex."""
    return "simple" if is_calm(found) else "complex"


def table1(flags: BenchFlags) -> Experiment:
    """Internal learning against others."""
    others = ("telea", "propagation", "compact", "sttn")
    entrants = [Entrant(name, stage=name, kwargs=_named(name)) for name in others]
    entrants += [trained(SCRATCH, flags), trained(OURS, flags, start="propagation")]
    roles = {"FGVC": ["propagation"], "STTN": ["sttn"], "IIVI": [SCRATCH, OURS]}
    table = [Printed(row["method"], values(row[scenario], EXTERNAL), scenario, name)
             for scenario in ("fixed", "object") for row in published("iivi.table1")["rows"]
             for name in roles.get(row["method"], [""])]  # fmt: skip
    pairs = [(scenario, row, other) for scenario in ("fixed", "object") for row in (SCRATCH, OURS)
             for other in ("propagation", "sttn")]  # fmt: skip
    return Experiment("iivi-table1", one_suite("iivi-table1", flags), tuple(entrants),
                      ("psnr_hole", "lpips_hole", *EXTERNAL, "seconds_per_frame"),
                      tuple(table), tuple(orders(table, pairs, EXTERNAL)), sort=by_hole,
                      options=_options(flags))  # fmt: skip


def _named(name: str) -> Any:
    return lambda: {"inpainter": name, **_ONE_PASS}


ARCHS = ("base", "stacked", "coarse-to-fine")


def table2(flags: BenchFlags) -> Experiment:
    """Capacity of the network."""
    metrics = ("psnr", "ssim65")
    table = [Printed(row["model"], values(row[scenario], metrics), scenario, row["model"])
             for scenario in ("simple", "complex") for row in published("iivi.table2")["rows"]]  # fmt: skip
    base, stacked, fine = ARCHS
    pairs = [(scenario, a, b) for scenario in ("simple", "complex")
             for a, b in ((stacked, base), (fine, stacked), (fine, base))]  # fmt: skip
    return Experiment("iivi-table2", one_suite("iivi-table2", flags),
                      tuple(trained(arch, flags, arch=arch) for arch in ARCHS),
                      ("psnr_hole", *metrics, "lpips", "gflops", "seconds_per_frame"),
                      tuple(table), tuple(orders(table, pairs, metrics)), sort=by_complexity,
                      options=_options(flags))  # fmt: skip


LOSSES = {"rec": (1, 0, 0), "rec+ambiguity": (1, 1, 0), "rec+stabilize": (1, 0, 1), "all three": (1, 1, 1)}
"""Row of the table -> which of the three losses count."""


def table3(flags: BenchFlags) -> Experiment:
    """Each regularisation switched off."""
    metrics = ("psnr", "ssim65")
    weights = {name: tuple(w * on for w, on in zip(PAPER_WEIGHTS, chosen)) for name, chosen in LOSSES.items()}
    table = [Printed(row["losses"], values(row, metrics), row=row["losses"])
             for row in published("iivi.table3")["rows"]]  # fmt: skip
    pairs = [("", "rec+ambiguity", "rec"), ("", "rec+stabilize", "rec"), ("", "rec+stabilize", "rec+ambiguity")]
    return Experiment("iivi-table3", one_suite("iivi-table3", flags),
                      tuple(trained(name, flags, weights=chosen) for name, chosen in weights.items()),
                      ("psnr_hole", *metrics, "lpips", "lpips_hole", "e_warp"),
                      tuple(table), tuple(orders(table, pairs, metrics)), options=_options(flags))  # fmt: skip
