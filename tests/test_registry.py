"""Names, plug-ins and what is said about names nobody knows."""

from functools import partial
from pathlib import Path

import gymnasium
import pytest

from videoinpaint.agents import make_policy
from videoinpaint.clips import make_clips, make_masks
from videoinpaint.detectors import DETECTORS, make_detector
from videoinpaint.errors import InputError, MissingWeightsError, PluginError, UnknownNameError
from videoinpaint.inpainters import INPAINTERS, make_inpainter
from videoinpaint.inpainters.propagators import make_propagator
from videoinpaint.naming import stable_name
from videoinpaint.protocols import is_untrained
from videoinpaint.registry import call_with_known, load_object

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
