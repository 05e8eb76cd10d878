"""FuseFormer (Liu et al., ICCV 2021): its generator."""

from videoinpaint.inpainters.published.fuseformer.network import FuseFormer

__all__ = ["FuseFormer"]
