"""The temporal PatchGAN: convolutions over space and time that tell true video from repaired video.

All the published networks are trained against it, with a hinge loss; CIRI, Eq. 5, in the non-saturating form.

Chang et al., "Free-form Video Inpainting with 3D Gated Convolution and Temporal PatchGAN", ICCV 2019.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class TemporalPatchDiscriminator(nn.Module):
    """Clips to logits of patches of space and time: real where positive.

    Strided 3x5x5 convolutions with spectral normalisation.

    Args:
        width: channels of the first layer; the published networks have 64.
        depth: layers; the published networks have 6.
    """

    def __init__(self, width: int = 16, depth: int = 5) -> None:
        super().__init__()
        widths = (3, width, 2 * width, *[4 * width] * (depth - 3), 1)
        kernel, padding, stride = (3, 5, 5), (1, 2, 2), (1, 2, 2)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv3d(a, b, kernel, stride, padding)) for a, b in pairwise(widths)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Frames ``(B, T, 3, H, W)`` in [0, 1] to logits ``(B, 1, T, h, w)``."""
        x = frames.transpose(1, 2) * 2 - 1
        for layer in list(self.layers)[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
        return self.layers[-1](x)


def adversarial_losses(critic: TemporalPatchDiscriminator, real: Tensor, repaired: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 5 from both sides, in the non-saturating form (Goodfellow et al., 2014).

    Args:
        critic: D.
        real, repaired: ``(B, T, 3, H, W)`` in [0, 1].

    Returns:
        what the repair loses, whose gradient reaches the repair alone, and what the critic loses, whose gradient
        reaches the critic alone: their sum may be minimised at once.
    """
    fooled = F.softplus(-_judged(critic, repaired)).mean()
    told = F.softplus(-critic(real)).mean() + F.softplus(critic(repaired.detach())).mean()
    return fooled, told


def hinge_losses(critic: TemporalPatchDiscriminator, real: Tensor, repaired: Tensor) -> tuple[Tensor, Tensor]:
    """The hinge loss from both sides, as the published networks have it; see :func:`adversarial_losses`."""
    fooled = -_judged(critic, repaired).mean()
    told = (F.relu(1 - critic(real)).mean() + F.relu(1 + critic(repaired.detach())).mean()) / 2
    return fooled, told


def _judged(critic: TemporalPatchDiscriminator, repaired: Tensor) -> Tensor:
    """The critic's logits, with gradients for the repair alone."""
    frozen = {name: value.detach() for name, value in critic.named_parameters()}
    return functional_call(critic, frozen, (repaired,))
