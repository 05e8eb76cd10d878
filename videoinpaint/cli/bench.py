"""Run a table or figure of the papers: measured rows beside the published ones, and which orders reproduce.

A run that was interrupted goes on where it was; with more --episodes it measures those that are missing. How each
experiment differs from its publication, and which flags it takes, stands in its own help, `videoinpaint bench table2
--help`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from videoinpaint.benchmarks.papers.about import ABOUT, EVERYWHERE, SPECIAL, check_taken

if TYPE_CHECKING:
    from videoinpaint.benchmarks.papers.experiment import BenchFlags


@dataclass(frozen=True)
class Bench:
    """Flags of all experiments; a subclass is one of them, and hides those that it does not take."""

    name: ClassVar[str] = ""
    suite: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SUITE ...")] = ()
    """Frozen suites to run on, one for each of the experiment's scenarios in their order; left out, its own."""
    policies: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--policy"], metavar="POLICY ...")] = ()
    """Names, files or folders of policies, a "dynamic" row each; left out, the policy "trained"."""
    episodes: Annotated[int, tyro.conf.arg(aliases=["--limit"])] = 12
    """Episodes of each suite, from its beginning; below 5 no interval is given and nothing can be said."""
    output: Path = Path("runs/papers")
    """A folder; records of finished clips, JSON, CSV, Markdown and PNG go into one in it that is named after the
    experiment and the flags that change its numbers."""
    inpainter: str = "compact"
    """The network in the loop: a name, or module:attribute of your own."""
    weights: str | None = None
    """Weights of that network: a file, such as one that `videoinpaint pretrain inpainter` wrote, or random."""
    num_frames: int | None = None
    """Frames of each clip; another size than the suite's makes other clips, which the report says."""
    height: int | None = None
    """Pixels, likewise."""
    width: int | None = None
    """Pixels, likewise."""
    steps: int = 100
    """Training steps on each clip."""
    width_factor: float = 0.25
    """Of the channels of the network that is trained on each clip; 1 as published."""
    preset: Literal["quick", "paper"] = "quick"
    """Of its training: paper has the published network, losses and learning rate; with --steps 80000 all."""
    fusion: Literal["network", "boundary"] = "network"
    """What the control fusion means: the network's own, or a blend at the hole's boundary."""
    ablation: Path | None = None
    """Weights of target inactivation alone, of `videoinpaint pretrain one-shot --ablate`."""
    device: str = "cpu"
    """auto, cpu or cuda."""
    threads: int = 1
    """CPU threads."""
    precision: str = "float32"
    """In which the compact networks multiply: float32, bfloat16 or auto."""

    def flags(self) -> BenchFlags:
        """As the experiments take them."""
        from videoinpaint.benchmarks.papers.experiment import BenchFlags

        given = dict(vars(self))
        return BenchFlags(suites=given.pop("suite"), **given)

    def run(self) -> None:
        """Run, print, write."""
        from videoinpaint.benchmarks.papers.commands import execute

        execute(self.name, self.flags())


def _command(name: str) -> Any:
    """A subcommand: the flags that it takes, under the experiment's name and explanation."""
    about = ABOUT[name]
    told = (
        f"{about.source}: {about.title}. Runs on {' and '.join(about.suites)} unless told otherwise.\n\n"
        f"Where it differs from the publication: {about.differences}.\n\nAs everywhere here: {EVERYWHERE}."
    )
    hidden = [flag for flag in SPECIAL if flag not in about.takes]
    hide: Any = tyro.conf.Suppress
    body = {"name": name, "__annotations__": dict.fromkeys(hidden, hide[Any])}
    body |= {flag: getattr(Bench, flag) for flag in hidden}
    return Annotated[dataclass(frozen=True)(type(name, (Bench,), body)), tyro.conf.subcommand(name, description=told)]


COMMAND: Any = reduce(or_, map(_command, ABOUT))

ALIASES = {"policy": "policies", "limit": "episodes"}


def prepared(words: list[str]) -> list[str]:
    """The command's words, once it is sure that there is such an experiment and that each flag changes something.

    Raises:
        UnknownNameError: there is no such experiment.
        InputError: a flag belongs to other experiments.
        SystemExit: the overview was asked for, and printed.
    """
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        raise SystemExit(0)
    if not words[0].startswith("-"):
        flags = (word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--"))
        check_taken(words[0], (ALIASES.get(flag, flag) for flag in flags))
    return words


def _overview() -> str:
    """A line for each experiment, and once what holds for all: the parser would repeat its whole explanation."""
    width = max(map(len, ABOUT))
    lines = [f"  {name:<{width}}  {about.source}: {about.title}" for name, about in ABOUT.items()]
    parts = ["usage: videoinpaint bench NAME [OPTIONS]", (__doc__ or "").strip(), "\n".join(["experiments:", *lines])]
    parts += [fill(f"Where all differ from the publications: {EVERYWHERE}.", 100)]
    return "\n\n".join([*parts, "videoinpaint bench NAME --help explains one, with its flags."])


PREPARED = prepared
