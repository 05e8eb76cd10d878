"""Clips and masks: sources of video to repair and of holes to repair in it."""

from videoinpaint.clips.images import resize_frames, resize_masks
from videoinpaint.clips.make import make_clips, make_masks
from videoinpaint.clips.masks import MixedMasks, ObjectMasks, SquareMasks, StationaryMasks, StudioMasks
from videoinpaint.clips.sources import SequenceSource, file_source
from videoinpaint.clips.studio import Studio
from videoinpaint.clips.studio_config import SUITES, StudioConfig
from videoinpaint.clips.types import Clip, ClipSource, MaskSource

__all__ = [
    "SUITES",
    "Clip",
    "ClipSource",
    "MaskSource",
    "MixedMasks",
    "ObjectMasks",
    "SequenceSource",
    "SquareMasks",
    "StationaryMasks",
    "Studio",
    "StudioConfig",
    "StudioMasks",
    "file_source",
    "make_clips",
    "make_masks",
    "resize_frames",
    "resize_masks",
]
