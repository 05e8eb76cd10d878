"""The reward's time against the usual one: the `lpips` package, VGG16 features and scikit-image, frame by frame.

Both score the same repair in the same run, in turn, so that a busy machine slows both.
Run: ``python -m videoinpaint.benchmarks.networks.reward_speed``.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
import tyro
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.checks import MAX_COUNT, check_extent, whole_number
from videoinpaint.controls import DEFAULT
from videoinpaint.device import resolve_device
from videoinpaint.envs.rewards.reward import Reward
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


def reward_speed(
    num_frames: int = 8, height: int = 120, width: int = 216, repeats: int = 5, device: str = "cpu"
) -> dict[str, float]:
    """Milliseconds of one reward and of the naive composition (medians of alternating runs), and their ratio.

    The repair fills a centred hole of half of each side with grey. The naive composition always runs on the CPU.

    Returns:
        ``reward_ms``, ``begin_ms`` (once per episode), ``naive_ms``, ``speedup`` (median of the paired ratios).

    Raises:
        InputError: a number is out of range, or there is no such device.
    """
    check_extent(num_frames, height, width, least=(2, 32))
    whole_number(repeats, "repeats", 1, MAX_COUNT)
    place = resolve_device(device)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3 * num_frames, height // 8, width // 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    reference = smooth.view(1, num_frames, 3, height, width)
    holes = torch.zeros(1, num_frames, 1, height, width)
    holes[..., height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 1
    repaired = torch.where(holes > 0, torch.full_like(reference, 0.5), reference)
    weights = holes.expand(-1, -1, 3, -1, -1)
    reward, module = Reward(device=place), reference_lpips()
    state, made, seen = reward.begin(reference, holes), repaired.to(place), weights.to(place)
    middle = (DEFAULT.alpha, DEFAULT.beta, DEFAULT.gamma)
    runs: dict[str, Callable[[], Any]] = {
        "reward": lambda: reward.combine(reward.measure(state, made, seen), *middle),
        "naive": lambda: naive_scores(reference[0], repaired[0], module),
        "begin": lambda: reward.begin(reference, holes),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if place.type == "cuda":
                torch.cuda.synchronize()
            if repeat:  # the first round warms up
                times[name].append(1000 * (time.perf_counter() - start))
    speedup = statistics.median(slow / fast for slow, fast in zip(times["naive"], times["reward"]))
    return {f"{name}_ms": statistics.median(values) for name, values in times.items()} | {"speedup": speedup}


if __name__ == "__main__":
    with tables.lines_for_errors():
        measured = tyro.cli(reward_speed, description=__doc__)
    print({name: round(value, 1) for name, value in measured.items()}, f"{torch.get_num_threads()} threads")
