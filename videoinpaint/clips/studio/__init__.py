"""Synthetic scenes and holes, rendered from a seed."""

from videoinpaint.clips.studio.config import PHOTOGRAPHS, SUITES, StudioConfig
from videoinpaint.clips.studio.scenes import Studio

__all__ = ["PHOTOGRAPHS", "SUITES", "Studio", "StudioConfig"]
