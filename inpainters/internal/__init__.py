"""Internal video inpainting (IIVI, Ouyang, Wang and Chen, ICCV 2021): a network trained on the test clip alone."""

from videoinpaint.inpainters.internal.inpainter import InternalInpainter
from videoinpaint.inpainters.internal.schedule import Budget, train
from videoinpaint.inpainters.internal.trainer import PAPER, Internal, Trainer

__all__ = ["PAPER", "Budget", "Internal", "InternalInpainter", "Trainer", "train"]
