"""What :func:`check_clip_source` and :func:`check_mask_source` require of sources of clips and of holes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips import Clip, ClipSource, MaskSource
from videoinpaint.testing.rules import check_methods, check_name, clips, independent, require

_ARRAYS = ("frames", "objects", "observed")


def check_clip_source(source: ClipSource, *, num_frames: int = 5, height: int = 48, width: int = 64) -> None:
    """Check a source of clips against :class:`videoinpaint.clips.ClipSource`.

    Args:
        source: the source; its clips have at least `num_frames` frames.
        num_frames: frames of the clips that it is asked for, two at least.
        height: their height.
        width: their width.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    check_methods(source, "a clip source", ("sample", "names", "load"))
    check_name(source, "a clip source")
    size = (num_frames, height, width)

    def sample(seed: int = 0) -> Clip:
        clip = source.sample(np.random.default_rng(seed), *size)
        _check_clip(clip, size, "sample")
        return clip

    _check_repeats(sample, "sample", "the generator that it is given")
    names = source.names()
    texts = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
    require(texts, f"names returns a list of texts, one at least, got {type(names).__name__}")
    require(len(set(names)) == len(names), "names has no name twice")
    require(source.names() == names, "names are the same, and in the same order, whenever they are asked for")

    def load(name: str = names[0], start: int = 0) -> Clip:
        clip = source.load(name, num_frames - start, height, width, start)
        _check_clip(clip, (num_frames - start, height, width), "load")
        return clip

    _check_repeats(load, "load", "its name alone")
    for name in names[:2]:
        got = load(name).name
        require(got == name, f"load gives the clip of the name that is asked for, {name!r}, got {got!r}")
    later = load(start=1)
    require(later.start == 1, f"Clip.start is the frame at which the window begins, 1, got {later.start!r}")
    same = np.array_equal(later.frames, load().frames[1:])
    require(same, "load with start=1 gives the clip's frames from the second on")


def check_mask_source(source: MaskSource, *, num_frames: int = 5, height: int = 48, width: int = 64) -> None:
    """Check a source of holes against :class:`videoinpaint.clips.MaskSource`.

    Args:
        source: the source.
        num_frames: frames of the clip that it is given, which has `objects`, too.
        height: its height.
        width: its width.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    check_methods(source, "a mask source", ("sample",))
    check_name(source, "a mask source")
    frames, holes = (tensor.numpy()[1] for tensor in clips(num_frames, height, width, "cpu"))
    shown = np.ascontiguousarray((frames.transpose(0, 2, 3, 1) * 255).astype(np.uint8))
    clip = Clip(shown, "checked", holes[:, 0].astype(np.uint8))

    def sample(seed: int = 0) -> NDArray[np.uint8]:
        before = _copied(clip)
        masks = source.sample(np.random.default_rng(seed), clip)
        require(_same(clip, before), "sample does not write into the clip that it is given")
        _check_array(masks, (num_frames, height, width), "what sample returns")
        require(bool((masks <= 1).all()), f"masks hold 0 and 1 (1 = missing), got values up to {masks.max()}")
        partial = masks.any((1, 2)) & ~masks.all((1, 2))
        require(bool(partial.all()), f"no frame's mask is all empty or all full, frame {np.argmin(partial)} is")
        return masks

    _check_repeats(sample, "sample", "the generator and the clip that it is given")


def _check_repeats(give: Callable[..., Any], method: str, what: str) -> None:
    """The same again, whatever the global generators hold, and never in an array that was given before."""
    first, again = independent(give, f"{method} depends on {what}, and on no other generator")
    require(_same(first, again), f"{method} depends on {what}, and on nothing else: the same again gives the same bits")
    kept = _copied(first)
    for array in _arrays(give()).values():
        if array.flags.writeable:
            array[...] = 7
    require(_same(first, kept), f"{method} gives new arrays: writing into one does not change those given before")


def _check_clip(clip: Any, size: tuple[int, int, int], method: str) -> None:
    require(isinstance(clip, Clip), f"{method} returns a Clip, got {type(clip).__name__}")
    require(isinstance(clip.name, str) and bool(clip.name), f"Clip.name is a text, got {clip.name!r}")
    _check_array(clip.frames, (*size, 3), "Clip.frames")
    if clip.objects is not None:
        _check_array(clip.objects, size, "Clip.objects")
        require(bool((clip.objects <= 1).all()), "Clip.objects holds 0 and 1")
    if clip.observed is not None:
        _check_array(clip.observed, (*size, 3), "Clip.observed")


def _check_array(value: Any, shape: tuple[int, ...], what: str) -> None:
    require(isinstance(value, np.ndarray), f"{what} is a NumPy array, got {type(value).__name__}")
    require(value.dtype == np.uint8, f"{what} is uint8, got {value.dtype}")
    require(value.shape == shape, f"{what} has shape {shape}, got {value.shape}")


def _arrays(given: Any) -> dict[str, NDArray[np.uint8]]:
    if isinstance(given, np.ndarray):
        return {"masks": given}
    return {name: getattr(given, name) for name in _ARRAYS if getattr(given, name) is not None}


def _copied(given: Any) -> Any:
    return (
        Clip(name=given.name, start=given.start, **{name: array.copy() for name, array in _arrays(given).items()})
        if isinstance(given, Clip)
        else given.copy()
    )


def _same(one: Any, other: Any) -> bool:
    arrays, others = _arrays(one), _arrays(other)
    alike = arrays.keys() == others.keys() and all(np.array_equal(arrays[name], others[name]) for name in arrays)
    return alike and getattr(one, "name", None) == getattr(other, "name", None)
