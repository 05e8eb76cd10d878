"""Where holes come from: drawn, read from files, or made inaccurate on purpose."""

from videoinpaint.clips.masks.inaccurate import MASK_ERRORS, inaccurate
from videoinpaint.clips.masks.synthetic import MixedMasks, ObjectMasks, SquareMasks, StationaryMasks, StudioMasks

__all__ = ["MASK_ERRORS", "MixedMasks", "ObjectMasks", "SquareMasks", "StationaryMasks", "StudioMasks", "inaccurate"]
