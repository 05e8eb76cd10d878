"""videoinpaint.inpainters.compact."""
