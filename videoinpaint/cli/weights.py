"""List, fetch and verify network weights. The package's own are installed with it; nothing downloads unless you ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from videoinpaint.weights import WeightEntry

Name = Annotated[str, tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True)
class List:
    """Show every known set of weights, its licence, and where its file is on this machine."""

    def run(self) -> None:
        """Print the table."""
        from rich.console import Console
        from rich.markup import escape

        from videoinpaint.weights import list_weights

        console = Console(soft_wrap=True, highlight=False)
        for status in list_weights():
            entry = status.entry
            state = "[green]here  [/]" if status.path else "[yellow]absent[/]"
            console.print(f"[bold]{entry.name:<26}[/] {state}  {escape(entry.licence)}; from {escape(entry.source)}")
            console.print(f"    {escape(str(status.path) if status.path else _how_to_get(entry))}", style="dim")


def _how_to_get(entry: WeightEntry) -> str:
    from videoinpaint.weights import cache_dir

    return (
        f"get it: videoinpaint weights fetch {entry.name}" if entry.url else entry.how_to_get.format(cache=cache_dir())
    )


@dataclass(frozen=True)
class Fetch:
    """Download weights, with all files of the same network, under a progress bar; nothing if they are already here.

    An interrupted download resumes where it stopped. Where no hash is known, that of the first download is recorded."""

    name: tyro.conf.Positional[Name]
    """Which weights: a name that `videoinpaint weights list` shows."""

    def run(self) -> None:
        """Fetch and print the path."""
        from videoinpaint.weights import fetch

        print(fetch(self.name))


@dataclass(frozen=True)
class Verify:
    """Check files against their known hashes, and see that they can be read and hold finite numbers."""

    name: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[NAME]")] = None
    """Which weights; without a name, all that are on this machine."""

    def run(self) -> None:
        """Verify and print one line per file."""
        from videoinpaint.weights import list_weights, verify

        names = [self.name] if self.name else [status.entry.name for status in list_weights() if status.path]
        for name in names:
            print(f"ok  {name}  {verify(name)}")


COMMAND = (
    Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Fetch, tyro.conf.subcommand("fetch")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
)
