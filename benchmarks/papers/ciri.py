"""Tables 1 and 2 of CIRI as experiments, in the one-shot environment: only the first frame's mask is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from videoinpaint.benchmarks.papers.clip_rl import one_suite
from videoinpaint.benchmarks.papers.experiment import BenchFlags, Entrant, Experiment, Make, Printed
from videoinpaint.benchmarks.papers.printed import orders, values
from videoinpaint.benchmarks.papers.verdict import Claim
from videoinpaint.benchmarks.protocol.envelope import published
from videoinpaint.errors import InputError, MissingWeightsError
from videoinpaint.inpainters.ciri.inpainter import CIRIInpainter
from videoinpaint.inpainters.ciri.removal_config import removal_config
from videoinpaint.weights.hashes import sha256

PROPAGATOR = "flow"
BACKBONES = {"sttn": "STTN", "dstt": "DSTT", "fuseformer": "FuseFormer", "e2fgvi": "E2FGVI"}
"""Networks of this package -> their names in the published table."""

BEYOND = ("e2fgvi_hq", "propainter")  # networks that the published table does not have

LOCAL, GLOBAL = ("psnr_hole", "ssim_hole"), ("psnr", "ssim")
METRICS = (*LOCAL, *GLOBAL)


def _alone(inpainter: str) -> Make:
    return lambda: {"inpainter": inpainter, "propagator": PROPAGATOR, "max_iterations": 1}


def table1(flags: BenchFlags) -> Experiment:
    """CIRI around backbones."""
    entrants = [Entrant(name, stage=name, kwargs=_alone(name)) for name in ("telea", "compact", *BACKBONES, *BEYOND)]
    wrapped = {"compact": "ciri"} | {name: f"ciri_{name}" for name in ("dstt", "fuseformer", "e2fgvi", *BEYOND)}
    entrants += [Entrant(f"{name} + CIRI", stage=around, kwargs=_alone(around)) for name, around in wrapped.items()]
    rows = {row["method"]: row for row in published("ciri.table1")["rows"]}
    ours = {theirs: name for name, theirs in BACKBONES.items()}
    ours |= {f"{BACKBONES[name]}+CIRI": f"{name} + CIRI" for name in wrapped if name in BACKBONES}
    table = [Printed(method, _both(row) | values(row["global"], ("vfid",)), row=ours.get(method, ""))
             for method, row in rows.items()]  # fmt: skip
    pairs = [("", f"{name} + CIRI", name) for name in wrapped]
    claims = orders(table, pairs, METRICS)
    # What the paper says of three backbones, asked of a fourth.
    names = [BACKBONES[name] for name in wrapped if name in BACKBONES]
    gains = {metric: float(np.mean([_both(rows[f"{name}+CIRI"])[metric] - _both(rows[name])[metric] for name in names]))
             for metric in METRICS}  # fmt: skip
    claims += [Claim("compact + CIRI", "compact", metric, gain) for metric, gain in gains.items()]
    return Experiment("ciri-table1", one_suite("ciri-table1", flags), tuple(entrants),
                      (*METRICS, "vfid", "lpips_hole", "mask_j_and_f", "seconds_per_frame"),
                      tuple(table), tuple(claims))  # fmt: skip


def _both(row: dict[str, Any]) -> dict[str, float]:
    """LOCAL and GLOBAL as hole metrics and metrics of whole frames."""
    return values(row["local"], LOCAL) | values(row["global"], GLOBAL)


INACTIVATION, JOINT = "+T.I.", "+T.I.+D.C."
CONTEXTUAL, RESIDUE = "+T.I.+D.C.+C.L.", "+T.I.+D.C.+C.L.+R.L."


def table2(flags: BenchFlags) -> Experiment:
    """The parts of CIRI."""
    config = removal_config(PROPAGATOR)

    def tuned(residue_weight: float) -> Make:
        def made() -> dict[str, Any]:
            part = CIRIInpainter(flags.device, removal=replace(config, residue_weight=residue_weight))
            return {**_alone("ciri")(), "inpainter": part}

        return made

    ablation = flags.ablation
    if ablation is not None and not ablation.is_file():
        raise InputError(f"no weights at {ablation}: name a file that `videoinpaint pretrain one-shot --ablate` wrote")

    def inactivation() -> dict[str, Any]:
        if ablation is None:
            raise MissingWeightsError(
                "target inactivation alone has no weights in this package: make them with `videoinpaint pretrain "
                "one-shot --ablate`, then give --ablation FILE"
            )
        return {**_alone("ciri")(), "inpainter": CIRIInpainter(flags.device, weights=str(ablation))}

    entrants = [Entrant("baseline", stage="baseline", kwargs=_alone("compact"))]
    entrants += [Entrant(INACTIVATION, stage="inactivation", kwargs=inactivation),
                 Entrant(JOINT, stage="joint", kwargs=_alone("ciri")),
                 Entrant(CONTEXTUAL, stage="contextual", kwargs=tuned(0.0)),
                 Entrant(RESIDUE, stage="residue", kwargs=tuned(config.residue_weight))]  # fmt: skip
    metrics = (*LOCAL, "mask_j_and_f")
    table = [
        Printed(row["method"], values(row, metrics), row=row["method"]) for row in published("ciri.table2")["rows"]
    ]
    steps = ["baseline", INACTIVATION, JOINT, CONTEXTUAL, RESIDUE]
    pairs = [("", later, earlier) for earlier, later in pairwise(steps)]
    pairs += [("", JOINT, "baseline"), ("", RESIDUE, "baseline")]
    options = {"ablation": "" if ablation is None else sha256(ablation)}
    return Experiment("ciri-table2", one_suite("ciri-table2", flags), tuple(entrants),
                      (*metrics, "psnr", "lpips_hole", "seconds_per_frame"),
                      tuple(table), tuple(orders(table, pairs, metrics)), options=options)  # fmt: skip
