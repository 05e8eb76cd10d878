"""videoinpaint.cli."""
