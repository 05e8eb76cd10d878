"""A reward as one writes it first: the `lpips` package, VGG16 features and scikit-image, frame by frame."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from videoinpaint.metrics.backbone import get_backbone


def reference_lpips(net: str = "alex") -> Any:
    """The ``lpips`` package's own module with our ImageNet weights in its trunk, so that it needs no download.

    Args:
        net: "alex" or "vgg16".
    """
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package calls torchvision the old way
        module = lpips.LPIPS(net="vgg" if net == "vgg16" else net, pnet_rand=True, verbose=False)
    names = module.net.state_dict()
    ours = get_backbone(net).features.state_dict().values()
    module.net.load_state_dict(dict(zip(names, ours, strict=True)))
    return module.eval()


def naive_scores(reference: Tensor, repaired: Tensor, lpips_module: Any) -> dict[str, float]:
    """The terms a reward needs, as evaluators usually compose them: one frame after another, nothing shared or kept.

    Args:
        reference: ``(T, 3, H, W)`` in [0, 1].
        repaired: as ``reference``.
        lpips_module: from :func:`reference_lpips`.
    """
    vgg = get_backbone("vgg16")
    totals = dict.fromkeys(("psnr", "ssim", "lpips", "perceptual"), 0.0)
    with torch.no_grad():
        for true, made in zip(reference, repaired):
            x, y = true.permute(1, 2, 0).numpy(), made.permute(1, 2, 0).numpy()
            totals["psnr"] += float(peak_signal_noise_ratio(x, y, data_range=1))
            totals["ssim"] += float(structural_similarity(x, y, channel_axis=2, data_range=1))
            totals["lpips"] += float(lpips_module(true[None], made[None], normalize=True))
            layers = zip(vgg(true[None]), vgg(made[None]))
            totals["perceptual"] += float(torch.stack([(a - b).abs().mean() for a, b in layers]).mean())
    return {name: value / len(reference) for name, value in totals.items()}
