"""RAFT (Teed and Deng, ECCV 2020) as the video pipelines use it: both directions of a clip, every frame encoded once.

The network is torchvision's `raft_large`; this module only organises its parts. Its state dict carries the names of
the original release (``raft-things.pth``), so that file loads as it is.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.optical_flow import raft_large

STRIDE = 8  # of the feature maps
MIN_SIZE = 128  # the coarsest correlation level needs two cells on each axis
ITERATIONS = 20
PAIRS_AT_ONCE = 8  # whose correlation volumes are held together: bounds the memory, does not change the result

# Original names and torchvision's, both ways round: (torchvision pattern, original).
_NAMES = (
    (r"^feature_encoder\.", "fnet."),
    (r"^context_encoder\.", "cnet."),
    (r"^(.net)\.convnormrelu\.0\.", r"\1.conv1."),
    (r"^(.net)\.convnormrelu\.1\.", r"\1.norm1."),
    (r"^(.net)\.conv\.", r"\1.conv2."),
    (r"^(.net\.layer\d\.\d)\.convnormrelu(\d)\.0\.", r"\1.conv\2."),
    (r"^(.net\.layer\d\.\d)\.convnormrelu(\d)\.1\.", r"\1.norm\2."),
    (r"^update_block\.motion_encoder\.convcorr(\d)\.0\.", r"update_block.encoder.convc\1."),
    (r"^update_block\.motion_encoder\.convflow(\d)\.0\.", r"update_block.encoder.convf\1."),
    (r"^update_block\.motion_encoder\.conv\.0\.", "update_block.encoder.conv."),
    (r"^update_block\.recurrent_block\.convgru(\d)\.conv([zrq])\.", r"update_block.gru.conv\2\1."),
    (r"^mask_predictor\.convrelu\.0\.", "update_block.mask.0."),
    (r"^mask_predictor\.conv\.", "update_block.mask.2."),
)
# The original network registers the batch normalisation of a strided shortcut twice, under these two names.
_SHORTCUT = re.compile(r"^(cnet\.layer\d\.0)\.downsample\.1\.")


class Encoded(NamedTuple):
    """What RAFT knows of single frames, ``h = H / 8``, ``w = W / 8``.

    Attributes:
        features: ``(N, 256, h, w)``, matched between frames.
        context: ``(N, 256, h, w)``, of the frame that a flow starts from, before tanh and ReLU.
    """

    features: Tensor
    context: Tensor


class RAFT(nn.Module):
    """Optical flow by recurrent look-ups in an all-pairs correlation pyramid. Frames are RGB in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.network = raft_large(weights=None)
        self._register_state_dict_hook(_to_official)
        self._register_load_state_dict_pre_hook(self._from_official)

    def forward(self, image1: Tensor, image2: Tensor, iterations: int = ITERATIONS) -> tuple[Tensor, Tensor]:
        """Flow from each first image to its second: the published call.

        Args:
            image1: ``(N, 3, H, W)`` in [-1, 1]; H and W multiples of 8, at least 128.
            image2: as ``image1``.
            iterations: recurrent updates, at least 1.

        Returns:
            flow at 1/8 resolution in its own pixels ``(N, 2, H / 8, W / 8)``; full flow in pixels ``(N, 2, H, W)``.

        Raises:
            ValueError: sizes differ, or RAFT cannot work at them.
        """
        if image1.shape != image2.shape:
            raise ValueError(f"images of one shape are needed, got {tuple(image1.shape)} and {tuple(image2.shape)}")
        check_size(*image1.shape[-2:])
        features = self.network.feature_encoder(torch.cat([image1, image2])).chunk(2)
        return self.match(features[0], features[1], self.network.context_encoder(image1), iterations)

    def encode(self, frames: Tensor) -> Encoded:
        """Features and context of ``(N, 3, H, W)``, frame by frame."""
        return Encoded(self.network.feature_encoder(frames), self.network.context_encoder(frames))

    def match(self, here: Tensor, there: Tensor, context: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        """Flows between encoded frames.

        Unlike torchvision's own loop this upsamples the last flow alone, and convolves the context, which no
        iteration changes, once.

        Args:
            here: features ``(N, 256, h, w)`` of the frames that the flow starts from.
            there: features of the frames it points to.
            context: context of the former.
            iterations: recurrent updates, at least 1.

        Returns:
            as :meth:`forward`.
        """
        network = self.network
        hidden, context = context.chunk(2, 1)
        hidden, context = torch.tanh(hidden), F.relu(context)
        recurrent = network.update_block.recurrent_block
        units = [_Unit(cell, context) for cell in (recurrent.convgru1, recurrent.convgru2)]
        network.corr_block.build_pyramid(here, there)
        start = _pixel_coordinates(here)
        flow = torch.zeros_like(start)
        for _ in range(iterations):
            correlation = network.corr_block.index_pyramid(start + flow)
            motion = network.update_block.motion_encoder(flow, correlation)
            for unit in units:
                hidden = unit(hidden, motion)
            flow = flow + network.update_block.flow_head(hidden)
        network.corr_block.corr_pyramid = []  # the largest tensor of all: do not keep it until the next call
        return flow, upsample(flow, network.mask_predictor(hidden))

    def correlation(self, here: Tensor, there: Tensor) -> Tensor:
        """What the first look-up sees, ``(N, 324, h, w)``, of features ``(N, 256, h, w)`` (Section 3.2)."""
        self.network.corr_block.build_pyramid(here, there)
        return self.network.corr_block.index_pyramid(_pixel_coordinates(here))

    def _from_official(self, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """Before loading: turn the original names into torchvision's; of the doubled tensors the later name counts."""
        ours = {official_name(name): name for name in self.network.state_dict()}
        for name in [name for name in state if name.startswith(prefix)]:
            official = name[len(prefix) :].removeprefix("module.")
            if official in ours:
                state[f"{prefix}network.{ours[official]}"] = state.pop(name)
            elif ".norm3." in official and official.replace(".norm3.", ".downsample.1.") in ours:
                state.pop(name)


def official_name(name: str) -> str:
    """The original release's name of one of torchvision's tensors."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _to_official(module: nn.Module, state: OrderedDict[str, Tensor], prefix: str, *_: Any) -> None:
    """After gathering a state dict: the original names, doubled tensors included."""
    inner = f"{prefix}network."
    for name in [name for name in state if name.startswith(inner)]:
        official = official_name(name[len(inner) :])
        tensor = state.pop(name)
        if doubled := _SHORTCUT.match(official):
            state[prefix + _SHORTCUT.sub(f"{doubled[1]}.norm3.", official)] = tensor
        state[prefix + official] = tensor


def check_size(height: int, width: int) -> None:
    """Raise ValueError unless RAFT can work on frames of this size."""
    if height % STRIDE or width % STRIDE or min(height, width) < MIN_SIZE:
        raise ValueError(f"RAFT needs multiples of {STRIDE} of at least {MIN_SIZE}, got {height} x {width}")


class _Unit:
    """A convolutional gated unit ``h' = (1 - z) h + z q`` (Eq. 3 to 6) whose input's context part is fixed."""

    def __init__(self, cell: Any, context: Tensor) -> None:  # torchvision's ConvGRU: three convolutions
        gates, candidate = (cell.convz, cell.convr), cell.convq
        self.padding = candidate.padding
        hidden, fixed = candidate.out_channels, context.shape[1]
        self.gate_kernel, gate_context = _split(torch.cat([gate.weight for gate in gates]), hidden, fixed)
        self.kernel, own_context = _split(candidate.weight, hidden, fixed)
        self.gate_fixed = F.conv2d(
            context, gate_context, torch.cat([gate.bias for gate in gates]), padding=self.padding
        )
        self.fixed = F.conv2d(context, own_context, candidate.bias, padding=self.padding)

    def __call__(self, hidden: Tensor, motion: Tensor) -> Tensor:
        gates = F.conv2d(torch.cat([hidden, motion], 1), self.gate_kernel, padding=self.padding) + self.gate_fixed
        update, reset = torch.sigmoid(gates).chunk(2, 1)
        moving = F.conv2d(torch.cat([reset * hidden, motion], 1), self.kernel, padding=self.padding)
        return (1 - update) * hidden + update * torch.tanh(moving + self.fixed)


def _split(weight: Tensor, hidden: int, fixed: int) -> tuple[Tensor, Tensor]:
    """A kernel over (hidden, context, motion): the part over (hidden, motion), and the part over the context."""
    before, middle, after = weight.split([hidden, fixed, weight.shape[1] - hidden - fixed], 1)
    return torch.cat([before, after], 1), middle


def _pixel_coordinates(like: Tensor) -> Tensor:
    """``(N, 2, h, w)``: x and y of every pixel."""
    rows, cols = (torch.arange(n, device=like.device, dtype=like.dtype) for n in like.shape[-2:])
    return torch.stack(torch.meshgrid(cols, rows, indexing="xy")).expand(len(like), 2, -1, -1)


def upsample(flow: Tensor, mask: Tensor) -> Tensor:
    """Convex upsampling (Section 3.3): each fine pixel is a softmax-weighted mean of its 3x3 coarse neighbours.

    Args:
        flow: ``(N, 2, h, w)`` in coarse pixels.
        mask: logits ``(N, 576, h, w)``, read as 9 neighbours, 8 rows, 8 columns.

    Returns:
        ``(N, 2, 8 h, 8 w)`` in fine pixels.
    """
    number, _, high, wide = flow.shape
    weights = mask.view(number, 1, 9, STRIDE, STRIDE, high, wide).softmax(2)
    neighbours = F.unfold(STRIDE * flow, 3, padding=1).view(number, 2, 9, 1, 1, high, wide)
    fine = (weights * neighbours).sum(2)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(number, 2, STRIDE * high, STRIDE * wide)


def clip_flows(raft: RAFT, frames: Tensor, iterations: int = ITERATIONS) -> tuple[Tensor, Tensor]:
    """Flows between neighbouring frames of clips, both ways; every frame is encoded once, pairs are matched in chunks.

    Frames that RAFT cannot take (smaller than 128, no multiple of 8) are resized for it, and their flows back.

    Args:
        raft: the network.
        frames: ``(B, T, 3, H, W)`` in [-1, 1].
        iterations: recurrent updates.

    Returns:
        forward ``(B, T-1, 2, H, W)`` from frame t to t+1, and backward from t+1 to t, in pixels.
    """
    batch, time, _, height, width = frames.shape
    if time < 2:
        none = frames.new_zeros(batch, 0, 2, height, width)
        return none, none
    size = [max(MIN_SIZE, -(-n // STRIDE) * STRIDE) for n in (height, width)]
    flat = frames.flatten(0, 1)
    encoded = [raft.encode(_resized(part, size)) for part in flat.split(PAIRS_AT_ONCE)]
    features, context = (torch.cat(parts) for parts in zip(*encoded))
    earlier = torch.arange(batch * time, device=frames.device).view(batch, time)[:, :-1].flatten()
    here, there = torch.cat([earlier, earlier + 1]), torch.cat([earlier + 1, earlier])
    flows = [
        raft.match(features[a], features[b], context[a], iterations)[1]
        for a, b in zip(here.split(PAIRS_AT_ONCE), there.split(PAIRS_AT_ONCE))
    ]
    scale = frames.new_tensor([width / size[1], height / size[0]]).view(2, 1, 1)
    both = torch.cat([_resized(part, [height, width]) * scale for part in flows])
    forward, backward = both.view(2, batch, time - 1, 2, height, width)
    return forward, backward


def _resized(x: Tensor, size: list[int]) -> Tensor:
    return x if list(x.shape[-2:]) == size else F.interpolate(x, size, mode="bilinear", align_corners=False)
