"""Names that are not known are refused, in a message that anybody can read."""

from __future__ import annotations

import difflib

import pytest

from videoinpaint.errors import InputError
from videoinpaint.naming import as_seen, check_names


def test_only_the_first_of_many_unknown_names_are_looked_for_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(difflib, "get_close_matches", lambda name, *_: looked.append(name) or [])
    with pytest.raises(InputError) as caught:
        check_names(["width", *(f"name{number}" for number in range(2005))], ["width"], "it", "field")
    assert looked == [f"name{number}" for number in range(5)]
    assert str(caught.value).endswith("'name4' and 2,000 more: use some of width")


def test_all_of_a_few_unknown_names_are_told() -> None:
    check_names(["width"], ["width", "height"], "it", "field")
    with pytest.raises(
        InputError, match=r"no field 'widht' \(did you mean 'width'\?\), 'x': use some of width, height$"
    ):
        check_names(["widht", "x"], ["width", "height"], "it", "field")


@pytest.mark.parametrize("name", ["e\u200d\u0301t\u00e9", "plain", " o\u200burs\u00a0"])
def test_a_name_as_it_is_seen_is_seen_so_again(name: str) -> None:
    assert as_seen(as_seen(name)) == as_seen(name)
    assert "\u200b" not in as_seen(name)
