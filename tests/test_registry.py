"""Names, plug-ins and what is said about names nobody knows."""

import pytest

from videoinpaint.detectors import DETECTORS, make_detector
from videoinpaint.errors import UnknownNameError
from videoinpaint.inpainters import INPAINTERS, make_inpainter


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
