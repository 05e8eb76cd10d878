"""DSTT (Liu et al., 2021): its generator."""

from videoinpaint.inpainters.published.dstt.network import DSTT

__all__ = ["DSTT"]
