"""videoinpaint.inpainters."""
