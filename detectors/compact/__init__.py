"""videoinpaint.detectors.compact."""
