"""The default detector: contrastive pixel features, clustered on the fly (docs/models/detector-compact.md)."""

from videoinpaint.detectors.compact.detector import CompactDetector

__all__ = ["CompactDetector"]
