"""Clips and masks: sources of video to repair and of holes to repair in it, and video files in and out."""

from videoinpaint.clips.files.images import read_image, resize_frames, resize_masks
from videoinpaint.clips.files.sequences import FrameSequence, ImageFolder
from videoinpaint.clips.files.video import VideoInfo, VideoReader, VideoWriter, probe, read_video, write_video
from videoinpaint.clips.make import CLIP_KINDS, MASK_KINDS, make_clips, make_masks
from videoinpaint.clips.masks.inaccurate import MASK_ERRORS, inaccurate
from videoinpaint.clips.masks.recorded import FileMasks, FirstFrameMasks
from videoinpaint.clips.masks.sequences import MaskSequence, open_masks, read_mask, read_masks
from videoinpaint.clips.masks.synthetic import MixedMasks, ObjectMasks, SquareMasks, StationaryMasks, StudioMasks
from videoinpaint.clips.sources.layouts import davis, youtube_vos
from videoinpaint.clips.sources.ovis import ovis
from videoinpaint.clips.sources.pasted import OneShotClips, SegmentedClips
from videoinpaint.clips.sources.sequences import SequenceSource, file_source, open_sequence
from videoinpaint.clips.studio.config import SUITES, StudioConfig
from videoinpaint.clips.studio.scenes import Studio
from videoinpaint.clips.types import Clip, ClipSource, MaskSource
from videoinpaint.clips.validate import check_frames, check_length, check_masks, check_pair, empty_frames

__all__ = [
    "CLIP_KINDS",
    "MASK_ERRORS",
    "MASK_KINDS",
    "SUITES",
    "Clip",
    "ClipSource",
    "FileMasks",
    "FirstFrameMasks",
    "FrameSequence",
    "ImageFolder",
    "MaskSequence",
    "MaskSource",
    "MixedMasks",
    "ObjectMasks",
    "OneShotClips",
    "SegmentedClips",
    "SequenceSource",
    "SquareMasks",
    "StationaryMasks",
    "Studio",
    "StudioConfig",
    "StudioMasks",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "check_frames",
    "check_length",
    "check_masks",
    "check_pair",
    "davis",
    "empty_frames",
    "file_source",
    "inaccurate",
    "make_clips",
    "make_masks",
    "open_masks",
    "open_sequence",
    "ovis",
    "probe",
    "read_image",
    "read_mask",
    "read_masks",
    "read_video",
    "resize_frames",
    "resize_masks",
    "write_video",
    "youtube_vos",
]
