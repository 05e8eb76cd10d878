"""Compare policies on the same held-out episodes: returns, metrics and computation, with 95% intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from videoinpaint.cli.environment import EnvironmentFlags
from videoinpaint.errors import InputError

if TYPE_CHECKING:
    from videoinpaint.benchmarks.policies.compare import Contestant


@dataclass(frozen=True)
class Evaluate(EnvironmentFlags):
    """Episodes are those of seeds 0, 1, ..., which training never draws."""

    policies: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--policy"])] = (
        "default",
        "random",
        "heads4",
        "heads8",
        "heads12",
        "fixed-average",
        "heuristic",
    )
    """Names of policies, training folders, policy files, or module:attribute."""
    baseline: str = "random"
    """The policy that differences are to; it plays even if it is not named above."""
    episodes: int = 16
    """How many episodes each policy plays, 2 or more."""
    first_seed: int = 0
    """Seed of the first episode; the others follow."""
    num_envs: int = 4
    """Episodes in a batch."""
    output: Path | None = None
    """Write everything measured here, as JSON."""
    report: Path | None = None
    """Write a page with plots here, as HTML."""

    def run(self) -> None:
        """Play, print, write."""
        from videoinpaint.benchmarks.policies.compare import summaries
        from videoinpaint.benchmarks.protocol.envelope import write_json

        contestants = self.contestants()
        records = self.play(contestants)
        policies = summaries(records, contestants, self.baseline)
        print_table(policies, self.baseline)
        results = self.results(policies)
        if self.output is not None:
            print(f"wrote {write_json(self.output, results)}")
        if self.report is not None:
            from videoinpaint.benchmarks.report.page import write_report

            print(f"wrote {write_report(results, [], self.report)}")

    def contestants(self) -> list[Contestant]:
        """The policies by name, the baseline among them; what is no registered name counts as trained.

        Raises:
            InputError: a file to write has another ending.
        """
        from videoinpaint.agents import POLICIES
        from videoinpaint.benchmarks.policies.compare import Contestant

        for path, suffix in ((self.output, ".json"), (self.report, ".html")):
            if path is not None and path.suffix != suffix:
                raise InputError(f"cannot write {path}: end the name in {suffix}")
        known = set(POLICIES.names())
        named = [*self.policies, *([] if self.baseline in self.policies else [self.baseline])]
        return [Contestant(spec, spec, trained=spec not in known) for spec in named]

    def play(self, contestants: list[Contestant]) -> dict[str, Any]:
        """Every policy's records, under a live bar."""
        from rich.console import Console
        from rich.progress import Progress

        from videoinpaint.benchmarks.policies.compare import play

        seeds = range(self.first_seed, self.first_seed + self.episodes)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("evaluating", total=len(contestants))
            return play(contestants, seeds, self.env_id, self.env_kwargs(), self.num_envs,
                        lambda name: bar.update(task, advance=1, description=f"evaluated {name}"))  # fmt: skip

    def results(self, policies: list[dict[str, Any]]) -> dict[str, Any]:
        """What goes into the files; see :mod:`videoinpaint.benchmarks.report.page`."""
        import shlex
        import sys

        from videoinpaint.benchmarks.policies.compare import measured_how
        from videoinpaint.benchmarks.protocol.envelope import envelope

        settings = {"env_id": self.env_id, **self.env_kwargs()}
        seeds = measured_how(range(self.first_seed, self.first_seed + self.episodes))
        whole = envelope("compare", settings, title="Policies compared", baseline=self.baseline, policies=policies)
        command = shlex.join(["videoinpaint", *sys.argv[1:]])
        summary = f"{len(policies)} policies on the same {self.episodes} held-out episodes of {self.env_id}."
        return whole | {"command": command, "summary": summary, "versions": whole["software"], "seeds": seeds}


def print_table(policies: list[dict[str, Any]], baseline: str) -> None:
    """The comparison as a table on the terminal, best return first."""
    from videoinpaint.benchmarks.protocol.tables import interval, number, show

    rows = [
        [
            p["name"],
            interval(p["return"]),
            interval(p["difference"], signed=True),
            number(p["quality"]["mean"], 4),
            interval(p["quality_difference"], 4, signed=True),
            number(p["metrics"]["psnr_hole"]["mean"], 2),
            number(p["metrics"]["ssim"]["mean"], 4),
            number(p["metrics"]["lpips"]["mean"], 4),
            number(p["iterations"]["mean"], 1),
            number(p["gflops"]["mean"], 1),
        ]
        for p in sorted(policies, key=lambda p: -p["return"]["mean"])
    ]
    columns = ["policy", "return", f"- {baseline}", "quality", f"- {baseline}", "PSNR hole", "SSIM", "LPIPS"]
    columns += ["iterations", "GFLOPs"]
    caption = (
        "95% intervals over clips. Quality is the reward of the final repair under fixed weights: rank policies by it\n"
        "and by the metrics, as a policy weighs its own return and every iteration adds to it."
    )
    show("", columns, rows, caption)


COMMAND = Evaluate
