"""FOCAL's convolutional extractor: HRNet-W32 without its head (Sun et al., 2019; Wang et al., 2020).

Parallel branches at 1/4, 1/8, 1/16 and 1/32 of the resolution exchange what they know after every module; the features
are those of the finest branch. Names follow the official checkpoint ``FOCAL_HRNet_weights.pth``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

STAGES = (((32, 64), 1), ((32, 64, 128), 4), ((32, 64, 128, 256), 3))
"""Channels of the branches, and the number of high-resolution modules, of stages 2, 3 and 4."""
BLOCKS = 4
MULTIPLE = 32


def _unit(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, relu: bool = False) -> nn.Sequential:
    """Convolution without bias, batch normalisation and, on demand, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), *([nn.ReLU()] if relu else []))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions to four times the channels, with a shortcut (He et al., 2016).

    Args:
        inputs: channels that come in.
        width: channels of the 3x3 convolution.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = _unit(inputs, 4 * width, 1) if inputs != 4 * width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to ``(N, 4 * width, h, w)``."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, width, h, w)`` to the same shape."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class HighResolutionModule(nn.Module):
    """Four basic blocks on every branch, then each output branch sums all branches brought to its resolution.

    Args:
        widths: channels of the branches, fine to coarse.
        outputs: how many branches come out (the last module of the network keeps only the finest).
    """

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(w) for _ in range(BLOCKS))) for w in widths)
        rows = [[_exchange(widths, source, target) for source in range(len(widths))] for target in range(outputs)]
        self.fuse_layers = nn.ModuleList(nn.ModuleList(row) for row in rows)

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        """Branches ``(N, widths[i], h / 2**i, w / 2**i)`` in and out."""
        x = [branch(features) for branch, features in zip(self.branches, x)]
        fused = []
        for row in self.fuse_layers:
            # Summed in the order of the branches: float addition is not associative.
            changed = [layer(features) for layer, features in zip(cast(nn.ModuleList, row), x)]
            fused.append(F.relu(sum(changed[1:], changed[0])))
        return fused


def _exchange(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """What brings branch ``source`` to the resolution and width of branch ``target``."""
    if source == target:
        return nn.Identity()
    if source > target:
        enlarge = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(*_unit(widths[source], widths[target], 1), enlarge)
    # Every halving but the last keeps the channels and ends in a ReLU.
    halvings = [_unit(widths[source], widths[source], stride=2, relu=True) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, _unit(widths[source], widths[target], stride=2))


class _Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(BLOCKS - 1)))
        first = STAGES[0][0]
        newest = nn.Sequential(_unit(256, first[1], stride=2, relu=True))
        self.transition1 = nn.ModuleList([_unit(256, first[0], relu=True), newest])
        self.transition2 = _transition(STAGES[1][0])
        self.transition3 = _transition(STAGES[2][0])
        self.stage2 = _stage(*STAGES[0])
        self.stage3 = _stage(*STAGES[1])
        self.stage4 = _stage(*STAGES[2], outputs=1)
        self.final_layer = nn.Conv2d(32, 17, 1)  # stands in the checkpoint, never used

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        layer1 = self.layer1(x)
        stage2 = self.stage2([change(layer1) for change in self.transition1])
        stage3 = self.stage3(_extended(stage2, self.transition2))
        stage4 = self.stage4(_extended(stage3, self.transition3))
        return {"layer1": layer1, "stage2_branch1": stage2[1], "stage3_branch2": stage3[2], "features": stage4[0]}


def _stage(widths: Sequence[int], modules: int, outputs: int | None = None) -> nn.Sequential:
    all_branches = [HighResolutionModule(widths, len(widths)) for _ in range(modules - 1)]
    return nn.Sequential(*all_branches, HighResolutionModule(widths, outputs or len(widths)))


def _transition(widths: Sequence[int]) -> nn.ModuleList:
    """Branches pass unchanged; the newest is made from the coarsest of the stage before."""
    newest = nn.Sequential(_unit(widths[-2], widths[-1], stride=2, relu=True))
    return nn.ModuleList([*(nn.Identity() for _ in widths[:-1]), newest])


def _extended(branches: list[Tensor], transition: nn.ModuleList) -> list[Tensor]:
    return [change(features) for change, features in zip(transition, [*branches, branches[-1]])]


class HRNetExtractor(nn.Module):
    """HRNet-W32 as a feature extractor, 28.5 M parameters.

    Accepts RGB in [0, 1] of any size whose sides are multiples of 32, without mean and standard deviation removed.
    """

    channels = 32

    def __init__(self) -> None:
        super().__init__()
        self.net = _Trunk()

    def accepted_size(self, height: int, width: int) -> tuple[int, int]:
        """The smallest size not below ``(height, width)`` that the network takes."""
        return -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE

    def stages(self, images: Tensor) -> dict[str, Tensor]:
        """``features`` and, under ``layer1``, ``stage2_branch1`` and ``stage3_branch2``, what comes before."""
        return self.net(images)

    def forward(self, images: Tensor) -> Tensor:
        """Features ``(N, 32, H / 4, W / 4)``, not negative, of images ``(N, 3, H, W)``."""
        return self.net(images)["features"]
