"""Compare policies on the same held-out episodes: returns, metrics and computation, with 95% intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from videoinpaint.cli.environment import EnvironmentFlags
from videoinpaint.errors import InputError

if TYPE_CHECKING:
    from videoinpaint.benchmarks.policies.compare import Contestant


OUTPUTS = (".json", ".csv", ".md", ".tex")


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
    """Names of policies, training folders, policy files, or module:attribute; name=path,path,... is one method under
    several training seeds (name=runs/a/seed* works too)."""
    baseline: str = "random"
    """The policy that differences are to; it plays even if it is not named above."""
    episodes: int = 16
    """How many episodes each policy plays, 2 or more."""
    first_seed: int = 0
    """Seed of the first episode; the others follow."""
    num_envs: int = 4
    """Episodes in a batch."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """In which the environment's networks multiply; auto: bfloat16 on a CPU that has it natively."""
    output: Path | None = None
    """Write here what was measured: .json everything, .csv the numbers, .md or .tex the table."""
    report: Path | None = None
    """Write a page with plots here, as HTML."""

    def run(self) -> None:
        """Play, print, write."""
        from videoinpaint.benchmarks.policies.compare import add_scores, summaries

        contestants = self.contestants()
        records = self.play(contestants)
        policies = summaries(records, contestants, self.baseline)
        add_scores(policies, self.env_id, self.env_kwargs())
        print_table(policies, self.baseline)
        played = [record for runs in records.values() for run in runs for record in run]
        untrained = sorted({part for record in played for part in record.random_weights.split(", ") if part})
        results = self.results(policies, untrained)
        if self.output is not None:
            print(f"wrote {write_results(self.output, results)}")
        if self.report is not None:
            from videoinpaint.benchmarks.report.page import write_report

            print(f"wrote {write_report(results, [], self.report)}")

    def contestants(self) -> list[Contestant]:
        """The policies by name, the baseline among them; what is no registered name counts as trained.

        Raises:
            InputError: a file to write has another ending, or a group of policies is empty.
            UnknownNameError: nothing answers to the environment's id.
        """
        from videoinpaint.benchmarks.policies.compare import contestant
        from videoinpaint.checks import MAX_COUNT, MAX_SEED, seed_number, whole_number
        from videoinpaint.envs.ids import check_env, with_precision

        whole_number(self.episodes, "episodes", 2, 10**6)
        whole_number(self.num_envs, "num_envs", 1, MAX_COUNT)
        seed_number(self.first_seed, "first_seed", MAX_SEED - self.episodes)
        for path, endings in ((self.output, OUTPUTS), (self.report, (".html",))):
            if path is not None and path.suffix not in endings:
                raise InputError(f"cannot write {path}: end the name in {', '.join(endings)}")
        check_env(self.env_id, with_precision(self.env_id, self.env_kwargs(), self.precision))
        found = [contestant(spec) for spec in self.policies]
        return found if self.baseline in [one.name for one in found] else [*found, contestant(self.baseline)]

    def play(self, contestants: list[Contestant]) -> dict[str, Any]:
        """Every policy's records, under a live bar."""
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress

        from videoinpaint.benchmarks.policies.compare import play

        seeds = range(self.first_seed, self.first_seed + self.episodes)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("evaluating", total=len(contestants))
            return play(contestants, seeds, self.env_id, self.env_kwargs(), self.num_envs,
                        lambda name: bar.update(task, advance=1, description=f"evaluated {escape(name)}"),
                        self.precision)  # fmt: skip

    def results(self, policies: list[dict[str, Any]], random_weights: Sequence[str] = ()) -> dict[str, Any]:
        """What goes into the files; see :mod:`videoinpaint.benchmarks.report.page`."""
        import shlex
        import sys

        from videoinpaint.benchmarks.policies.compare import measured_how
        from videoinpaint.benchmarks.protocol.envelope import envelope
        from videoinpaint.envs.ids import effective_kwargs, with_precision

        kwargs = with_precision(self.env_id, self.env_kwargs(), self.precision)
        whole = envelope(
            "compare",
            {"env_id": self.env_id, **effective_kwargs(self.env_id, kwargs)},
            env_id=self.env_id,
            env_kwargs=kwargs,
            precision=self.precision,
            random_weights=random_weights,
            title="Policies compared",
            baseline=self.baseline,
            policies=policies,
        )
        seeds = measured_how(range(self.first_seed, self.first_seed + self.episodes))
        command = shlex.join(["videoinpaint", *sys.argv[1:]])
        summary = f"{len(policies)} policies on the same {self.episodes} held-out episodes of {self.env_id}."
        return whole | {"command": command, "summary": summary, "versions": whole["software"], "seeds": seeds}


def print_table(policies: list[dict[str, Any]], baseline: str) -> None:
    """The comparison as a table on the terminal, best quality first."""
    from videoinpaint.benchmarks.policies.compare import comparison_table
    from videoinpaint.benchmarks.protocol.tables import show

    caption = (
        "95% intervals over clips and training seeds. Quality is the reward of the final repair under fixed weights:\n"
        "policies are ranked by it, as a policy may weigh its own return, and every iteration may add to it."
    )
    show("", *comparison_table(policies, baseline), caption)


def write_results(path: Path, results: dict[str, Any]) -> Path:
    """Write a comparison as its file's ending says, whole or not at all."""
    from videoinpaint.benchmarks.policies.compare import comparison_numbers, comparison_table
    from videoinpaint.benchmarks.protocol.envelope import write_json
    from videoinpaint.benchmarks.protocol.tables import write_table

    if path.suffix == ".json":
        return write_json(path, results)
    policies = results["policies"]
    numbers = path.suffix == ".csv"
    table = comparison_numbers(policies) if numbers else comparison_table(policies, results["baseline"])
    return write_table(path, *table)


COMMAND = Evaluate
