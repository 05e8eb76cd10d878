"""videoinpaint.data."""
