"""What parts may have besides is told, and its absence means something."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

from videoinpaint import protocols
from videoinpaint.controls import DEFAULT
from videoinpaint.protocols import optional, own_fusion_of


def test_everything_optional_is_told_and_can_be_imported():
    own = [name for name, found in vars(optional).items() if inspect.getmodule(found) is optional]
    assert "Compilable" in own
    assert [name for name in own if name not in protocols.__all__] == []
    assert protocols.__doc__ is not None
    assert [name for name in own if name[0].isupper() and f"`{name}`" not in protocols.__doc__] == []


def test_a_part_without_a_fusion_of_its_own_stands_at_the_default():
    assert own_fusion_of(SimpleNamespace(own_fusion=0.5)) == 0.5
    assert own_fusion_of(SimpleNamespace()) == DEFAULT.fusion
