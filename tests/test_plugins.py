"""Errors inside parts of somebody else's: told as that part's, with the place in its author's file."""

from __future__ import annotations

import linecache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from videoinpaint.agents import evaluate
from videoinpaint.cli import main
from videoinpaint.clips import Clip, MixedMasks, OneShotClips
from videoinpaint.clips.sources.several import SeveralClips
from videoinpaint.detectors.none import WholeHoleDetector
from videoinpaint.envs import VideoInpaintEnv, VideoInpaintOneShotEnv
from videoinpaint.errors import InputError, PluginError
from videoinpaint.inpainters.telea import TeleaInpainter
from videoinpaint.plugins import told_as

SIZE: dict[str, Any] = {"num_frames": 3, "height": 48, "width": 64, "device": "cpu", "detector": "none"}

PARTS = """
import torch
from videoinpaint.clips import Studio, SquareMasks
from videoinpaint.detectors.none import WholeHoleDetector
from videoinpaint.inpainters.propagators.common import HeldPropagator
from videoinpaint.inpainters.telea import TeleaInpainter

def deeper():
    torch.zeros(1).view(7)  # here

class Begin(TeleaInpainter):
    name = "mine"
    def begin(self, frames, masks): deeper()

class Refine(TeleaInpainter):
    name = "mine"
    @torch.no_grad()
    def refine(self, *given): deeper()

class Detect(WholeHoleDetector):
    name = "mine"
    def detect(self, repaired, masks): deeper()

class Sample(Studio):
    def __init__(self): super().__init__(); self.name = "mine"
    def sample(self, *given): deeper()

class Load(Sample):
    def sample(self, rng, *size): return Studio.sample(self, rng, *size)
    def load(self, *given): deeper()

class Holes(SquareMasks):
    def __init__(self): super().__init__(); self.name = "mine"
    def sample(self, rng, clip): deeper()

class Start(HeldPropagator):
    name = "mine"
    def start(self, frames, first): deeper()

class Masks(HeldPropagator):
    name = "mine"
    def start(self, frames, first): return self
    def parameters(self): return []
    def masks(self): deeper()

class Act:
    name = "mine"
    def act(self, observation): deeper()

class ByCell(Act):
    def act_by_cell(self, observation, rows, columns): deeper()

class Reset(Act):
    def reset(self): deeper()
"""
LINE = PARTS.splitlines().index("    torch.zeros(1).view(7)  # here") + 1


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of parts that fail, in the folder where the process runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = f"failing_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(PARTS, encoding="utf-8")
    linecache.checkcache()
    return module


def play(**kwargs: Any) -> None:
    one_shot = "propagator" in kwargs
    env = (VideoInpaintOneShotEnv if one_shot else VideoInpaintEnv)(**SIZE | {"inpainter": "telea"} | kwargs)
    env.reset(seed=0)
    env.step(env.action_space.sample())


ROLES = [
    ("inpainter", "Begin", "begin", {}),
    ("inpainter", "Begin", "begin", {"fusion": "boundary"}),
    ("inpainter", "Refine", "refine", {}),
    ("inpainter", "Refine", "refine", {"fusion": "boundary"}),
    ("detector", "Detect", "detect", {}),
    ("clips", "Sample", "sample", {}),
    ("masks", "Holes", "sample", {}),
    ("propagator", "Start", "start", {}),
    ("propagator", "Masks", "masks", {}),
]
KINDS = {"clips": "clip source", "masks": "mask source"}


@pytest.mark.parametrize(("role", "part", "method", "others"), ROLES)
def test_an_error_inside_a_method_names_part_method_and_place(
    parts: str, role: str, part: str, method: str, others: dict[str, Any]
) -> None:
    with pytest.raises(PluginError) as told:
        play(**{role: f"{parts}:{part}"}, **others)
    assert str(told.value).startswith(f"{KINDS.get(role, role)} 'mine': {method} raised RuntimeError: shape '[7]'")
    assert str(told.value).endswith(f"({parts}.py:{LINE})"), "the innermost line of the author's, not torch's"
    assert isinstance(told.value.__cause__, RuntimeError), "whose traceback the author sees"


@pytest.mark.parametrize(("policy", "method"), [("Act", "act"), ("ByCell", "act_by_cell"), ("Reset", "reset")])
def test_an_error_inside_a_policy_names_it(parts: str, policy: str, method: str) -> None:
    kwargs = SIZE | {"inpainter": "compact", "weights": "random"}
    kwargs |= {"action_grid": (2, 2)} if policy == "ByCell" else {}
    with pytest.raises(PluginError, match=rf"^policy 'mine': {method} raised RuntimeError: .*{parts}\.py:{LINE}\)$"):
        evaluate(f"{parts}:{policy}", kwargs, range(2))


class Boom:
    name = "mine"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def sample(self, *given: Any) -> Any:
        raise self.error

    def names(self) -> list[str]:
        raise self.error

    def load(self, *given: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("method", ["sample", "names", "load"])
def test_sources_within_sources_are_named_themselves(method: str) -> None:
    arguments = {"sample": (np.random.default_rng(0), 3, 48, 64), "names": (), "load": ("a@000001", 3, 48, 64)}
    for around in (SeveralClips([Boom(KeyError("x"))]), OneShotClips(Boom(KeyError("x")))):
        with pytest.raises(PluginError, match=f"^clip source 'mine': {method} raised KeyError: 'x'"):
            getattr(around, method)(*arguments[method])
    clip = Clip(np.zeros((3, 48, 64, 3), np.uint8), "black")
    with pytest.raises(PluginError, match=r"^mask source 'mine': sample raised KeyError: 'x'"):
        MixedMasks([Boom(KeyError("x"))]).sample(np.random.default_rng(0), clip)


@pytest.mark.parametrize("error", [InputError("too short"), KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_what_is_no_mistake_of_the_part_passes_unchanged(error: BaseException) -> None:
    with pytest.raises(type(error)) as told:
        play(clips=Boom(error))
    assert told.value is error


def test_a_mistake_of_our_own_part_keeps_its_type_and_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    for part, method, role in ((TeleaInpainter, "refine", "inpainter"), (WholeHoleDetector, "detect", "detector")):
        with monkeypatch.context() as patch:
            patch.setattr(part, method, lambda *given: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                play(**{role: part()})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError(), "raised ZeroDivisionError$"),
        (ValueError("two\nlines"), "raised ValueError: two lines$"),
        (ValueError(torch.zeros(400, 400).tolist()), r"raised ValueError: \[\[0.0, .{200,300}\.\.\.$"),
    ],
)
def test_what_was_raised_is_told_on_one_short_line(error: Exception, said: str) -> None:
    with pytest.raises(PluginError, match=said), told_as("detector", ModuleType("away"), "detect"):
        raise error


COMMANDS = [
    ("evaluate --policies default --inpainter {}:Refine --masks object", "inpainter 'mine': refine raised"),
    ("evaluate --policies {}:Act --inpainter telea --masks object", "policy 'mine': act raised"),
    ("evaluate --policies default --inpainter telea --clips {}:Sample", "clip source 'mine': sample raised"),
    ("evaluate --policies default --inpainter telea --masks {}:Holes", "mask source 'mine': sample raised"),
    ("train --inpainter {}:Refine --steps 8 --num-envs 2 --n-steps 4 --batch-size 8 --output t", "inpainter 'mine'"),
    ("bank build b --inpainter {}:Begin --episodes 2", "inpainter 'mine': begin raised"),
    ("clips {}:Load --preview sheet.png", "clip source 'mine': load raised"),
]


@pytest.mark.parametrize(("command", "said"), COMMANDS)
def test_a_command_tells_it_on_one_line(
    parts: str, command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command.format(parts).split()
    small = ["--num-frames", "3", "--height", "48", "--width", "64"]
    detector = [] if words[0] == "clips" else ["--detector", "none"]
    episodes = ["--episodes", "2"] if words[0] == "evaluate" else []
    assert main([*words, *small, *detector, *episodes]) == 2
    said_last = capsys.readouterr().err.strip().splitlines()[-1]
    assert said_last.startswith(f"error: {said}")
    assert said_last.endswith(f"({parts}.py:{LINE})")
    assert "Traceback" not in said_last
