"""Names, plug-ins and what is said about names nobody knows."""

import warnings
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from videoinpaint.agents import make_policy
from videoinpaint.clips import make_clips, make_masks
from videoinpaint.detectors import DETECTORS, make_detector
from videoinpaint.errors import InputError, InputWarning, MissingWeightsError, PluginError, UnknownNameError
from videoinpaint.inpainters import INPAINTERS, make_inpainter
from videoinpaint.inpainters.propagators import make_propagator
from videoinpaint.naming import stable_name
from videoinpaint.protocols import is_untrained, stream_of
from videoinpaint.registry import Registry, call_with_known, load_object

MAKERS = {
    "inpainter": make_inpainter,
    "detector": make_detector,
    "propagator": make_propagator,
    "policy": make_policy,
    "clip source": make_clips,
    "mask source": make_masks,
}


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Writes a module and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        name = f"plugin_{abs(hash(text))}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"compact, .*propagation, .*telea"):
        make_inpainter("no-such")
    with pytest.raises(UnknownNameError, match=r"compact, .*none"):
        make_detector("no-such")


def test_a_foreign_part_is_loaded_by_module_and_attribute():
    assert make_inpainter("videoinpaint.inpainters.telea:TeleaInpainter").name == "telea"


def test_a_foreign_part_that_does_not_load_is_named():
    with pytest.raises(UnknownNameError, match="no_such_module:Thing"):
        make_inpainter("no_such_module:Thing")


def test_a_part_is_taken_as_it_is():
    part = make_inpainter("telea")
    assert make_inpainter(part) is part


def test_plug_in_groups_are_the_documented_ones():
    assert INPAINTERS.group == "videoinpaint.inpainters"
    assert DETECTORS.group == "videoinpaint.detectors"


@pytest.mark.parametrize("kind", MAKERS)
def test_an_error_inside_a_factory_is_told_as_the_plug_ins(kind, plugin):
    spec = plugin(f"# {kind}\ndef build():\n    raise ZeroDivisionError('by nought')") + ":build"
    with pytest.raises(PluginError, match=f"the {kind} '{spec}' cannot be built: ZeroDivisionError: by nought") as told:
        MAKERS[kind](spec)
    assert isinstance(told.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_missing_module_and_a_missing_attribute_are_named(kind, plugin):
    with pytest.raises(UnknownNameError, match=f"cannot load {kind} 'no_such_module:Thing': No module named"):
        MAKERS[kind]("no_such_module:Thing")
    module = plugin(f"# {kind}")
    with pytest.raises(UnknownNameError, match=f"cannot load {kind} '{module}:Thing': .* has no attribute 'Thing'"):
        MAKERS[kind](f"{module}:Thing")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_module_that_fails_to_import_is_named(kind, plugin):
    module = plugin(f"# {kind}\nimport no_such_dependency")
    with pytest.raises(PluginError, match=f"cannot load {kind} '{module}:A': importing .* No module named 'no_such_d"):
        MAKERS[kind](f"{module}:A")


def test_errors_of_this_package_pass_unchanged(plugin):
    module = plugin(
        "from videoinpaint.errors import MissingWeightsError\ndef build():\n    raise MissingWeightsError('get them')"
    )
    with pytest.raises(MissingWeightsError, match=r"^get them$"):
        make_inpainter(f"{module}:build")


def test_a_factory_gets_only_what_it_takes(plugin):
    module = plugin(
        "from videoinpaint.detectors.none import WholeHoleDetector\n"
        "class Plain(WholeHoleDetector):\n    name = 'plain'\n"
        "class Placed(Plain):\n    def __init__(self, device): self.device = device\n"
        "part = Plain()\n"
    )
    assert make_detector(f"{module}:Plain").name == "plain"
    assert make_detector(f"{module}:Placed", device="cpu").device == "cpu"
    assert make_detector(f"{module}:part").name == "plain"
    with pytest.raises(InputError, match=f"the detector '{module}:Placed' takes no weights: leave weights out"):
        make_detector(f"{module}:Placed", weights="random")
    assert call_with_known(dict, seed=1) == {}  # a builtin that does not say what it takes gets nothing
    assert call_with_known(lambda **all_of_them: all_of_them, seed=1) == {"seed": 1}
    assert call_with_known(lambda seed=0, /, other=2: (seed, other), seed=1, other=3) == (0, 3)


@pytest.mark.parametrize("weights", ["nowhere.safetensors", "random"])
def test_parts_without_weights_refuse_them(weights):
    for name in ("telea", "propagation", "internal"):
        with pytest.raises(InputError, match=f"the inpainter '{name}' takes no weights"):
            make_inpainter(name, weights=weights)
    with pytest.raises(InputError, match="the detector 'none' takes no weights"):
        make_detector("none", weights=weights)
    with pytest.raises(InputError, match="the inpainter 'telea' is built already: give weights to its constructor"):
        make_inpainter(make_inpainter("telea"), weights=weights)
    with pytest.raises(InputError, match="the propagator 'held' takes no weights"):
        make_propagator("held", weights=weights)


def test_untrained_parts_say_so():
    assert is_untrained(make_inpainter("compact", weights="random"))
    assert is_untrained(make_detector("compact", weights="random"))
    assert not any(map(is_untrained, (make_inpainter("compact"), make_detector("compact"), make_inpainter("telea"))))


def test_infos_name_untrained_parts():
    env = gymnasium.make(
        "VideoInpaint-v0", num_frames=2, height=48, width=64, device="cpu", weights="random", detector_weights="random"
    )
    _, info = env.reset(seed=0)
    assert info["random_weights"] == "inpainter compact, detector compact"
    assert env.step(env.action_space.sample())[-1]["random_weights"] == info["random_weights"]


@pytest.mark.parametrize("name", [None, 3, "", "<Part object at 0x7f3a2c1d0>"])
def test_a_part_needs_a_name_that_lasts(name):
    part = make_detector("none")
    part.name = name
    with pytest.raises(InputError, match=r"the detector .*WholeHoleDetector' needs a name, a string that is the same"):
        make_detector(part)


def test_names_for_records_are_the_same_in_every_process():
    assert stable_name("telea") == "telea"
    assert stable_name(Path("a") / "b.mp4") == str(Path("a") / "b.mp4")
    assert stable_name(make_inpainter("telea")) == "telea"
    assert stable_name(object()) == "builtins:object"
    assert stable_name(make_inpainter) == stable_name(partial(make_inpainter, "telea"))
    assert stable_name(make_inpainter) == "videoinpaint.inpainters:make_inpainter"


@pytest.mark.parametrize("spec", ["", ":", "module", "module:", ":attribute", ".module:attribute"])
def test_what_is_no_module_and_attribute_is_told(spec):
    with pytest.raises(UnknownNameError, match="write 'module:attribute'"):
        load_object(spec)


PARTS = """
import torch

class Whole:
    name = "whole"
    def begin(self, frames, masks): ...
    def refine(self, state, repaired, masks, controls): ...
    def detect(self, repaired, masks): ...
    def start(self, frames, first): ...
    def act(self, observation): ...
    def sample(self, *arguments): ...
    controls = frozenset()
    min_size = (8, 8)

class Network(torch.nn.Module, Whole):
    def __init__(self):
        super().__init__()
    def forward(self): raise RuntimeError("nobody asked for this")

class Needy(Whole):
    def __init__(self, number): ...

def build(): return Whole()

network = Network()
"""


@pytest.mark.parametrize("kind", MAKERS)
def test_a_finished_part_may_be_callable(kind, plugin):
    module = plugin(PARTS)
    assert MAKERS[kind](f"{module}:network") is load_object(f"{module}:network")
    assert type(MAKERS[kind](f"{module}:Network")) is load_object(f"{module}:Network")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_class_or_function_given_as_an_object_is_called(kind, plugin):
    module = plugin(PARTS)
    whole = load_object(f"{module}:Whole")
    for given in (whole, load_object(f"{module}:build")):
        assert type(MAKERS[kind](given)) is whole
    with pytest.raises(PluginError, match=f"the {kind} '{module}:Needy' cannot be built: TypeError: .*number"):
        MAKERS[kind](load_object(f"{module}:Needy"))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_module_that_ends_the_process_is_named(kind, plugin):
    module = plugin(f"# {kind}\nimport sys\nsys.exit(3)")
    with pytest.raises(PluginError, match=f"cannot load {kind} '{module}:A': importing {module} fails: SystemExit: 3"):
        MAKERS[kind](f"{module}:A")


def test_of_several_parts_with_one_name_it_is_said_once_which_is_used(plugin, monkeypatch):
    module = plugin(PARTS)
    points = [EntryPoint(name, f"{module}:{part}", "videoinpaint.detectors") for name, part in (
        ("mine", "Network"), ("mine", "Whole"), ("none", "Whole"), ("own", "Whole"), ("own", "Whole"))]  # fmt: skip
    monkeypatch.setattr("videoinpaint.registry.entry_points", lambda group: points)
    names = Registry("detector", {"none": "videoinpaint.detectors.none:WholeHoleDetector"}, methods=("detect",))
    with pytest.warns(
        InputWarning, match=f"several parts answer to detector 'mine': '{module}:Network' is used, not '{module}:W"
    ):
        assert type(names.make("mine")).__name__ == "Network"
    with pytest.warns(InputWarning, match="'videoinpaint.detectors.none:WholeHoleDetector' is used, not"):
        assert type(names.make("none")).__name__ == "WholeHoleDetector"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names.make("mine"), names.make("none"), names.make("own")


def test_installed_plug_ins_are_listed_once_for_a_built_in_name_and_every_time_for_others(plugin, monkeypatch):
    module, listed, points = plugin(PARTS), [], []
    monkeypatch.setattr("videoinpaint.registry.entry_points", lambda group: listed.append(group) or points)
    names = Registry("detector", {"none": "videoinpaint.detectors.none:WholeHoleDetector"}, methods=("detect",))
    for _ in range(3):
        assert type(names.make("none")).__name__ == "WholeHoleDetector"
    assert listed == ["videoinpaint.detectors"]
    with pytest.raises(UnknownNameError):
        names.make("late")
    points.append(EntryPoint("late", f"{module}:Whole", "videoinpaint.detectors"))  # installed meanwhile
    assert type(names.make("late")).__name__ == "Whole"


def test_numbers_of_numpy_are_a_size():
    part = make_inpainter("telea")
    part.min_size = (np.int64(8), np.int64(8))
    assert make_inpainter(part) is part


@pytest.mark.parametrize("stream", [(4, 4), (0, 0), "ab", (4,), None, (4.0, 1.0), (4, -1)])
def test_windows_that_cannot_be_are_refused(stream):
    part = make_inpainter("telea")
    part.stream = stream
    with pytest.raises(InputError, match="the inpainter 'telea'"):
        stream_of(part, (24, 3))
    part.stream = (6, np.int64(2))
    assert stream_of(part, (24, 3)) == (6, 2)
