"""DSTT (Liu et al., 2021): its generator."""

from videoinpaint.inpainters.dstt.network import DSTT

__all__ = ["DSTT"]
