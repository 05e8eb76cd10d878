"""Tables 1 to 6 and Figures 7 and 8 of CLIP-RL as experiments: which rows, which published rows, which claims."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

from videoinpaint.agents import make_policy
from videoinpaint.benchmarks.papers.attributes import is_calm
from videoinpaint.benchmarks.papers.experiment import (
    BenchFlags,
    Entrant,
    Experiment,
    Make,
    Metrics,
    Printed,
    scenarios_of,
)
from videoinpaint.benchmarks.papers.parts import AfterFirst, NoFusion, Only
from videoinpaint.benchmarks.papers.printed import orders, values
from videoinpaint.benchmarks.papers.verdict import Claim
from videoinpaint.benchmarks.protocol.envelope import published
from videoinpaint.inpainters import PUBLISHED

ONE_PASS, LOOP = "{}, one pass", "{}, three passes"
HERE = {"sttn": "STTN", "fuseformer": "FuseFormer", "propainter": "ProPainter"}
"""Networks of this package -> their names in the published table."""


def one_suite(name: str, flags: BenchFlags) -> dict[str, str]:
    """The suite that was asked for, or the experiment's own, for all clips; see :func:`scenarios_of`."""
    return scenarios_of(name, [""], flags)


def dynamic(flags: BenchFlags, *controls: str) -> dict[str, Any]:
    """The policies, each under its name; of controls that are named, only those count."""
    made = {name: make_policy(name, device=flags.device) for name in flags.policies or ("trained",)}
    return {name: Only(policy, controls) if controls else policy for name, policy in made.items()}


def _settings(**kwargs: Any) -> Make:
    return lambda: kwargs


def table1(flags: BenchFlags) -> Experiment:
    """Methods compared."""
    backbone, column = flags.inpainter, "davis_object"
    entrants = [Entrant("telea", stage="telea", kwargs=_settings(inpainter="telea", max_iterations=1)),
                Entrant("propagation", stage="propagation", kwargs=_settings(inpainter="propagation",
                                                                             max_iterations=1))]  # fmt: skip
    entrants += [Entrant(name, stage=name, kwargs=_settings(inpainter=name, max_iterations=1))
                 for name in PUBLISHED if name != backbone]  # fmt: skip
    entrants += [Entrant(ONE_PASS.format(backbone), stage="one", kwargs=_settings(max_iterations=1)),
                 Entrant(LOOP.format(backbone))]  # fmt: skip
    policies = {f"{backbone}, policy {name}": policy for name, policy in dynamic(flags).items()}
    entrants += [Entrant(name, policy) for name, policy in policies.items()]
    metrics = ("psnr", "ssim65", "lpips")
    rows = published("clip_rl.table1")["rows"]
    # The loop's backbone alone, and the loop: what ProPainter and CLIP-RL are in the paper.
    roles = {theirs: ours for ours, theirs in HERE.items() if ours != backbone}
    table = [Printed(row["method"], values(row[column], metrics), row=roles.get(row["method"], "")) for row in rows]
    found = {row["method"]: values(row[column], metrics) for row in rows}
    table.append(Printed("ProPainter (the loop's backbone)", found["ProPainter"], row=ONE_PASS.format(backbone)))
    table += [Printed("CLIP-RL", found["CLIP-RL"], row=name) for name in policies]
    pairs = [("", name, other) for name in policies for other in (ONE_PASS.format(backbone), *roles.values())]
    claims = orders(table, pairs, metrics)
    return Experiment("table1", one_suite("table1", flags), tuple(entrants),
                      ("psnr_hole", "lpips_hole", *metrics, "gflops", "seconds_per_frame"),
                      tuple(table), tuple(claims))  # fmt: skip


FEEDBACKS = ("without detection", "detection, 1 feedback", "detection, 2 feedbacks")


def table2(flags: BenchFlags, name: str = "table2") -> Experiment:
    """The detector's feedback."""
    names = FEEDBACKS
    entrants = [Entrant(row, stage=f"{passes}", kwargs=_settings(max_iterations=passes))
                for passes, row in enumerate(names, 1)]  # fmt: skip
    entrants += [Entrant(f"whole hole again, {passes} passes", stage=f"whole {passes}",
                         kwargs=_settings(max_iterations=passes, detector="none")) for passes in (2, 3)]  # fmt: skip
    metrics = ("psnr", "ssim65", "seconds_per_frame")
    table = [Printed(row["configuration"], values(row, metrics), row=row["configuration"])
             for row in published("clip_rl.table2")["rows"]]  # fmt: skip
    pairs = [("", names[1], names[0]), ("", names[2], names[1]), ("", names[2], names[0])]
    return Experiment(name, one_suite(name, flags), tuple(entrants),
                      ("psnr_hole", "psnr", "ssim65", "lpips", "gflops", "seconds_per_frame"),
                      tuple(table), tuple(orders(table, pairs, metrics)), kept="table2")  # fmt: skip


ITERATIONS = range(6)


def table3(flags: BenchFlags, name: str = "table3") -> Experiment:
    """The number of iterations."""
    policies = list(flags.policies or ("trained",))
    bare = "0 iterations"
    entrants = [Entrant(bare, stage="1", kwargs=_settings(max_iterations=1))]
    metrics = ("psnr", "ssim65", "gflops")
    printed = {row["iterations"]: values(row, metrics) for row in published("clip_rl.table3")["rows"]}
    table = [Printed("0", printed[0], row=bare)]
    pairs = []
    for policy in policies:
        rows = [bare, *(_iterations(count, policy, policies) for count in ITERATIONS[1:])]
        entrants += [Entrant(row, AfterFirst(make_policy(policy, device=flags.device)), f"{count + 1}",
                             _settings(max_iterations=count + 1))
                     for count, row in enumerate(rows) if count]  # fmt: skip
        table += [Printed(str(count), printed[count], row=row) for count, row in enumerate(rows) if count]
        pairs += [("", later, earlier) for earlier, later in pairwise(rows)] + [("", rows[3], bare)]
    return Experiment(name, one_suite(name, flags), tuple(entrants),
                      ("psnr_hole", "psnr", "ssim65", "lpips", "gflops", "iterations", "seconds_per_frame"),
                      tuple(table), tuple(orders(table, pairs, metrics)), kept="table3")  # fmt: skip


def _iterations(count: int, policy: str, policies: list[str]) -> str:
    told = "1 iteration" if count == 1 else f"{count} iterations"
    return told if len(policies) == 1 else f"{told}, {policy}"


def table4(flags: BenchFlags) -> Experiment:
    """Dynamic heads."""
    policies = dynamic(flags, "heads")
    entrants = [Entrant("4 heads", "heads4"), Entrant("8 heads", "heads8"), Entrant("12 heads", "heads12")]
    entrants += [Entrant(f"dynamic, {name}", policy) for name, policy in policies.items()]
    metrics = ("heads", "psnr", "ssim65", "seconds_per_frame")
    table, pairs, claims = [], [], []
    rows = published("clip_rl.table4")["rows"]
    for row in rows:
        fixed = row["method"] == "fixed"
        ours = [f"{row['max_heads']} heads"] if fixed else [f"dynamic, {name}" for name in policies]
        label = f"{row['method']}, {row['max_heads']} at most"
        table += [Printed(label, values(row, metrics), row["scenario"], name) for name in ours]
    for scenario in ("easy", "hard"):
        pairs += [(scenario, "8 heads", "4 heads")]
        pairs += [(scenario, f"dynamic, {name}", other) for name in policies for other in ("4 heads", "8 heads")]
    claims = orders(table, pairs, ("psnr", "ssim65", "seconds_per_frame"))
    easy, hard = (next(row["avg_active"] for row in rows if (row["scenario"], row["method"]) == (s, "dynamic"))
                  for s in ("easy", "hard"))  # fmt: skip
    claims += [Claim(row, row, "heads", hard - easy, "hard", False, "easy")
               for row in (f"dynamic, {name}" for name in policies)]  # fmt: skip
    return Experiment("table4", one_suite("table4", flags), tuple(entrants),
                      ("heads", "psnr_hole", "psnr", "ssim65", "gflops", "seconds_per_frame"),
                      tuple(table), tuple(claims), sort=by_motion)  # fmt: skip


def by_motion(found: Mapping[str, float]) -> str:
    """Easy or hard."""
    return "easy" if is_calm(found) else "hard"


SCENARIOS = ("fast background change", "large missing area")


def table5(flags: BenchFlags) -> Experiment:
    """Dynamic fusion."""
    policies = dynamic(flags, "fusion")
    alone = partial(NoFusion, flags.inpainter, flags.device, flags.precision, flags.weights)
    within = flags.fusion == "network"
    none: Make = (lambda: {"inpainter": alone()}) if within else _settings(fusion="none")
    mixed: Make = _settings() if within else _settings(fusion=flags.fusion)
    entrants = [
        Entrant("no fusion, w = 1", stage="none", kwargs=none),
        Entrant("fixed, w = 0.65", "fusion65", kwargs=mixed),
        Entrant("fixed, w = 0.8", "fusion80", kwargs=mixed),
    ]
    entrants += [Entrant(f"dynamic, {name}", policy, kwargs=mixed) for name, policy in policies.items()]
    metrics = ("psnr", "ssim65", "gms", "es", "seconds_per_frame")
    ours = {"none": ["no fusion, w = 1"], "fixed 0.65": ["fixed, w = 0.65"],
            "dynamic": [f"dynamic, {name}" for name in policies]}  # fmt: skip
    table = [Printed(row["method"], values(row, metrics), row["scenario"], name)
             for row in published("clip_rl.table5")["rows"] for name in ours[row["method"]]]  # fmt: skip
    suites = scenarios_of("table5", SCENARIOS, flags)
    pairs = [(scenario, "fixed, w = 0.65", "no fusion, w = 1") for scenario in suites]
    pairs += [(scenario, name, other) for scenario in suites for name in ours["dynamic"]
              for other in ("fixed, w = 0.65", "no fusion, w = 1")]  # fmt: skip
    table = [one for one in table if one.scenario in suites]
    return Experiment("table5", suites, tuple(entrants),
                      ("psnr_hole", "psnr", "ssim65", "gms", "es", "gflops", "seconds_per_frame"),
                      tuple(table), tuple(orders(table, pairs, metrics)),
                      options={} if within else {"fusion": flags.fusion})  # fmt: skip


def table6(flags: BenchFlags) -> Experiment:
    """Strategies of reward weights."""
    policies = dynamic(flags, "alpha", "beta", "gamma")
    entrants = [Entrant("fixed-bias", "fixed-bias"), Entrant("fixed-average", "fixed-average")]
    entrants += [Entrant(f"dynamic, {name}", policy) for name, policy in policies.items()]
    metrics = ("psnr", "ssim65", "e_warp")
    moving = [f"dynamic, {name}" for name in policies]
    table = [Printed(row["strategy"], values(row, metrics), row=name)
             for row in published("clip_rl.table6")["rows"]
             for name in (moving if row["strategy"] == "dynamic" else [row["strategy"]])]  # fmt: skip
    pairs = [("", "fixed-average", "fixed-bias")]
    pairs += [("", name, other) for name in moving for other in ("fixed-average", "fixed-bias")]
    return Experiment("table6", one_suite("table6", flags), tuple(entrants),
                      ("psnr_hole", "psnr", "ssim65", "lpips", "e_warp", "gflops"),
                      tuple(table), tuple(orders(table, pairs, metrics)))  # fmt: skip


WEIGHTS = ("alpha", "beta", "gamma")


def figure8(flags: BenchFlags) -> Experiment:
    """The trajectory of the reward weights."""
    names = list(flags.policies or ("trained",))
    text = published("clip_rl.figure8")
    gammas = text["gamma_iteration1"], text["gamma_iteration3"]
    table, claims = [], []
    for name in names:
        first, second, third = (f"{name}, iteration {count}" for count in (1, 2, 3))
        table += [Printed("iteration 1", {"gamma": gammas[0]}, row=first),
                  Printed("iteration 2", {"beta": text["beta_iteration2"]}, row=second),
                  Printed("iteration 3", {"gamma": gammas[1]}, row=third)]  # fmt: skip
        claims += [Claim(third, first, "gamma", gammas[1] - gammas[0]),
                   Claim(second, first, "beta", 1.0, sign_only=True), Claim(second, third, "beta", 1.0, sign_only=True),
                   Claim(third, second, "gamma", 1.0, sign_only=True)]  # fmt: skip
    return Experiment("figure8", one_suite("figure8", flags), tuple(Entrant(name, name) for name in names),
                      (*WEIGHTS, "heads", "fusion"), tuple(table), tuple(claims), rows=trajectory)  # fmt: skip


def trajectory(name: str, record: Mapping[str, Any]) -> dict[str, Metrics]:
    """A row for each iteration: the controls chosen in it."""
    return {f"{name}, iteration {count}": dict(controls) for count, controls in enumerate(record["controls"], 1)}
