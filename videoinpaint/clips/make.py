"""From a short text to a clip source or a mask source."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from videoinpaint.clips.masks import MixedMasks, ObjectMasks, SquareMasks, StationaryMasks, StudioMasks
from videoinpaint.clips.sources import file_source
from videoinpaint.clips.studio import Studio
from videoinpaint.clips.studio_config import StudioConfig
from videoinpaint.clips.types import ClipSource, MaskSource
from videoinpaint.errors import InputError, UnknownNameError

CLIP_KINDS = (
    "studio",
    "studio:easy|hard|fast|large",
    "a video file",
    "a folder of frames",
    "a folder of those",
    "module:attribute",
)
MASK_KINDS = ("stationary", "square", "object", "mixed", "studio:SUITE", "module:attribute")


def make_clips(spec: str | Path | StudioConfig | ClipSource) -> ClipSource:
    """A clip source by name or path.

    Args:
        spec: one of `CLIP_KINDS`; a `StudioConfig`; or a source, which is returned as it is.

    Raises:
        InputError: the path holds no usable clip.
        UnknownNameError: the text is neither a kind nor a path.
    """
    if isinstance(spec, StudioConfig):
        return Studio(spec)
    if isinstance(spec, Path):
        return file_source(spec)
    if not isinstance(spec, str):
        return spec
    if spec == "studio" or spec.startswith("studio:"):
        return Studio(spec.partition(":")[2] or "mixed")
    if Path(spec).expanduser().exists():
        return file_source(spec)
    return plugged_in("clip source", spec, CLIP_KINDS)


def make_masks(spec: str | Path | StudioConfig | MaskSource, dilate: int = 0) -> MaskSource:
    """A mask source by name or path.

    Args:
        spec: one of `MASK_KINDS`; a `StudioConfig`, whose holes are meant; or a source, which is returned as it is.
        dilate: pixels by which every hole grows.

    Raises:
        InputError: the path holds no usable masks.
        UnknownNameError: the text is neither a kind nor a path.
    """
    kinds: dict[str, Callable[[], MaskSource]] = {
        "stationary": lambda: StationaryMasks(dilate=dilate),
        "square": lambda: SquareMasks(dilate=dilate),
        "object": lambda: ObjectMasks(dilate=dilate),
        "mixed": lambda: MixedMasks([kinds[kind]() for kind in ("stationary", "square", "object")]),
    }
    if isinstance(spec, StudioConfig):
        return StudioMasks(spec, dilate=dilate)
    if not isinstance(spec, str):
        return spec  # type: ignore[return-value]
    if spec in kinds:
        return kinds[spec]()
    if spec == "studio" or spec.startswith("studio:"):
        return StudioMasks(spec.partition(":")[2] or "mixed", dilate=dilate)
    return plugged_in("mask source", spec, MASK_KINDS)


def plugged_in(what: str, spec: str, kinds: tuple[str, ...]) -> Any:
    """The object behind ``module:attribute``; a class or function is called without arguments.

    Raises:
        UnknownNameError: there is none; the message lists what would be accepted.
        InputError: the text looks like a path and nothing is there.
    """
    module, colon, attribute = spec.partition(":")
    if colon:
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise UnknownNameError(f"cannot load {what} {spec!r}: {error}; use {', '.join(kinds)}") from error
        return found() if (callable(found) and not hasattr(found, "sample")) or isinstance(found, type) else found
    if "/" in spec or "\\" in spec or "." in spec:
        raise InputError(f"no {what} at {spec}: nothing is there; use {', '.join(kinds)}")
    raise UnknownNameError(f"unknown {what} {spec!r}: use {', '.join(kinds)}")
