"""The alignment module T of Eq. 4: features of frame t, brought to frame t+1, for the temporal term of the reward.

``Fhat_{t+1} = T(F_t, D_t)``: the features are warped by the reference's backward flow, sampled at the feature grid; a
deformable convolution, whose offsets and modulation are predicted from the warped features and D_t, refines them. At
initialisation the refinement is the identity, so an untrained T is the plain warp.

E, the encoder, is the second layer (relu2) of AlexNet and the third (relu3_3) of VGG16. They are the last layers before
a grid too coarse to carry motion: cells of 8 and 4 pixels, so that usual motions are a fraction of a cell to a few
cells, while a cell already sees 51 and 40 pixels of the frame and knows texture and parts rather than colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videoinpaint.deformable import deformable_conv
from videoinpaint.errors import UnknownNameError
from videoinpaint.metrics.backbone import unit_length
from videoinpaint.motion.flow import warp
from videoinpaint.weights import build_loaded


@dataclass(frozen=True)
class Encoder:
    """Which layer of a backbone E is, and where its cells lie.

    Attributes:
        layer: index among the backbone's five layers.
        channels: of that layer.
        stride: pixels between cell centres.
        offset: pixel coordinate of the first cell's centre.
    """

    layer: int
    channels: int
    stride: int
    offset: float


HIDDEN = 32  # channels of the network that predicts offsets and modulation
GROUPS = 8  # of channels: those of a group move and are modulated together

ENCODERS = {"alex": Encoder(1, 192, 8, 7.0), "vgg16": Encoder(2, 256, 4, 1.5)}


def encoder_of(net: str) -> Encoder:
    """E of a backbone.

    Raises:
        UnknownNameError: no such backbone.
    """
    if net not in ENCODERS:
        raise UnknownNameError(f"no aligner for the backbone {net!r}: use one of {', '.join(ENCODERS)}")
    return ENCODERS[net]


def grid_flow(flow: Tensor, encoder: Encoder, size: tuple[int, int]) -> Tensor:
    """A pixel flow ``(N, 2, H, W)`` at the cell centres of the feature grid, in units of cells: ``(N, 2, h, w)``.

    The flow is averaged over a cell's own pixels before it is sampled at the centre.
    """
    height, width = flow.shape[-2:]
    half = encoder.stride // 2
    smooth = F.avg_pool2d(flow, 2 * half + 1, stride=1, padding=half, count_include_pad=False)
    ys, xs = (encoder.offset + encoder.stride * torch.arange(n, device=flow.device, dtype=flow.dtype) for n in size)
    grid = torch.stack(torch.meshgrid(2 * ys / (height - 1) - 1, 2 * xs / (width - 1) - 1, indexing="ij")[::-1], -1)
    grid = grid.expand(len(flow), -1, -1, -1)
    return F.grid_sample(smooth, grid, padding_mode="border", align_corners=True) / encoder.stride


class Aligner(nn.Module):
    """T: a warp by flow, refined by a depthwise deformable 3x3 convolution.

    Args:
        net: the backbone whose features are aligned.
    """

    def __init__(self, net: str = "alex") -> None:
        super().__init__()
        self.encoder = encoder_of(net)
        self.net = net
        channels = self.encoder.channels
        self.reduce = nn.Conv2d(channels, HIDDEN, 1)
        self.predict = nn.Sequential(
            nn.Conv2d(HIDDEN + 3, HIDDEN, 3, padding=1), nn.ReLU(), nn.Conv2d(HIDDEN, GROUPS * 27, 3, padding=1)
        )
        self.kernel = nn.Parameter(torch.zeros(channels, 1, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        for parameter in self.predict[-1].parameters():
            nn.init.zeros_(parameter)
        nn.init.ones_(self.kernel[:, :, 1, 1])

    def forward(self, features: Tensor, flow: Tensor, weights: Tensor) -> Tensor:
        """Aligned features ``(N, C, h, w)``.

        Args:
            features: E of frame t, ``(N, C, h, w)``.
            flow: from frame t+1 back to frame t, at the feature grid, in cells (:func:`grid_flow`).
            weights: D_t ``(N, 3, H, W)`` at any resolution, >= 0.
        """
        # As the features come, and as the deformable convolution samples them.
        warped = warp(features, flow).contiguous(memory_format=torch.channels_last)
        coarse = F.adaptive_avg_pool2d(weights, (features.shape[-2], features.shape[-1])).to(features.dtype)
        # Directions, not lengths, decide how to move: activations differ by an order of magnitude between clips.
        seen = F.relu(self.reduce(unit_length(warped) * features.shape[1] ** 0.5))
        offsets, modulation = self.predict(torch.cat([seen, coarse], 1)).split([GROUPS * 18, GROUPS * 9], 1)
        refined = deformable_conv(warped, offsets, 2 * torch.sigmoid(modulation), self.kernel, self.bias)
        return F.relu(refined)  # E's layers end in a ReLU, so what is aligned with them does too


def load_aligner(net: str = "alex", weights: str | None = None) -> Aligner:
    """The trained, frozen T of a backbone.

    Args:
        net: "alex" or "vgg16".
        weights: a safetensors file; None for the shipped weights; "warp" for the untrained T, which only warps.

    Raises:
        UnknownNameError, MissingWeightsError, CorruptWeightsError.
    """
    aligner = Aligner(net) if weights == "warp" else build_loaded(lambda: Aligner(net), f"aligner-{net}", weights)
    return aligner.requires_grad_(False).eval()
