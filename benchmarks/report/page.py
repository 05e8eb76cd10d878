"""One self-contained HTML page out of a results dictionary: plots, pictures and tables, with nothing to load beside it.

The dictionary is what `videoinpaint demo` and `videoinpaint evaluate` write as JSON::

    title, summary, command: text          created: ISO time      baseline: name of the policy compared with
    versions, settings, seeds, seconds: flat dictionaries that are shown as they are
    training: None or {steps, seconds, curve: [{step, return}, ...]}
    policies: [{name, trained, return: INTERVAL, difference: None or INTERVAL, metrics: {metric: INTERVAL},
                by_iteration: {metric: [after 1, after 2, ...]}, records;
                optional: quality, quality_difference, gflops, iterations: INTERVAL}]
    files: {name: what it is}              next_steps: [{command, text}]

An INTERVAL is {mean, low, high}; its ends are None where a single clip cannot tell how clips differ.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.benchmarks.protocol.tables import intervals
from videoinpaint.benchmarks.report.charts import (
    COLOURS,
    METRICS,
    bars_chart,
    differences_chart,
    iteration_chart,
    learning_chart,
)
from videoinpaint.errors import InputError
from videoinpaint.files import write_text

TABLE = ("psnr_hole", "psnr", "ssim", "lpips", "wta")
MOVING = ("psnr_hole", "lpips", "wta")
REQUIRED = ("title", "command", "created", "policies")


@dataclass(frozen=True)
class Picture:
    """An image of the report: uint8 ``(H, W, 3)`` and the sentence below it."""

    image: NDArray[np.uint8]
    caption: str


def write_report(results: Mapping[str, Any], pictures: Sequence[Picture], path: Path) -> Path:
    """Render and write the page, whole or not at all.

    Args:
        results: see the module's description.
        pictures: shown in order, before the plots.
        path: the HTML file; its folder is made.

    Raises:
        InputError: `results` lacks an entry that the page needs.
    """
    return write_text(path, render_report(results, pictures))


def render_report(results: Mapping[str, Any], pictures: Sequence[Picture] = ()) -> str:
    """The page as text.

    Raises:
        InputError: `results` lacks an entry that the page needs.
    """
    missing = [key for key in REQUIRED if not results.get(key)]
    if missing:
        raise InputError(f"the results lack {', '.join(missing)}: write them with `videoinpaint evaluate --output`")
    # By quality where there is one: a return can be raised without a better repair.
    policies = sorted(results["policies"], key=lambda p: -(p.get("quality") or p["return"])["mean"])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The trained policies first, then the best of the rest: more than six lines nobody can follow.
    drawn = sorted(policies, key=lambda p: not p.get("trained"))[: len(COLOURS)]
    metrics = [m for m in TABLE if all(m in p["metrics"] for p in policies)]
    optional: dict[str, Any] = {"summary": "", "baseline": "", "training": None, "next_steps": []}
    optional |= {name: {} for name in ("versions", "settings", "seeds", "seconds", "files")}
    return environment.get_template("report.html.j2").render(
        **{**optional, **results, "policies": policies},
        metrics=metrics,
        columns=_columns(policies, metrics),
        pictures=[{"source": data_uri(p.image), "caption": p.caption} for p in pictures],
        charts=_charts(results, policies, drawn),
        legend=[{"name": p["name"], "colour": colour} for p, colour in zip(drawn, COLOURS)],
    )


def _charts(
    results: Mapping[str, Any], policies: Sequence[Mapping[str, Any]], drawn: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Plots as data URIs by section; a section without data is empty."""
    base = f"“{results.get('baseline') or 'baseline'}”"
    returns = [
        bars_chart(policies, "return", f"Return per episode: mean, {intervals([p['return'] for p in policies])}")
    ]
    if any(p.get("difference") for p in policies):
        returns.append(differences_chart(policies, "difference", f"Return, difference to {base}"))
    if any(p.get("quality_difference") for p in policies):
        title = f"Quality of the final repair, difference to {base}"
        returns.append(differences_chart(policies, "quality_difference", title))
    if all(p.get("gflops") and p["gflops"]["mean"] > 0 for p in policies):
        returns.append(bars_chart(policies, "gflops", "Computation per episode, GFLOPs", digits=1))
    curve = (results.get("training") or {}).get("curve") or []
    learning = [learning_chart(curve)] if len(curve) > 1 else []
    moving = [m for m in MOVING if all(len(p.get("by_iteration", {}).get(m, [])) > 1 for p in drawn)]
    charts = {"returns": returns, "learning": learning, "iterations": [iteration_chart(drawn, m) for m in moving]}
    return {section: [_uri(png, "png") for png in plots] for section, plots in charts.items()}


@dataclass(frozen=True)
class Column:
    """A column of the table: its title, one interval a policy, digits after the point, and the best mean."""

    title: str
    values: list[Mapping[str, float | None]]
    digits: int
    best: float | None


def _columns(policies: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> list[Column]:
    columns = [_column("Return", [p["return"] for p in policies], 3, True)]
    if all(p.get("quality") for p in policies):
        columns.append(_column("Quality", [p["quality"] for p in policies], 4, True))
    for metric in metrics:
        title, better = METRICS[metric]
        values = [p["metrics"][metric] for p in policies]
        columns.append(_column(title, values, 2 if metric.startswith("psnr") else 4, better.startswith("higher")))
    for title, key in (("Iterations", "iterations"), ("GFLOPs", "gflops")):
        if all(p.get(key) for p in policies):
            columns.append(_column(title, [p[key] for p in policies], 1, None))
    return columns


def _column(title: str, values: list[Mapping[str, float | None]], digits: int, higher: bool | None) -> Column:
    means = [value["mean"] for value in values if value["mean"] is not None]
    best = None if higher is None or len(means) < 2 else (max if higher else min)(means)
    return Column(title, values, digits, best)


def data_uri(image: NDArray[np.uint8]) -> str:
    """A picture uint8 ``(H, W, 3)`` as a ``data:`` address that an ``img`` tag shows."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=92, subsampling=0)
    return _uri(buffer.getvalue(), "jpeg")


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
