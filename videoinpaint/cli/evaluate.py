"""Compare policies on the same held-out episodes: returns, metrics and computation, with 95% intervals.

With --suite these are the episodes of a frozen suite, whose pixels are checked before anything is played.
"""

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
    from videoinpaint.benchmarks.protocol.frozen import FrozenSuite


OUTPUTS = (".json", ".csv", ".md", ".tex")


@dataclass(frozen=True)
class Evaluate(EnvironmentFlags):
    """Episodes are those of seeds 0, 1, ..., which training never draws, or those of a frozen suite."""

    policies: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--policy"])] = (
        "default",
        "random",
        "heads4",
        "heads8",
        "heads12",
        "fixed-average",
        "heuristic",
        "shipped",
    )
    """Names of policies, training folders, policy files, or module:attribute; shipped is the policy that ships for the
    environment; name=path,path,... is one method with several training seeds (name=runs/a/seed* works too)."""
    baseline: str = "random"
    """The policy that the others are compared with; it plays even if --policies does not name it."""
    suite: str | None = None
    """A frozen suite, as studio-mixed-v1: its episodes one at a time, in float32, each process with one thread. Clips,
    masks and sizes are the suite's; results name its digest. Or a file that was frozen, or a track of real video, as
    davis-2017-val-object-v1, of 24 frames of 240x432 unless sizes are given (--num-frames 0: whole clips)."""
    data: Path | None = None
    """The folder that holds the clips of a track."""
    episodes: int | None = None
    """How many episodes each policy plays, 2 or more, because differences have an interval (`bench` also takes 1). By
    default 16, of a suite all; a number takes its first ones."""
    first_seed: int = 0
    """Seed of the first episode; the others follow."""
    num_envs: int | None = None
    """Episodes in a batch: by default 4; in a suite always 1."""
    workers: int = 1
    """Processes that play at once, each with one thread; results are the same."""
    ray: str | None = None
    """Play as tasks of a Ray cluster instead: local (of this machine alone), auto, or its address; needs the extra ray.
    Results are the same."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of products and convolutions in the environment; auto: float32 in a suite, else bfloat16 where a CPU has it."""
    output: Path | None = None
    """Write here what was measured: .json everything, .csv the numbers, .md or .tex the table."""
    report: Path | None = None
    """Write a page with plots here, as HTML."""

    def run(self) -> None:
        """Play, print, write."""
        from videoinpaint.benchmarks.policies.comparison import add_scores, summaries

        contestants = self.contestants()
        suite = self.frozen()
        records = self.play(contestants, suite)
        policies = summaries(records, contestants, self.baseline)
        add_scores(policies, self.env_id, self.settings(), suite)
        print_table(policies, self.baseline)
        played = [record for runs in records.values() for run in runs for record in run]
        untrained = sorted({part for record in played for part in record.random_weights.split(", ") if part})
        results = self.results(policies, untrained, suite)
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
        from videoinpaint.agents.policies.policy import SHIPPED, shipped_policy
        from videoinpaint.benchmarks.policies.compare import contestant
        from videoinpaint.checks import MAX_COUNT, MAX_SEED, seed_number, whole_number
        from videoinpaint.envs.ids import check_env, with_precision

        whole_number(self.count, "episodes", 2, 10**6)
        whole_number(self.batch, "num_envs", 1, MAX_COUNT)
        whole_number(self.workers, "workers", 1, MAX_COUNT)
        seed_number(self.first_seed, "first_seed", MAX_SEED - self.count)
        for path, endings in ((self.output, OUTPUTS), (self.report, (".html",))):
            if path is not None and path.suffix not in endings:
                raise InputError(f"cannot write {path}: end the name in {', '.join(endings)}")
        check_env(self.env_id, with_precision(self.env_id, self.settings(), self.precision))
        self.refuse_contradictions()
        own = shipped_policy(self.env_id)
        others = [spec for spec in self.policies if spec != SHIPPED or own not in self.policies]
        found = [contestant(own if spec == SHIPPED else spec) for spec in others]
        return found if self.baseline in [one.name for one in found] else [*found, contestant(self.baseline)]

    @property
    def count(self) -> int:
        """Episodes, where no suite says how many."""
        return 16 if self.episodes is None else self.episodes

    @property
    def batch(self) -> int:
        """Episodes at a time, where no suite says how many."""
        return 4 if self.num_envs is None else self.num_envs

    def refuse_contradictions(self) -> None:
        """Raises InputError for flags that say otherwise than the suite."""
        if self.suite is None:
            if self.data is not None:
                raise InputError("--data holds the clips of a suite: name that by --suite, or leave it out")
            return
        own = ["clips", "masks", "propagator", "num_envs"]
        own += [] if self.is_track() else ["num_frames", "height", "width"]
        given = [name for name in own if getattr(self, name) is not None]
        given += ["first_seed"] if self.first_seed else []
        if given:
            flags = ", ".join("--" + name.replace("_", "-") for name in given)
            raise InputError(
                f"suite {self.suite} says itself what {flags} would: leave it out, or play without a suite"
            )

    def frozen(self) -> FrozenSuite | None:
        """The suite, after a look at every pixel; None without one.

        Raises:
            UnknownNameError: there is no such suite, or none for this environment.
            InputError: its pixels differ here, or it has fewer episodes.
        """
        from videoinpaint.benchmarks.protocol.envelope import set_threads
        from videoinpaint.benchmarks.protocol.tracks import Size, open_suite

        if self.suite is None:
            return None
        set_threads(1)
        size = Size.given(self.num_frames, self.height, self.width)
        suite = open_suite(self.suite, self.env_id, "" if self.data is None else str(self.data), size)
        suite = suite if self.episodes is None else suite.first(self.episodes)
        if not self.is_track():
            suite.check_pixels()
        return suite

    def is_track(self) -> bool:
        """Whether the suite is one of real video, of which digests are made here."""
        from videoinpaint.benchmarks.protocol.tracks import track_names

        return self.suite in track_names()

    def settings(self) -> dict[str, Any]:
        """Arguments of the environment that are not the suite's."""
        sizes = ("num_frames", "height", "width") if self.is_track() else ()
        return {name: value for name, value in self.env_kwargs().items() if name not in sizes}

    def asked_precision(self) -> str:
        """What the environment is asked for: float32 in suites unless a flag says otherwise."""
        return "float32" if self.suite is not None and self.precision == "auto" else self.precision

    def play(self, contestants: list[Contestant], suite: FrozenSuite | None = None) -> dict[str, Any]:
        """Every policy's records, under a live bar."""
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress

        from videoinpaint.benchmarks.policies.compare import play

        seeds = range(self.first_seed, self.first_seed + self.count)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("evaluating", total=len(contestants))
            return play(contestants, seeds, self.env_id, self.settings(), self.batch,
                        lambda name: bar.update(task, advance=1, description=f"evaluated {escape(name)}"),
                        self.asked_precision(), suite, self.workers, self.ray)  # fmt: skip

    def results(
        self, policies: list[dict[str, Any]], random_weights: Sequence[str] = (), suite: FrozenSuite | None = None
    ) -> dict[str, Any]:
        """What goes into the files; see :mod:`videoinpaint.benchmarks.report.page`."""
        import shlex
        import sys

        from videoinpaint.benchmarks.policies.comparison import measured_how
        from videoinpaint.benchmarks.protocol.envelope import envelope
        from videoinpaint.envs.ids import effective_kwargs, with_precision

        precision = self.asked_precision()
        kwargs = with_precision(self.env_id, self.settings(), precision) | ({} if suite is None else suite.env_kwargs)
        whole = envelope(
            "compare",
            {"env_id": self.env_id, **effective_kwargs(self.env_id, kwargs)},
            env_id=self.env_id,
            env_kwargs=kwargs,
            precision=precision,
            random_weights=random_weights,
            title="Policies compared",
            baseline=self.baseline,
            policies=policies,
        )
        played = list(range(self.first_seed, self.first_seed + self.count)) if suite is None else suite.seeds
        seeds = measured_how(played)
        command = shlex.join(["videoinpaint", *sys.argv[1:]])
        where = "held-out episodes" if suite is None else f"episodes of suite {suite.name} (digest {suite.digest})"
        summary = f"{len(policies)} policies on the same {len(played)} {where} of {self.env_id}."
        whole |= {} if suite is None else {"suite": suite.as_dict()}
        return whole | {"command": command, "summary": summary, "versions": whole["software"], "seeds": seeds}


def print_table(policies: list[dict[str, Any]], baseline: str) -> None:
    """The comparison as a table on the terminal, best quality first."""
    from videoinpaint.benchmarks.policies.comparison import comparison_table
    from videoinpaint.benchmarks.protocol.tables import intervals, show

    values = [entry[key] for entry in policies for key in ("return", "quality")]
    caption = (
        f"{intervals(values, over='over clips and training seeds')}; quality is the reward of the final repair under\n"
        "fixed weights: policies are ranked by it, as a policy may weigh its own return, and every iteration may add "
        "to it."
    )
    show("", *comparison_table(policies, baseline), caption)


def write_results(path: Path, results: dict[str, Any]) -> Path:
    """Write a comparison as its file's ending says, whole or not at all."""
    from videoinpaint.benchmarks.policies.comparison import comparison_numbers, comparison_table
    from videoinpaint.benchmarks.protocol.envelope import write_json
    from videoinpaint.benchmarks.protocol.tables import write_table

    if path.suffix == ".json":
        return write_json(path, results)
    policies = results["policies"]
    numbers = path.suffix == ".csv"
    table = comparison_numbers(policies) if numbers else comparison_table(policies, results["baseline"])
    return write_table(path, *table)


COMMAND = Evaluate
