"""videoinpaint.agents."""
