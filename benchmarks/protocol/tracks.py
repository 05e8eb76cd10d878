"""Tracks: suites on real video that everybody can get, in its published layout, and that cannot be passed on.

A track is the clips of a split by their names, frames, a mask pairing and seeds. Digests do not ship with it: they are
computed when it is made, go into results, and two results with other digests cannot be compared.

    python -m videoinpaint.benchmarks.protocol.tracks --suite davis-2017-val-object-v1 --data ROOT --output davis.json

freezes a track, or any folder of your own under a name of your own, into a file that `videoinpaint evaluate --suite`
plays, and that says whether another copy has the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.flags import Measuring, VideoSize
from videoinpaint.benchmarks.protocol.freezing import report
from videoinpaint.benchmarks.protocol.frozen import (
    FrozenEpisode,
    FrozenSuite,
    episode_digest,
    episode_source,
    frozen_suite,
    suite_of_file,
    without_data,
    written,
)
from videoinpaint.clips import SequenceSource, make_clips
from videoinpaint.envs.ids import check_env
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.registration import DEFAULT_ID

CLIPS = {
    "davis-2017-val": "davis:{data}#val",
    "davis-2016-val": "davis-2016:{data}#val",
    "youtube-vos-valid": "youtube-vos:{data}#valid",
}
"""Data sets by the beginning of a track's name; ``{data}`` is where they are."""

MASKS = {"stationary": "stationary", "object": "annotated", "shuffled-object": "annotated:{clips}"}
"""Pairings: one still hole a clip; the clip's own annotated objects; those of another clip, drawn by the seed."""

VERSION = "v1"


@dataclass(frozen=True)
class Size:
    """What every clip of a track is cropped and scaled to.

    Attributes:
        num_frames: from a clip's first on; 0: all that it has.
        height, width: pixels.
    """

    num_frames: int = 24
    height: int = 240
    width: int = 432

    @classmethod
    def given(cls, num_frames: int | None, height: int | None, width: int | None) -> Size | None:
        """With the track's own where something is not given; None where nothing is."""
        given = {"num_frames": num_frames, "height": height, "width": width}
        told = {name: value for name, value in given.items() if value is not None}
        return cls(**told) if told else None


def track_names() -> list[str]:
    """Of all tracks."""
    return [f"{clips}-{masks}-{VERSION}" for clips in CLIPS for masks in MASKS]


def track(name: str, data: str, env_id: str, size: Size | None = None, masks: str | None = None) -> FrozenSuite:
    """A track out of the clips that are there: every pixel is read, and its digests are those of this copy.

    Args:
        name: one of :func:`track_names`, or any other, for clips of one's own.
        data: the folder of the data set, as it is published; for clips of one's own whatever `make_clips` reads.
        env_id: for which environment.
        size: of the clips.
        masks: of clips of one's own; tracks have theirs.

    Raises:
        InputError: no folder, masks for a track that has its own, a clip that is too short, objects that are not
            annotated.
        UnknownNameError: the environment is unknown, or the name is that of no track and its ending that of one.
    """
    if not data:
        raise InputError(f"track {name} is about clips that do not ship: name their folder, --data ROOT")
    kwargs = _sources(name, data, masks)
    size = size or Size()
    source = make_clips(kwargs["clips"])
    if not isinstance(source, SequenceSource):
        raise InputError(f"{data} holds no clips in files: a track lists clips by name")
    kwargs |= {"height": size.height, "width": size.width}
    kwargs |= {"num_frames": size.num_frames} if size.num_frames else {}
    check_env(env_id, kwargs)
    episodes = [
        FrozenEpisode(seed, clip, "", None if size.num_frames else source.length(clip))
        for seed, clip in enumerate(source.names())
    ]
    unfrozen = FrozenSuite(name, env_id, kwargs, tuple(episodes), by_name=True, data=data)
    _check_lengths(unfrozen)
    digests = [episode_digest(one) for one in unfrozen.drawn(unfrozen.seeds)]
    frozen = [FrozenEpisode(e.seed, e.clip, digest, e.num_frames) for e, digest in zip(episodes, digests)]
    return FrozenSuite(name, env_id, kwargs, tuple(frozen), by_name=True, data=data)


def open_suite(name: str, env_id: str, data: str = "", size: Size | None = None) -> FrozenSuite:
    """A suite as a command line names it.

    Args:
        name: of one that ships, of a track, or of a file that was frozen, which ends in ``.json``.
        env_id: for which environment.
        data: the folder of the clips of a track, or of a file.
        size: of a track's clips.

    Raises:
        InputError: see :func:`track` and :func:`suite_of_file`; a size for what is no track, a folder for what has its
            clips.
        UnknownNameError: there is no such suite, or none for this environment.
    """
    if name in track_names():
        return track(name, data, env_id, size)
    if size is not None:
        raise InputError(f"suite {name} says itself what size its clips have: leave sizes out")
    suite = suite_of_file(name, env_id, data) if name.endswith(".json") else frozen_suite(name, env_id)
    if data and without_data(suite.env_kwargs, data) == suite.env_kwargs:
        raise InputError(f"suite {name} says itself where its clips come from: leave --data out")
    return suite


def size_of(suite: FrozenSuite) -> Size | None:
    """What a track's clips were cropped and scaled to; None of other suites."""
    if suite.name not in track_names():
        return None
    kwargs = suite.env_kwargs
    return Size(kwargs.get("num_frames", 0), kwargs["height"], kwargs["width"])


def _sources(name: str, data: str, masks: str | None) -> dict[str, Any]:
    """Clips and masks of a track."""
    for prefix, spec in CLIPS.items():
        for ending, holes in MASKS.items():
            if name == f"{prefix}-{ending}-{VERSION}":
                if masks is not None:
                    raise InputError(f"track {name} has {ending} masks: leave --masks out, or give another name")
                clips = spec.format(data=data)
                return {"clips": clips, "masks": holes.format(clips=clips)}
        if name.startswith(prefix):
            raise UnknownNameError(f"no track {name!r}: use one of {', '.join(track_names())}")
    return {"clips": data, "masks": masks or "stationary"}


def _check_lengths(suite: FrozenSuite) -> None:
    """Raises InputError where a clip, or the clip that gives its masks, is too short, before any picture is read."""
    for one in suite.episodes:
        source = episode_source(suite.env_id, suite.kwargs(one))
        if one.num_frames is None:
            return  # the source has looked at every clip
        check = getattr(source.masks, "check_length", None)
        if check is not None:
            check(source.clips, one.num_frames)


@dataclass(frozen=True, kw_only=True)
class Freeze(VideoSize, Measuring):
    """What is frozen."""

    suite: str
    """A track, as davis-2017-val-object-v1, or a name of your own for the clips under --data."""
    data: str
    """The folder that holds the clips."""
    env_id: str = DEFAULT_ID
    """For which environment."""
    masks: str | None = None
    """Of clips of your own: their holes; stationary unless given."""
    num_frames: int = 24
    """Frames of each clip from its first on, 0 for all."""
    output: Path | None = None
    """Write the suite here, as JSON."""


def run(flags: Freeze) -> dict[str, Any]:
    """Freeze one track; see :func:`track`."""
    size = Size(flags.num_frames, flags.height, flags.width)
    made = track(flags.suite, flags.data, flags.env_id, size, flags.masks)
    return {"protocol": dict(PROTOCOL), "suites": {made.name: {made.env_id: written(made)}}}


if __name__ == "__main__":
    tables.main(Freeze, run, report, __doc__ or "")
