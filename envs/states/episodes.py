"""Which clip and which hole an episode is about: drawn from a seed, or named or given by the caller."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from gymnasium.utils import seeding
from numpy.typing import NDArray

from videoinpaint.checks import shown
from videoinpaint.clips import Clip, ClipSource, MaskSource, make_masks
from videoinpaint.clips.asking import draw_clip, draw_holes, load_clip
from videoinpaint.clips.validate import check_length, check_mask_length, check_masks
from videoinpaint.envs.states.packing import Packed
from videoinpaint.errors import InputError
from videoinpaint.memory import apart
from videoinpaint.naming import stable_name
from videoinpaint.protocols import State

OPTIONS = ("clip", "mask")
_SEEDS = 2**31 - 1

TRAINING_SEEDS = 1_000_000_000
"""Training draws its first episodes from here on, and banks hold them, so that small seeds are free for evaluation."""


@dataclass(frozen=True)
class Episode:
    """What an episode is about.

    Attributes:
        frames: the reference, uint8 ``(T, H, W, 3)``.
        holes: M0, uint8 ``(T, H, W)`` in {0, 1}, 1 = missing; one-shot: the target's true masks.
        clip: the clip's name.
        mask: the mask source's name; one-shot: the propagator's.
        seed: ``reset(seed=seed)`` begins this very episode (with the same options, if there were any).
        observed: one-shot: what the camera saw, the target included, uint8 ``(T, H, W, 3)``.
        begun: gives the state in which it begins, where that need not be computed any more.
        packed: that state, where it is there in few bytes.
        seeded: whether its seed alone gives it again, without options.
    """

    frames: NDArray[np.uint8]
    holes: NDArray[np.uint8]
    clip: str
    mask: str
    seed: int
    observed: NDArray[np.uint8] | None = None
    begun: Callable[[], State] | None = field(default=None, compare=False, repr=False)
    packed: Packed | None = field(default=None, compare=False, repr=False)
    seeded: bool = field(default=False, compare=False, repr=False)

    def tensors(self) -> State:
        """``frames``, ``holes`` and, one-shot, ``observed`` as tensors that share their memory."""
        return {name: torch.from_numpy(array) for name, array in self._arrays().items()}

    def _arrays(self) -> dict[str, NDArray[np.uint8]]:
        arrays = {"frames": self.frames, "holes": self.holes, "observed": self.observed}
        return {name: array for name, array in arrays.items() if array is not None}

    def digest(self) -> str:
        """Of its clip and hole."""
        found = hashlib.sha256()
        for name, tensor in self.tensors().items():
            found.update(f"{name}{tuple(tensor.shape)}".encode())
            found.update(np.ascontiguousarray(tensor.numpy()).data)
        return found.hexdigest()

    def _kept(self, seeded: bool) -> Episode:
        """With arrays of its own, which stay as long as it does."""
        own = apart(self._arrays())
        return replace(self, frames=own["frames"], holes=own["holes"], observed=own.get("observed"), seeded=seeded)

    def labels(self) -> dict[str, Any]:
        """What `info` says about the episode."""
        return {"clip": self.clip, "mask": self.mask, "seed": self.seed}


@contextmanager
def rewound(generators: Iterable[np.random.Generator]) -> Iterator[None]:
    """Where the block fails, the generators stand where they stood before it."""
    before = [(generator, generator.bit_generator.state) for generator in generators]
    try:
        yield
    except BaseException:
        for generator, state in before:
            generator.bit_generator.state = state
        raise


def check_options(options: Any, *others: str) -> dict[str, Any]:
    """The options of a reset, new.

    Raises:
        InputError: they are no dict, or one of them is unknown.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InputError(f"the options of a reset are a dict, got {shown(options)}")
    if unknown := set(options or {}) - {*OPTIONS, *others}:
        told = " and ".join(map(repr, OPTIONS))
        raise InputError(f"unknown reset options {', '.join(sorted(map(shown, unknown)))}: use {told}")
    return dict(options or {})


@dataclass(frozen=True)
class EpisodeSource:
    """Draws episodes of one size.

    Args:
        clips: where clips come from.
        masks: where holes come from.
        shape: (T, H, W) of every episode.
        propagator: one-shot: the name of what follows the target; its masks are `mask`'s in place of `masks`'.
    """

    clips: ClipSource
    masks: MaskSource
    shape: tuple[int, int, int]
    propagator: str | None = None

    def __post_init__(self) -> None:
        """Raises InputError for what is no source, or if a clip or a mask is known to be too short for an episode."""
        for kind, source in (("clip", self.clips), ("mask", self.masks)):
            if not callable(getattr(source, "sample", None)) or not isinstance(getattr(source, "name", None), str):
                raise InputError(f"{shown(source)} is no {kind} source: it needs a name and a method sample")
        check_length(self.clips, self.shape[0])
        if self.propagator is None:
            check_mask_length(self.masks, self.clips, self.shape[0])

    @staticmethod
    def seed(rng: np.random.Generator, seed: int | None) -> int:
        """The seed of the next episode: the one asked for, or one that `rng` gives."""
        return int(rng.integers(_SEEDS)) if seed is None else int(seed)

    def draw(self, rng: np.random.Generator, seed: int | None, options: dict[str, Any] | None) -> Episode:
        """The next episode.

        Args:
            rng: gives the episode's seed where none is asked for; untouched otherwise.
            seed: the episode's own seed. Everything random about the episode follows from it.
            options: ``{"clip": ..., "mask": ...}``, both optional: a name from the source, or an array.

        Raises:
            InputError: an option is unknown, or its array is unusable.
            UnknownNameError: a source does not know the name.
        """
        options = check_options(options)
        seed = self.seed(rng, seed)
        own, _ = seeding.np_random(seed)
        clip = self._clip(own, options.get("clip"))
        if self.propagator is not None:
            return self._one_shot(clip, options, seed)._kept(seeded=not options)
        holes, mask = self._holes(own, clip, options.get("mask"))
        return Episode(clip.frames, holes, str(clip.name), mask, seed)._kept(seeded=not options)

    def _clip(self, rng: np.random.Generator, option: Any) -> Clip:
        if option is None:
            clip = draw_clip(self.clips, rng, *self.shape)
        elif isinstance(option, str):
            if not callable(getattr(self.clips, "load", None)):
                raise InputError(f"the clip source {stable_name(self.clips)!r} loads no clip by name: give a Clip")
            clip = load_clip(self.clips, option, *self.shape)
        elif isinstance(option, Clip):
            clip = option
        else:
            clip = Clip(_array(option, "clip"), "given")
        if not isinstance(clip, Clip) or not isinstance(clip.frames, np.ndarray):
            raise InputError(f"the clip source {stable_name(self.clips)!r} gives {shown(clip)}, not a Clip")
        if not isinstance(clip.name, str):
            raise InputError(f"a clip's name is a text, got {shown(clip.name)}: name it str(...)")
        if clip.frames.shape != (*self.shape, 3) or clip.frames.dtype != np.uint8:
            raise InputError(
                f"clip {clip.name!r} must be uint8 {(*self.shape, 3)} (T, H, W, 3), "
                f"got {clip.frames.dtype} {clip.frames.shape}: see videoinpaint.clips.resize_frames"
            )
        return clip

    def _one_shot(self, clip: Clip, options: dict[str, Any], seed: int) -> Episode:
        if "mask" in options:
            raise InputError("a one-shot episode takes no mask: give a clips.Clip with its own `objects` as 'clip'")
        if clip.observed is None or clip.objects is None:
            raise InputError(
                f"clip {clip.name!r} shows no target before a known background: use clips='one_shot', "
                "'one_shot:FOLDER', or a source whose clips have `observed` and `objects`"
            )
        if clip.observed.shape != clip.frames.shape or clip.observed.dtype != np.uint8:
            raise InputError(
                f"`observed` of clip {clip.name!r} must be uint8 {clip.frames.shape} as its frames, "
                f"got {clip.observed.dtype} {clip.observed.shape}"
            )
        objects = check_masks(clip.objects, *self.shape)
        if not objects[0].any():
            raise InputError(f"the target of clip {clip.name!r} is absent from the first frame: begin where it shows")
        if objects[0].all():
            raise InputError(f"the target of clip {clip.name!r} covers the whole first frame: nothing is known there")
        return Episode(clip.frames, objects, str(clip.name), str(self.propagator), seed, clip.observed)

    def _holes(self, rng: np.random.Generator, clip: Clip, option: Any) -> tuple[NDArray[np.uint8], str]:
        if option is None or isinstance(option, str):
            source = self.masks if option is None else make_masks(option)
            return check_masks(draw_holes(source, rng, clip), *self.shape), source.name
        return check_masks(_array(option, "mask"), *self.shape), "given"


def _array(value: Any, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"values of type {array.dtype}")
    except Exception as error:  # NumPy refuses each kind of nonsense in another way
        reason = " ".join(str(error).split())
        raise InputError(f"options[{what!r}] must be a name or an array, got {shown(value)} ({reason})") from error
    return array
