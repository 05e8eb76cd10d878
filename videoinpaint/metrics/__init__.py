"""Metrics of repair, per frame and batched: fidelity, perception, motion, boundary."""

from videoinpaint.metrics.backbone import BACKBONES, Backbone, lpips, lpips_from_features, lpips_hole
from videoinpaint.metrics.boundary import edge_similarity, gms
from videoinpaint.metrics.quality import PSNR_CAP, psnr, psnr_hole, ssim, ssim65, ssim_hole
from videoinpaint.metrics.segmentation import contour_accuracy, j_and_f, region_similarity
from videoinpaint.metrics.temporal import warp_error

__all__ = [
    "BACKBONES",
    "PSNR_CAP",
    "Backbone",
    "contour_accuracy",
    "edge_similarity",
    "gms",
    "j_and_f",
    "lpips",
    "lpips_from_features",
    "lpips_hole",
    "psnr",
    "psnr_hole",
    "region_similarity",
    "ssim",
    "ssim65",
    "ssim_hole",
    "warp_error",
]
