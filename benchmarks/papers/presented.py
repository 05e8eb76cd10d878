"""An experiment's results for people and programs: measured rows beside the published ones, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videoinpaint.benchmarks.papers.about import EVERYWHERE
from videoinpaint.benchmarks.papers.verdict import CANNOT_BE_SAID
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import write_json
from videoinpaint.errors import InputError
from videoinpaint.files import read_json, write_text

TITLES = tables.TITLES | {
    "mask_j_and_f": "mask J&F", "gflops_passes": "GFLOPs of passes",
}  # fmt: skip
DIGITS = tables.DIGITS | {"iterations": 2, "heads": 2, "fusion": 3, "alpha": 3, "beta": 3, "gamma": 3, "gflops": 1,
                          "seconds_per_frame": 3, "gms": 3, "es": 3, "mask_j_and_f": 3}  # fmt: skip
NOT_PRINTED: Mapping[str, Any] = {"values": {}, "label": ""}
Table = tuple[str, list[str], list[list[str]]]
"""Title, columns, rows."""


def rows_table(results: Mapping[str, Any], scenario: str) -> Table:
    """Measured rows, each with the published one that it stands for on its right; then what was only printed.

    Every metric has a column of means with intervals and, where the paper prints it, one of published numbers.
    """
    rows = results["scenarios"].get(scenario, {})
    printed = [one for one in results["printed"] if one["scenario"] == scenario]
    known = {one["row"]: one for one in reversed(printed) if one["row"]}
    compared = [metric for metric in results["metrics"] if any(metric in one["values"] for one in printed)]
    shown = [metric for metric in results["metrics"]
             if metric in compared or any(metric in row["means"] for row in rows.values())]  # fmt: skip
    columns = ["method", *(part for m in shown for part in _columns(m, m in compared))]
    if printed:
        columns.append("published as")
    body = []
    for name in [*rows, *(name for name in results["absent"] if name not in rows)]:
        means = rows[name]["means"] if name in rows else {}
        theirs = known.get(name, NOT_PRINTED)
        label = name if name in rows else f"{name} (no weights here)"
        body.append(_row(label, means, theirs, shown, compared, bool(printed)))
    listed = {*rows, *results["absent"]}
    for one in printed:
        if one["row"] not in listed:
            body.append(_row(f"{one['label']} (printed only)", {}, one, shown, compared, bool(printed)))
    count = max((len(row["clips"]) for row in rows.values()), default=0)
    of = f", {scenario}" if scenario else ""
    return f"{results['about']['title']}{of} ({count} clips)", columns, body


def _columns(metric: str, compared: bool) -> list[str]:
    title = TITLES.get(metric, metric)
    return [title, f"{title} published"] if compared else [title]


def _row(
    name: str, means: Mapping[str, Any], theirs: Mapping[str, Any], shown: Sequence[str], compared: Sequence[str],
    labelled: bool,
) -> list[str]:  # fmt: skip
    cells = [name]
    for metric in shown:
        digits = DIGITS.get(metric, 4)
        cells.append(tables.interval(means.get(metric), digits))
        if metric in compared:
            cells.append(tables.number(theirs["values"].get(metric), digits))
    return [*cells, theirs["label"]] if labelled else cells


def claims_table(results: Mapping[str, Any]) -> Table:
    """Every claim: the published difference, the measured one, and the verdict."""
    body = []
    for one in results["findings"]:
        digits = DIGITS.get(one["metric"], 4) + 1  # differences are small
        published = f"{one['published']:+.{digits}f}" if one["published"] is not None else _sign(one["published_sign"])
        where = f"{one['scenario']}: " if one["scenario"] else ""
        name = f"{one['a']} - {one['b']}"
        if one.get("b_scenario"):
            name, where = f"{one['a']}: {one['scenario']} - {one['b_scenario']}", ""
        verdict = one["verdict"] + (f": {one['why']}" if one["why"] else "")
        body.append([f"{where}{name}", TITLES.get(one["metric"], one["metric"]), published,
                     tables.interval(one["difference"], digits, True), verdict, one["size"]])  # fmt: skip
    return "Published orders", ["difference", "metric", "published", "measured", "verdict", "size"], body


def _sign(sign: int) -> str:
    return "more" if sign > 0 else "less"


def verdict_lines(results: Mapping[str, Any]) -> list[str]:
    """A sentence for each scenario and metric."""
    if not results["verdicts"]:
        return [f"Verdict: {CANNOT_BE_SAID} (nothing published to compare with)."]
    lines = []
    for one in results["verdicts"]:
        of = f", {one['scenario']}" if one["scenario"] else ""
        lines.append(f"{TITLES.get(one['metric'], one['metric'])}{of}: {one['verdict']}.")
    return lines


def protocol_line(results: Mapping[str, Any]) -> str:
    """On which data, with which software, on which machine."""
    suites = ", ".join(
        f"{one['name']} ({one['episodes']} episodes{_changed(one['env_kwargs'])}, digest {one['digest']})"
        for one in results["suites"].values()
    )
    machine, software = results["machine"], results["software"]
    return (
        f"Suites: {suites}. Protocol {results['protocol']['name']} {results['protocol']['version']}, "
        f"{next(iter(results['suites'].values()))['env_id']}, videoinpaint {software['videoinpaint']}, torch "
        f"{software['torch']}, {results['device']} ({machine['processor']}, {machine['cores']} cores, "
        f"{machine['threads']} threads, load {machine['load']}), {results['precision']['used']}."
    )


def _changed(kwargs: Mapping[str, Any]) -> str:
    """Where the suite's own size was changed, to which."""
    sides = [f"{name} {kwargs[name]}" for name in ("num_frames", "height", "width") if name in kwargs]
    return f", with {', '.join(sides)} instead of its own, so other pixels" if sides else ""


def show(results: Mapping[str, Any]) -> None:
    """Print tables and verdicts."""
    for scenario in scenarios(results):
        means = [mean for row in results["scenarios"].get(scenario, {}).values() for mean in row["means"].values()]
        told = f"means over clips, {tables.intervals(means)}; " if means else ""
        tables.show(*rows_table(results, scenario), f"{told}{results['about']['source']}")
    if results["findings"]:
        found = [one["difference"] for one in results["findings"] if one["difference"]]
        caption = f"paired differences, {tables.intervals(found)}; the verdicts follow by rule" if found else ""
        tables.show(*claims_table(results), caption)
    for line in [*verdict_lines(results), *absent_lines(results), protocol_line(results)]:
        print(line)


def scenarios(results: Mapping[str, Any]) -> list[str]:
    """Those that were published, then others."""
    return list(dict.fromkeys([*(one["scenario"] for one in results["printed"]), *results["scenarios"]]))


def absent_lines(results: Mapping[str, Any]) -> list[str]:
    """Why rows and metrics were not measured, and which rows mean nothing."""
    lines = [f"Not measured: {row}: {why}" for row, why in results["absent"].items()]
    lines += [f"Not measured: {TITLES.get(one, one)}: {why}" for one, why in results["unmeasured"].items()]
    untrained = ", ".join(results["random_weights"])
    return [*lines, *([f"Untrained networks, whose repairs mean nothing: {untrained}"] if untrained else [])]


def stem(folder: Path, name: str, episodes: int) -> str:
    """What the files of an experiment are called: its name, unless those of more episodes are there and stay."""
    try:
        there = read_json(folder / f"{name}.json", "the results of an experiment")["settings"]["episodes"]
        return f"{name}-first-{episodes}" if there > episodes else name
    except (InputError, KeyError, TypeError):  # none yet, or damaged: these take its place
        return name


def write(results: Mapping[str, Any], folder: Path, name: str) -> list[Path]:
    """Write NAME.json (everything), NAME.csv (every mean with its interval and the published number) and NAME.md."""
    return [
        write_json(folder / f"{name}.json", results),
        tables.write_table(folder / f"{name}.csv", *numbers(results)),
        write_text(folder / f"{name}.md", markdown(results)),
    ]


def numbers(results: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """A line for each scenario, row and metric."""
    columns = ["scenario", "row", "metric", "mean", "low", "high", "clips", "published", "published_as"]
    body: list[list[Any]] = []
    for scenario in scenarios(results):
        rows = results["scenarios"].get(scenario, {})
        printed = [one for one in results["printed"] if one["scenario"] == scenario]
        for name, row in rows.items():
            theirs: Mapping[str, Any] = next((one for one in printed if one["row"] == name), NOT_PRINTED)
            for metric, mean in row["means"].items():
                body.append([scenario, name, metric, mean["mean"], mean["low"], mean["high"], len(row["clips"]),
                             theirs["values"].get(metric, ""), theirs["label"]])  # fmt: skip
        for one in printed:
            if one["row"] not in rows:
                body += [[scenario, "", metric, "", "", "", 0, value, one["label"]]
                         for metric, value in one["values"].items()]  # fmt: skip
    return columns, body


def markdown(results: Mapping[str, Any]) -> str:
    """The whole report as a page."""
    about = results["about"]
    parts = [f"# {about['source']}: {about['title']}"]
    for scenario in scenarios(results):
        title, columns, body = rows_table(results, scenario)
        parts += [f"## {title[0].upper()}{title[1:]}", tables.markdown(columns, body)]
    if results["findings"]:
        title, columns, body = claims_table(results)
        parts += [f"## {title}", tables.markdown(columns, body)]
    parts.append("\n".join(f"- {line}" for line in verdict_lines(results)))
    parts += absent_lines(results)
    parts.append(f"Where this differs from the publication: {about['differences']}; {EVERYWHERE}.")
    parts += [protocol_line(results), f"Command: `{results['command']}`"]
    return "\n\n".join(part.strip() for part in parts) + "\n"
