"""Repairing videos of any length: with masks given, with the first frame's mask alone, and by internal learning."""

from videoinpaint.repair.front_door import inpaint
from videoinpaint.repair.given_masks import inpaint_stream
from videoinpaint.repair.one_mask import propagate_mask

__all__ = ["inpaint", "inpaint_stream", "propagate_mask"]
