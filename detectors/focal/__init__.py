"""FOCAL (Wu, Chen and Zhou, 2023): contrastive forensic features, clustered on the fly (docs/models/focal.md)."""

from videoinpaint.detectors.focal.detector import FocalDetector, focal_hrnet

__all__ = ["FocalDetector", "focal_hrnet"]
