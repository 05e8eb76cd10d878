"""The report is one self-contained page that shows what the results say."""

from __future__ import annotations

import base64
import io
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from videoinpaint.benchmarks.report import page
from videoinpaint.benchmarks.report.charts import bars_chart
from videoinpaint.benchmarks.report.page import Picture, render_report, write_report
from videoinpaint.errors import InputError


def interval(mean: float, reach: float = 0.1) -> dict[str, float]:
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def policy(name: str, mean: float, *, trained: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "trained": trained,
        "return": interval(mean),
        "difference": None if name == "random" else interval(mean - 2.0),
        "metrics": {"psnr_hole": interval(20 + mean), "lpips": interval(0.1 - mean / 100, 0.001)},
        "by_iteration": {"psnr_hole": [20.0, 20.5, 20 + mean], "lpips": [0.12, 0.11, 0.1]},
        "records": [],
    }


@pytest.fixture
def results() -> dict[str, Any]:
    return {
        "title": "A <small> run",
        "summary": "What was done.",
        "command": "videoinpaint demo --seed 3",
        "created": "2025-01-01 12:00",
        "baseline": "random",
        "versions": {"torch": "2.0"},
        "settings": {"clips": "studio"},
        "seeds": {"training": 3},
        "seconds": {"training": 12.0},
        "training": {
            "steps": 1024,
            "seconds": 12.0,
            "curve": [{"step": 64, "return": 1.0}, {"step": 128, "return": 2}],
        },
        "policies": [policy("random", 2.0), policy("ppo & co", 2.345, trained=True), policy("heads 4", 2.1)],
        "files": {"results.json": "the numbers"},
        "next_steps": [{"text": "Train longer.", "command": "videoinpaint train"}],
    }


class Page(HTMLParser):
    """Collects addresses, text and unclosed tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_page_needs_nothing_beside_it_and_is_well_formed(results: dict[str, Any]) -> None:
    text = render_report(results, [Picture(np.zeros((8, 16, 3), np.uint8), "before | after")])
    page = Page(text)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    assert not [word for word in ("url(", "<script", "@import") if word in text]


def test_every_image_decodes(results: dict[str, Any]) -> None:
    red = np.full((8, 16, 3), (255, 0, 0), np.uint8)
    page = Page(render_report(results, [Picture(red, "red")]))
    images = [Image.open(io.BytesIO(base64.b64decode(a.split(",")[1]))) for a in page.addresses if "base64" in a]
    # the picture, returns, differences, learning curve, two metrics that change over iterations
    assert len(images) == 6
    assert np.abs(np.asarray(images[0].convert("RGB")).astype(int) - red).max() < 4
    assert all(np.asarray(image).std() > 1 for image in images[1:])  # no plot is blank


def test_page_shows_the_numbers_and_names(results: dict[str, Any]) -> None:
    text = "".join(Page(render_report(results)).words)
    for shown in ("2.345", "22.34", "+0.345", "ppo & co", "videoinpaint demo --seed 3", "1,024", "A <small> run"):
        assert shown in text
    rows = re.findall(r"<tr.*?</tr>", render_report(results), re.S)[1:]
    assert [re.search(r"<td>(.*?)</td>", row)[1] for row in rows] == ["ppo &amp; co", "heads 4", "random"]  # type: ignore[index]


def test_optional_parts_may_be_absent(results: dict[str, Any]) -> None:
    least = {key: results[key] for key in ("title", "command", "created", "policies")}
    for entry in least["policies"]:
        entry.update(difference=None, by_iteration={}, metrics={})
    text = render_report(least)
    assert "Learning curve" not in text
    assert "What each refinement" not in text
    assert Page(text).open == []


def test_quality_and_computation_are_shown_where_measured(results: dict[str, Any]) -> None:
    for order, entry in enumerate(results["policies"]):
        entry.update(quality=interval(1.2, 0.01), quality_difference=None if order == 0 else interval(0.0123, 0.001))
        entry.update(gflops=interval(7.0 + order, 0.5), iterations=interval(3.0, 0.0))
    text = render_report(results)
    assert text.count("data:image/png") == 5 + 2
    assert all(shown in text for shown in ("+0.0123", "Quality", "GFLOPs", "Iterations"))


def test_intervals_without_ends_are_left_out(results: dict[str, Any]) -> None:
    for entry in results["policies"]:
        for key in ("return", "difference"):
            entry[key] = entry[key] and entry[key] | {"low": None, "high": None}
    text = render_report(results)
    assert "None" not in text
    assert "2.345" in text


def test_a_chart_says_intervals_where_there_are_some(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    drawn = page.bars_chart

    def bars_chart(policies: Any, key: str, title: str, **options: Any) -> bytes:
        titles.append(title)
        return drawn(policies, key, title, **options)

    monkeypatch.setattr(page, "bars_chart", bars_chart)
    render_report(results)
    for entry in results["policies"]:
        entry["return"] |= {"low": None, "high": None}
    render_report(results)
    assert titles == [
        f"Return per episode: mean, {told}" for told in ("95% intervals", "without intervals, which need 5 clips")
    ]


@pytest.mark.parametrize("key", ["title", "policies"])
def test_missing_results_are_named(results: dict[str, Any], key: str) -> None:
    del results[key]
    with pytest.raises(InputError, match=key):
        render_report(results)


def test_writing_replaces_and_leaves_no_draft(results: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(results, [], path)
    write_report(results | {"title": "Second"}, [], path)
    assert "Second" in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_failing_to_render_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_report({}, [], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_long_names_leave_room_for_the_plot():
    """A run's path as a policy's name once squeezed the axes to nothing (matplotlib then warns)."""
    entry = {"trained": True, "return": {"mean": 1.0, "low": 0.9, "high": 1.1}}
    policies = [entry | {"name": "/a/very/long/path" * 12 + "/run"}, entry | {"name": "random", "trained": False}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bars_chart(policies, "return", "Return").startswith(b"\x89PNG")
