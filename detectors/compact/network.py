"""A small network that looks at a repair and says where it is poor, and by how much in each channel.

It is told M0 (CLIP-RL, Section 3.1.1), so it need not find the repaired region, only judge it. FOCAL's clustering of
contrastive features, which this network once did at small size, ranked pixels no better than the estimate of the error
beside it (docs/models/detector-compact.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.metrics.quality import box_mean
from videoinpaint.motion.neighbourhoods import window_mean
from videoinpaint.resampling import enlarged

PLANES = 11
WIDTH, WIDE = 48, 64  # channels at a quarter and at an eighth of the resolution
REACH = 49  # pixels of the window in which the scene around a hole is summed up


class DetectorNetwork(nn.Module):
    """How poor every 4 x 4 block is, and per-channel error estimates.

    A wide branch at an eighth of the resolution sees far and, one frame each way, through time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(PLANES, 24, 3, stride=2, padding=1)
        self.down = nn.Conv2d(24, WIDTH, 3, stride=2, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in (1, 2))
        self.further = nn.Conv2d(WIDTH, WIDE, 3, stride=2, padding=1)
        self.context = nn.ModuleList(nn.Conv2d(WIDE, WIDE, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.time = nn.ModuleList(nn.Conv1d(WIDE, WIDE, 3, padding=1, padding_mode="replicate") for _ in (1, 2))
        self.back = nn.Conv2d(WIDE, WIDTH, 1)
        self.last = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.poor = nn.Conv2d(WIDTH, 1, 1)
        self.channels = nn.Conv2d(WIDTH, 3, 1)

    def forward(self, repaired: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of being poor ``(B, T, 1, h, w)`` and error estimates ``(B, T, 3, h, w)`` >= 0, h = ceil(H / 4).

        Args:
            repaired: Yhat_n ``(B, T, 3, H, W)``.
            masks: M0 ``(B, T, 1, H, W)``.
        """
        x = F.relu(self.down(F.relu(self.stem(planes(repaired, masks)))))
        for layer in self.body:
            x = x + F.relu(layer(x))
        x = x + self.back(self._surroundings(x, masks.shape[0]))
        x = x + F.relu(self.last(x))
        errors = F.softplus(self.channels(x))
        return self.poor(x).unflatten(0, masks.shape[:2]), errors.unflatten(0, masks.shape[:2])

    def _surroundings(self, x: Tensor, batch: int) -> Tensor:
        """``(B * T, C, h, w)`` as the wide branch sees it, at the same size."""
        y = F.relu(self.further(x))
        for index, layer in enumerate(self.context):
            y = y + F.relu(layer(y))
            if index < len(self.time):
                y = y + F.relu(along_time(self.time[index], y, batch))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


def along_time(layer: nn.Module, x: Tensor, batch: int) -> Tensor:
    """A 1D layer over the frames of every position of ``x (B * T, C, h, w)``."""
    _, channels, height, width = x.shape
    rows = x.view(batch, -1, channels, height, width).permute(0, 3, 4, 2, 1)
    mixed = layer(rows.reshape(batch * height * width, channels, -1))
    return mixed.view(batch, height, width, channels, -1).permute(0, 4, 3, 1, 2).reshape(x.shape)


def planes(repaired: Tensor, masks: Tensor) -> Tensor:
    """What the network sees of each frame, ``(B * T, 11, H, W)``: colours, M0, how deep in the hole, the change to both
    neighbouring frames, local detail, and how detailed and how changing the known scene around is.

    The last two say what a good repair would look like here: a smooth fill is poor in a textured place only.
    """
    change = repaired.diff(dim=1).abs().mean(2, keepdim=True) * 4
    still = torch.zeros_like(repaired[:, :1, :1])
    changes = [torch.cat(pair, dim=1).flatten(0, 1) for pair in ((still, change), (change, still))]
    grey = repaired.mean(2, keepdim=True).flatten(0, 1)
    detail = (grey - window_mean(grey, 2)).abs() * 8
    hole = masks.flatten(0, 1)
    near = box_mean(F.pad(hole, (4, 4, 4, 4)), 9)
    known = near.eq(0).float()  # what lies right beside a hole shows it in its detail
    seen = torch.cat([hole, known, known * detail, known * (changes[0] + changes[1]) / 2], dim=1)
    far, certain, *around = _widely(seen).split(1, dim=1)
    around = [plane / certain.clamp_min(1e-3) for plane in around]
    return torch.cat([(repaired * 2 - 1).flatten(0, 1), hole, near, far, *changes, detail, *around], 1)


def _widely(x: Tensor) -> Tensor:
    """Means over ``REACH`` pixels around every pixel, at a 16th of the cost."""
    coarse = F.avg_pool2d(x, 4, ceil_mode=True, count_include_pad=False)
    size = REACH // 4 | 1
    for kernel in ((1, size), (size, 1)):  # one direction after the other: far fewer additions, the same means
        padding = (kernel[0] // 2, kernel[1] // 2)
        coarse = F.avg_pool2d(coarse, kernel, stride=1, padding=padding, count_include_pad=False)
    return enlarged(coarse, (x.shape[-2], x.shape[-1]))


def shrink(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks ``(B, T, 1, H, W)`` averaged to the features' size."""
    return F.adaptive_avg_pool2d(masks.flatten(0, 1), size).unflatten(0, masks.shape[:2])
