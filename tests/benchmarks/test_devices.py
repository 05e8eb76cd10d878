"""Every command that computes with networks can be told where."""

from __future__ import annotations

import ast
import importlib
import inspect
import typing
from pathlib import Path

import pytest

import videoinpaint.benchmarks

WITHOUT_A_DEVICE = {
    "protocol.tracks": "copies and checks files",
    "protocol.freezing": "draws clips and writes digests",
    "networks.timed_player": "is a process of networks.against, which tells it where",
    "repair.cuts": "compares colours of neighbouring frames",
    "leaderboard.contestants": "calls trainings and evaluations, whose own flags say where",
    "report.pictures": "draws the pictures of the documentation",
}
"""Commands without a device, most of them because it would mean nothing."""
ROOT = Path(videoinpaint.benchmarks.__path__[0])


def mains() -> list[tuple[str, str]]:
    """Modules that are commands, with what their flags are: the first argument of what they call."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
                calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
                made = [
                    ast.unparse(one.args[0]) for one in calls if ast.unparse(one.func) in ("tables.main", "tyro.cli")
                ]
                found.append((".".join(path.relative_to(ROOT).with_suffix("").parts), *made[:1], *[""][len(made) :]))
    return found


@pytest.mark.parametrize(("module", "flags"), mains())
def test_every_benchmark_takes_a_device(module: str, flags: str) -> None:
    if module in WITHOUT_A_DEVICE:
        return
    kind = getattr(importlib.import_module(f"videoinpaint.benchmarks.{module}"), flags)
    assert "device" in inspect.signature(kind).parameters


@pytest.mark.parametrize("command", ["pretrain", "bench"])
def test_trainings_of_networks_and_tables_take_a_device(command: str) -> None:
    kinds = [importlib.import_module(f"videoinpaint.cli.{command}").COMMAND]
    while any(typing.get_args(kind) for kind in kinds):
        kinds = [one for kind in kinds for one in (typing.get_args(kind) or (kind,)) if inspect.isclass(one) or
                 typing.get_args(one)]  # fmt: skip
    assert kinds
    assert all("device" in inspect.signature(kind).parameters for kind in kinds)


def test_the_list_of_exceptions_is_of_commands() -> None:
    assert set(WITHOUT_A_DEVICE) <= {name for name, _ in mains()}
