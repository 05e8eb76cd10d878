"""videoinpaint.clips."""
