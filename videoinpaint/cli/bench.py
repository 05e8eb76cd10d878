"""Run a table or figure of the papers here: measured rows beside the published ones, and which orders come out.

A run that was interrupted goes on where it was; with more --episodes it measures those that are missing. How each
experiment differs from its publication stands in its own help, `videoinpaint bench table2 --help`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from videoinpaint.benchmarks.papers.about import ABOUT, EVERYWHERE

if TYPE_CHECKING:
    from videoinpaint.benchmarks.papers.experiment import BenchFlags


@dataclass(frozen=True)
class Bench:
    """Flags that all experiments share; a subclass is one of them."""

    name: ClassVar[str] = ""
    suite: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SUITE ...")] = ()
    """Frozen suites to run on; left out, the experiment's own. One with two scenarios takes two."""
    policies: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--policy"], metavar="POLICY ...")] = ()
    """Names, files or folders of policies, a "dynamic" row each; left out, the policy "trained"."""
    episodes: Annotated[int, tyro.conf.arg(aliases=["--limit"])] = 12
    """Episodes of each suite, from its beginning; below 5 no interval is given and nothing can be said."""
    output: Path = Path("runs/papers")
    """A folder; records of finished clips, JSON, CSV, Markdown and PNG go into one of the experiment's name in it."""
    inpainter: str = "compact"
    """The network in the loop: a name, or module:attribute of your own."""
    num_frames: int | None = None
    """Frames of each clip; another size than the suite's makes other clips, which the report says."""
    height: int | None = None
    """Pixels, likewise."""
    width: int | None = None
    """Pixels, likewise."""
    steps: int = 100
    """Training steps on each clip, where a network is trained on it (iivi-*)."""
    width_factor: float = 0.25
    """Of that network's channels (iivi-*); 1 as published."""
    preset: Literal["quick", "paper"] = "quick"
    """Of its training (iivi-*): paper has the published network, losses and learning rate; with --steps 80000 all."""
    fusion: Literal["network", "boundary"] = "network"
    """What the control fusion means (table5): the network's own, or a blend at the hole's boundary."""
    ablation: Path | None = None
    """Weights of target inactivation alone (ciri-table2), of `videoinpaint pretrain one-shot --ablate`."""
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
    """A subcommand: the flags, under the experiment's name and explanation."""
    about = ABOUT[name]
    told = (
        f"{about.source}: {about.title}. Runs on {' and '.join(about.suites)} unless told otherwise.\n\n"
        f"Where it differs from the publication: {about.differences}.\n\nAs everywhere here: {EVERYWHERE}."
    )
    return Annotated[type(name, (Bench,), {"name": name}), tyro.conf.subcommand(name, description=told)]


COMMAND: Any = reduce(or_, map(_command, ABOUT))
