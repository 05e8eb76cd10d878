"""The default detector: a judge of repairs that knows where the hole was (docs/models/detector-compact.md)."""

from videoinpaint.detectors.compact.detector import CompactDetector

__all__ = ["CompactDetector"]
