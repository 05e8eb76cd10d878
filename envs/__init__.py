"""videoinpaint.envs."""
