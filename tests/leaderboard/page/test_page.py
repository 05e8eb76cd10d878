"""The leaderboard's page as text: complete without a script, safe whatever a board says, the same bytes every time."""

from __future__ import annotations

import copy
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from videoinpaint.benchmarks.leaderboard.website.page import read_board, render, write_page
from videoinpaint.benchmarks.leaderboard.website.plots import Scale, minus, trajectories
from videoinpaint.cli import main
from videoinpaint.errors import InputError

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "docs" / "leaderboard"
VOID = ("meta", "link", "img", "br", "input")


class Page(HTMLParser):
    """Collects elements by tag, addresses and text; unclosed tags stay open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def text(board: dict[str, Any]) -> str:
    return render(board)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_well_formed_and_asks_nobody_for_anything(page: Page, text: str) -> None:
    assert page.open == []
    addresses = [attrs[key] for _, attrs in page.elements for key in ("src", "href") if key in attrs]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in text
    assert "@import" not in text


def test_links_within_the_page_lead_somewhere_and_no_address_is_given_twice(page: Page) -> None:
    names = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(names) == len(set(names))
    assert {attrs["href"][1:] for _, attrs in page.elements if attrs.get("href", "").startswith("#")} <= set(names)
    told = [word for _, attrs in page.elements for word in attrs.get("aria-labelledby", "").split()]
    assert set(told) <= set(names)


def test_texts_from_outside_stay_texts(board: dict[str, Any]) -> None:
    """Every text of a board in turn is an attack; the page never gets another script, style, address or handler."""
    attack = "</script></style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    clean = Page(render(board))
    wounded = copy.deepcopy(board)
    for entry in wounded["entries"]:
        entry.update(dict.fromkeys(("name", "authors", "licence", "method", "remarks"), attack + entry["name"]))
        entry.update(log=[attack], flags=[attack], contamination=attack)
        for episode in entry["episodes"]:
            episode["clip"] = attack
    for clip in wounded["clips"]:
        clip["clip"] = attack
        clip["pictures"] = {attack + name if name not in ("reference", "damaged") else name: uri
                            for name, uri in clip["pictures"].items()}  # fmt: skip
    wounded["suite"] = {key: attack if isinstance(value, str) else value for key, value in wounded["suite"].items()}
    wounded["software"], wounded["protocol"], wounded["created"] = {attack: attack}, {attack: attack}, attack
    found = Page(render(wounded))
    assert found.open == []
    for tag in ("script", "style", "img"):
        assert sum(t == tag for t, _ in found.elements) == sum(t == tag for t, _ in clean.elements)
    assert not [attrs for _, attrs in found.elements if any(key.startswith("on") for key in attrs)]
    assert not [attrs for _, attrs in found.elements if any(attack in attrs.get(key, "") for key in ("src", "style"))]
    assert attack in "".join(found.words)


def test_a_picture_that_is_an_address_is_refused(board: dict[str, Any], tmp_path: Path) -> None:
    wounded = copy.deepcopy(board)
    wounded["clips"][0]["pictures"]["damaged"] = "https://example.org/x.png"
    (tmp_path / "board.json").write_text(json.dumps(wounded))
    with pytest.raises(InputError, match="pictures"):
        read_board(tmp_path / "board.json")


def test_without_a_script_the_table_holds_every_number_and_the_parts_stand_apart(
    board: dict[str, Any], text: str
) -> None:
    table = text[text.index("<table id=") : text.index("</table>")]
    rows = re.findall(r'<tr data-group="(\w+)".*?</tr>', table, re.S)
    assert rows == ["ranked"] * 6 + ["unranked"] * 2 + ["reference"] * 6
    words = re.sub(r"<[^>]*>", " ", table)
    for entry in board["entries"]:
        assert f"{entry['score']['mean']:.4f}" in words
    assert re.findall(r"<b>(\S+)</b>", table) == ["1=", "1=", "3", "4", "5", "6"]
    assert table.count("contamination declared") == 1
    assert table.count("1 flag<") == 1


def test_the_same_board_gives_the_same_bytes(board: dict[str, Any], text: str) -> None:
    shuffled = json.loads(json.dumps(board, sort_keys=True))
    assert render(shuffled) == text


def test_clips_show_the_damaged_one_then_repairs_by_rank_then_the_original(text: str) -> None:
    figure = re.findall(r'<figure class="clip".*?</figure>', text, re.S)[0]
    alts = [alt.partition(",")[0] for alt in re.findall(r'alt="([^"]*)"', figure)]
    assert alts == ["Damaged clip", "Repair by ours: closed-loop PPO", "Repair by heads6then2", "Repair by heads4then2",
                    "Original clip"]  # fmt: skip


def test_trajectories_count_the_episodes_that_got_to_an_iteration(board: dict[str, Any]) -> None:
    entry = board["entries"][1]
    drawn, counts = trajectories(entry["episodes"])
    assert [one.name for one in drawn] == ["heads", "fusion", "alpha", "beta", "gamma"]
    assert counts == [16, 16, 12]
    heads = [[e["controls"][i]["heads"] for e in entry["episodes"] if len(e["controls"]) > i] for i in range(3)]
    assert [re.search(r": ([\d.]+)", dot[2])[1] for dot in drawn[0].dots] == [  # type: ignore[index]
        f"{sum(values) / len(values):.1f}" for values in heads
    ]
    assert trajectories([]) == ([], [])


def test_trajectories_of_cells_leave_out_what_nobody_refined_and_show_the_share_of_it() -> None:
    refined = dict.fromkeys(("heads", "fusion", "alpha", "beta", "gamma"), 0.5)
    first, rest = refined | {"heads": 8.0, "skipped": 0.25}, dict.fromkeys(refined) | {"skipped": 1.0}
    drawn, counts = trajectories([{"controls": [first, rest]}, {"controls": [first | {"heads": 4.0}, rest]}])
    assert counts == [2, 2]
    told = {one.name: [dot[2] for dot in one.dots] for one in drawn}
    assert list(told) == ["heads", "fusion", "alpha", "beta", "gamma", "skipped"]
    assert told["heads"] == ["iteration 1: 6.0 \u00b1 2.0"]
    assert told["skipped"] == ["iteration 1: 0.25 \u00b1 0.00", "iteration 2: 1.00 \u00b1 0.00"]
    drawn, counts = trajectories([{"controls": [rest]}])
    assert ([one.name for one in drawn], counts) == (["skipped"], [1])


def test_a_board_by_cell_says_so(board: dict[str, Any], text: str) -> None:
    told = render(board | {"suite": board["suite"] | {"cells": [4, 6], "skips": True}})
    assert "by cell of a 4\u00d76 grid, which may be skipped" in told
    assert "mean over the cells that were refined" in told
    assert "by cell" not in text
    assert re.findall("<th[^>]*>(Iterations|Passes)</th>", told)[:2] == ["Iterations"] * 2
    assert re.findall("<th[^>]*>(Iterations|Passes)</th>", text)[:2] == ["Passes"] * 2


def test_ticks_are_round_numbers_inside_of_the_axis() -> None:
    assert Scale(0.03, 0.23, 0, 100).ticks(5) == [(10.0, "0.05"), (35.0, "0.10"), (60.0, "0.15"), (85.0, "0.20")]
    assert [text for _, text in Scale(90, 2100, 0, 100, log=True).ticks(5)] == ["100", "200", "500", "1,000", "2,000"]
    assert [text for _, text in Scale(-1.2, 1.2, 0, 100).ticks(3)] == ["\u22121", "0", "1"]


def test_signs_are_those_of_typography_and_a_zero_has_none() -> None:
    assert [minus(text) for text in ("-0.0120", "+0.5", "-0.0000", "+0.00", "1,000")] == [
        "\u22120.0120", "+0.5", "0.0000", "0.00", "1,000",
    ]  # fmt: skip


def test_no_label_of_the_cost_plot_covers_another_or_a_point(text: str) -> None:
    for kind in ("broad", "narrow"):
        plot = re.search(rf'<svg class="plot {kind}".*?</svg>', text, re.S)[0]  # type: ignore[index]
        labels = re.findall(
            r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([^<]+)', plot.split('class="labels"')[1]
        )
        assert len(labels) >= 11
        boxes = []
        for x, y, anchor, name in labels:
            wide = 6.4 * len(html.unescape(name))
            left = float(x) - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
            boxes.append((left, float(y) - 11, left + wide, float(y) + 2))
        for i, a in enumerate(boxes):
            assert not [b for b in boxes[i + 1 :] if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]]
        points = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="5"', plot)]
        assert not [p for p in points for a in boxes if a[0] < p[0] < a[2] and a[1] < p[1] < a[3]]


def test_parts_that_were_not_measured_are_left_out(board: dict[str, Any]) -> None:
    least = copy.deepcopy(board) | {"clips": []}
    for entry in least["entries"]:
        entry.update(profile=[], cost={}, measures={}, episodes=[], difference=None, normalised=None, log=[])
        entry["score"] = {"mean": entry["score"]["mean"]}
        entry["probability_of_improvement"] = None
    text = render(least)
    assert Page(text).open == []
    for absent in ('id="clips"', 'id="cost"', 'id="profiles"', "Against best fixed", "PSNR", "Verification log"):
        assert absent not in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "videoinpaint-leaderboard-0"}, "format"),
        ({"entries": []}, "no entries"),
        ({"entries": [{"name": "half"}]}, "'half' lacks kind"),
        ({"clips": [{"pictures": []}]}, "pictures"),
        ({"score": []}, "cannot be drawn"),
        ({"suite": None}, "cannot be drawn"),
    ],
)
def test_what_is_no_board_is_one_line(
    board: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], told: str
) -> None:
    (tmp_path / "board.json").write_text(json.dumps(board | change))
    assert main(["leaderboard", "html", str(tmp_path / "board.json"), "--output", str(tmp_path / "page")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "page").exists()


def test_the_command_writes_the_page(board: dict[str, Any], text: str, tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text(json.dumps(board))
    assert main(["leaderboard", "html", str(tmp_path / "board.json"), "--output", str(tmp_path / "page")]) == 0
    assert (tmp_path / "page" / "index.html").read_text(encoding="utf-8") == text


def test_a_page_of_somebody_elses_is_not_replaced(board: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text(json.dumps(board))
    page = tmp_path / "index.html"
    page.write_text("<!doctype html><title>My thesis</title>")
    with pytest.raises(InputError, match=r"index\.html is another page.*name another folder"):
        write_page(tmp_path / "board.json", tmp_path)
    assert "My thesis" in page.read_text()
    page.unlink()
    for _ in range(2):  # its own is
        assert write_page(tmp_path / "board.json", tmp_path) == page


@pytest.mark.parametrize("place", [str(one.parent.relative_to(COMMITTED)) for one in COMMITTED.glob("**/board.json")])
def test_the_committed_page_is_what_its_board_gives(place: str, tmp_path: Path) -> None:
    """If this fails: make leaderboard-page."""
    made = write_page(COMMITTED / place / "board.json", tmp_path)
    assert made.read_bytes() == (COMMITTED / place / "index.html").read_bytes()
