"""Published networks behind the inpainter protocol: what their adapters share."""

from videoinpaint.inpainters.published.adapter import PublishedInpainter

__all__ = ["PublishedInpainter"]
