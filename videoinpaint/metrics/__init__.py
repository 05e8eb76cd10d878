"""videoinpaint.metrics."""
