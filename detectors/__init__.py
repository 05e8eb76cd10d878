"""videoinpaint.detectors."""
