"""STTN (Zeng et al., ECCV 2020): its generator."""

from videoinpaint.inpainters.published.sttn.network import STTN

__all__ = ["STTN"]
