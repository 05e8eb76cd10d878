"""The three blocks of IIVI's networks (Appendix A.1): gated convolution, gated up-sampling, output."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def mirrored(x: Tensor, margin: int) -> Tensor:
    """``x (N, C, H, W)`` with ``margin`` pixels mirrored beyond every border, the border itself not repeated.

    A margin wider than the picture mirrors again and again; a picture one pixel wide can only repeat itself.
    """
    while margin > 0:
        height, width = x.shape[-2:]
        down, right = min(margin, height - 1), min(margin, width - 1)
        if down == 0 or right == 0:
            return F.pad(x, (margin,) * 4, mode="replicate")
        step = min(down, right)
        x = F.pad(x, (step,) * 4, mode="reflect")
        margin -= step
    return x


GAIN = 2.0
"""The paper does not say how weights start. With ELU and a gate of about one half, this times ``1 / sqrt(fan-in)`` lets
the signal through; under torch's default it fades from layer to layer, and nothing is learnt."""


class GatedConv(nn.Module):
    """``C[out_c, k_size, s, d]``: convolution, then half of its channels (after ELU) gated by the other half's sigmoid.

    As in the gated convolutions that the paper cites, ``out_c`` counts both halves: the block gives ``out_c / 2``.

    Args:
        inputs: channels that come in.
        out_c: channels of the convolution, even.
        kernel: side of the kernel, odd.
        stride: of the convolution.
        dilation: of the convolution.
    """

    def __init__(self, inputs: int, out_c: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, out_c, kernel, stride, dilation=dilation)
        nn.init.normal_(self.conv.weight, std=GAIN / (inputs * kernel**2) ** 0.5)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)
        self.channels, self.stride = out_c // 2, stride
        self.margin = dilation * (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, out_c / 2, ceil(H / s), ceil(W / s))``."""
        features, gates = self.conv(mirrored(x, self.margin)).chunk(2, dim=1)
        return F.elu(features) * gates.sigmoid()


class GatedDeconv(GatedConv):
    """``D[out_c, k_size, s, d]``: bilinear up-sampling by two, then a gated convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, out_c / 2, 2 H, 2 W)``."""
        return super().forward(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))


class Output(nn.Module):
    """``O``: a 1x1 convolution to the picture's channels; three cannot be halved, so there is no gate. Then tanh.

    Args:
        inputs: channels that come in.
        outputs: channels of the picture.
    """

    def __init__(self, inputs: int, outputs: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, H, W)`` in (-1, 1)."""
        return self.conv(x).tanh()
