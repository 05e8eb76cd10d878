"""The default inpainter: flow propagation refined by a small nested-head transformer."""

from videoinpaint.inpainters.compact.inpainter import CompactInpainter, SecondCompactInpainter

__all__ = ["CompactInpainter", "SecondCompactInpainter"]
