"""Reading ahead and writing behind: the same items in the same order, bounded, and errors where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from videoinpaint.threads import HELD, ahead, behind


def test_items_come_in_order_from_one_other_thread() -> None:
    makers = set()

    def numbers() -> Iterator[int]:
        for i in range(50):
            makers.add(threading.get_ident())
            yield i

    assert list(ahead(numbers())) == list(range(50))
    assert len(makers) == 1
    assert threading.get_ident() not in makers


@pytest.mark.parametrize("items", [[], [None, 0], [()]])
def test_short_series_and_empty_items_are_series_and_items(items: list[object]) -> None:
    assert list(ahead(items)) == items


def test_no_more_items_are_fetched_than_may_wait() -> None:
    made: list[int] = []
    source = ahead((made.append(i) or i for i in range(100)), 3)  # type: ignore[func-returns-value]
    assert [next(source) for _ in range(5)] == list(range(5))
    source.close()  # type: ignore[attr-defined]
    assert 5 <= len(made) <= 5 + 3
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_an_error_is_raised_in_the_place_of_its_item() -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise OSError("no frame 3")

    source = ahead(broken())
    assert [next(source) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="no frame 3"):
        next(source)


def test_calls_are_made_in_order_and_all_of_them_before_the_block_ends() -> None:
    called: list[int] = []
    with behind(called.append) as later:
        for i in range(50):
            later(i)
    assert called == list(range(50))


def test_no_more_calls_wait_than_may() -> None:
    gate, called = threading.Event(), []

    def slow(item: int) -> None:
        gate.wait(30)
        called.append(item)

    with behind(slow, 2) as later:
        later(0)
        later(1)
        threading.Timer(0.2, gate.set).start()
        later(2)  # has to wait until the first is done
        assert called
    assert called == [0, 1, 2]


def test_what_goes_wrong_in_a_call_ends_the_block() -> None:
    def refuse(item: int) -> None:
        if item == 2:
            raise OSError("the disk is full")

    def call(items: range) -> None:
        with behind(refuse) as later:
            for i in items:
                later(i)

    for items in (range(10 * HELD), range(2, 3)):  # seen at a later item, and at the end
        with pytest.raises(OSError, match="the disk is full"):
            call(items)


def test_a_block_that_fails_drops_what_waits() -> None:
    begun, gate, called = threading.Event(), threading.Event(), []

    def slow(item: int) -> None:
        begun.set()
        gate.wait(30)
        called.append(item)

    def interrupted() -> None:
        with behind(slow) as later:
            for i in range(HELD):
                later(i)
            assert begun.wait(30)
            threading.Timer(0.2, gate.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert called == [0]  # which had begun
