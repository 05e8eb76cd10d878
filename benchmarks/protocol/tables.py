"""Tables on the terminal, and the frame that every benchmark's command line shares."""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from videoinpaint.benchmarks.protocol.envelope import set_threads, write_json
from videoinpaint.benchmarks.protocol.flags import Measuring
from videoinpaint.benchmarks.protocol.statistics import CONFIDENCE, FEWEST
from videoinpaint.device import resolve_device
from videoinpaint.errors import InputError, VideoInpaintError
from videoinpaint.files import check_new, check_no_folder, user_path, write_text
from videoinpaint.naming import one_line

Flags = TypeVar("Flags", bound=Measuring)

TITLES = {
    "psnr_hole": "PSNR hole", "ssim_hole": "SSIM hole", "lpips_hole": "LPIPS hole", "e_warp_hole": "E_warp hole",
    "grid_hole": "grid hole",
    "psnr": "PSNR", "ssim": "SSIM", "ssim65": "SSIM65", "lpips": "LPIPS", "e_warp": "E_warp", "gms": "GMS", "es": "ES",
    "vfid": "VFID", "seconds_per_frame": "s/frame", "gflops": "GFLOPs",
}  # fmt: skip
DIGITS = {"psnr_hole": 2, "psnr": 2, "gflops": 2, "seconds_per_frame": 3, "e_warp": 3, "e_warp_hole": 3, "vfid": 3}


def number(value: Any, digits: int = 3) -> str:
    """A number for a table; a dash for what was not measured."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def interval(value: Mapping[str, float] | None, digits: int = 3, signed: bool = False) -> str:
    """``mean [low, high]`` for a table; a dash for what was not measured."""
    if value is None or value.get("mean") is None or not math.isfinite(value["mean"]):
        return "-"
    sign = "+" if signed else ""
    if not _has_ends(value):
        return f"{value['mean']:{sign}.{digits}f}"
    low, high = value["low"], value["high"]
    return f"{value['mean']:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def intervals(of: int | Iterable[Mapping[str, Any]], kind: str = "", over: str = "") -> str:
    """What a caption says about the intervals of a table: ``95% paired intervals over clips``, or that it has none.

    Args:
        of: how many clips each of them is over, or the table's values, of which some may have one.
        kind: of them.
        over: what they are.
    """
    some = of >= FEWEST if isinstance(of, int) else any(map(_has_ends, of))
    if not some:
        return f"without intervals, which need {FEWEST} clips"
    return " ".join(filter(None, [f"{CONFIDENCE:.0%}", kind, "intervals", over]))


def _has_ends(value: Mapping[str, Any]) -> bool:
    """Whether a value has an interval around its mean."""
    return all(end is not None and math.isfinite(end) for end in (value.get("low"), value.get("high")))


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> None:
    """Print a table: the first column on the left, the others on the right."""
    # Text, not markup: names are anybody's, and "[/bold]" in one would end the whole evaluation.
    told = Text("\n".join(map(one_line, caption.splitlines()))) if caption else None
    table = Table(title=Text(one_line(title)), title_justify="left", caption=told, caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(Text(one_line(column)), justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(Text(_cell(cell)) for cell in row))
    # A pipe has no width of its own, and a table that is cut there loses numbers.
    longest = max((len(_cell(row[0])) for row in rows), default=0)
    console = Console() if sys.stdout.isatty() else Console(width=230 + longest)
    console.print(table)


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """Write a table as its file's ending says, whole or not at all: .csv, .md (Markdown) or .tex (a LaTeX tabular).

    Raises:
        InputError: another ending.
    """
    if path.suffix not in _FORMATS:
        raise InputError(f"cannot write {path}: end the name in {', '.join(_FORMATS)}")
    return write_text(path, _FORMATS[path.suffix](columns, rows))


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([columns, *rows])
    return buffer.getvalue()


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(re.sub(r"([\\|`*_<>\[\]$~&])", r"\\\1", _cell(cell)) for cell in cells) + " |"

    rule = "| --- |" + " ---: |" * (len(columns) - 1)
    return "\n".join([line(columns), rule, *map(line, rows)]) + "\n"


def _latex(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any]) -> str:
        return " & ".join(_cell(cell).translate(_LATEX) for cell in cells) + r" \\"

    begin = r"\begin{tabular}{l" + "r" * (len(columns) - 1) + "}"
    return "\n".join([begin, r"\hline", line(columns), r"\hline", *map(line, rows), r"\hline", r"\end{tabular}", ""])


def _cell(value: Any) -> str:
    return one_line(value if isinstance(value, str) else number(value))


# Brackets too: one at the beginning of a row would be read as an argument of the line break before it.
_LATEX = str.maketrans(
    {character: "\\" + character for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "[": "{[}", "]": "{]}"}
)
_FORMATS: dict[str, Callable[[Sequence[str], Sequence[Sequence[Any]]], str]] = {
    ".csv": _csv,
    ".md": markdown,
    ".tex": _latex,
}


def metric_row(name: str, means: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    """One method's means in the order of ``metrics``."""
    return [name, *(number(means.get(metric), DIGITS.get(metric, 4)) for metric in metrics)]


def progress(description: str, total: int) -> tuple[Progress, Callable[[], None]]:
    """A progress bar on stderr (silent where that is no terminal) and the function that advances it by one."""
    bar = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
    task = bar.add_task(description, total=total)
    return bar, lambda: bar.advance(task)


def main(
    flags: type[Flags], run: Callable[[Flags], dict[str, Any]], report: Callable[[Mapping[str, Any]], None], doc: str
) -> None:
    """Parse flags, run, print, write.

    Exits with 2 after bad input, with one line that says what is wrong; a device or an output that cannot be used are
    told before anything runs.
    """
    chosen = tyro.cli(flags, prog=_program(), description=doc)
    with lines_for_errors():
        output = None if chosen.output is None else user_path(chosen.output)
        if output is not None:
            check_no_folder(output)
            check_new(output)
        resolve_device(getattr(chosen, "device", "cpu"))
        set_threads(chosen.threads)
        results = run(chosen)
        report(results)
        if output is not None:
            print(f"wrote {write_json(output, results)}")


def _program() -> str | None:
    """How the command is started, as its help tells it; None where it is no module."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return None if module is None else f"python -m {module.name}"


@contextmanager
def lines_for_errors() -> Iterator[None]:
    """End the process with 2 after bad input, with one line that says what is wrong."""
    try:
        yield
    except VideoInpaintError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
