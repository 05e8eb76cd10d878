"""`VideoInpaintOneShot-v0`: only the first frame's mask is known. The class docstring is its documentation page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from videoinpaint.clips import ClipSource
from videoinpaint.envs.common import names_checked
from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.envs.settings import Settings
from videoinpaint.envs.vector import VideoInpaintVectorEnv
from videoinpaint.errors import InputError
from videoinpaint.protocols import Detector, Inpainter, MaskPropagator

CLIPS, INPAINTER, PROPAGATOR = "one_shot", "ciri", "flow"
"""The defaults in which the one-shot environments differ from `VideoInpaintEnv`."""


class VideoInpaintOneShotEnv(VideoInpaintEnv):
    """
    ## Description

    A moving *target* is to be removed from a video, and the pixels that show it are known only in the first frame
    (one-shot video inpainting, CIRI). A *propagator* carries that mask through the clip; it may lose part of the
    target, or mistake something else for it. What it predicts becomes `M_0`, and from there the agent, the inpainter
    and the detector work as in `VideoInpaint`, with the same actions, controls and rewards.

    The clip exists twice: `X`, what the camera saw, with the target in it, and `Y`, the same without the target.
    Inpainter, detector and propagator see `X` and the first frame's mask; the reward compares with `Y`, which nothing
    else ever sees. So what a propagator misses costs reward: that part of the target stays in the picture.

    `M_0`, the pixels that may change at all, is

    * for an inpainter that is a `videoinpaint.protocols.OneShotInpainter` (such as `ciri`): what it decides itself,
      from `X` and from masks that may be wrong;
    * for any other inpainter: the predicted masks, widened by a 72nd of the frame's width, with grey inside.

    Pixels outside `M_0` never change: `Yhat_n == X` there, bit for bit.

    ## Action Space

    `Box(-1, 1, (5,), float32)`, or with an action grid `(rows, columns, 5)`, as in `VideoInpaint`.

    ## Observation Space

    As in `VideoInpaint`, with one difference: after a reset `frames` shows `X` with its target, not grey holes, and
    `masks` shows the predicted `M_0`.

    | Key | Content | Shape | Type (0 .. 255) |
    | --- | --- | --- | --- |
    | `frames` | the repair `Yhat_n`; after a reset `X` | `(3T, H, W)`: R, G, B, R, ... | uint8 |
    | `masks` | the predicted mask `M_n`; `M_0` after a reset | `(T, H, W)` | uint8 |

    ## Rewards

    As in `VideoInpaint`, against the true background `Y`. `reward="improvement"` starts from the reward of `X`.

    ## Info

    As in `VideoInpaint`, plus two numbers at every reset and step that say how well the target was tracked, over all
    frames but the first: `mask_iou` (J: intersection over union) and `mask_j_and_f` (the mean of J and of the contours'
    accuracy F, as the DAVIS benchmark defines them), both 0 .. 1. `mask` names the propagator. `psnr_hole` among the
    `metrics` is taken inside the *true* masks.

    ## Starting State

    A clip from `clips`, drawn from the episode's seed. `reset(options={"clip": ...})` chooses it: a clip's name in the
    source, or a `videoinpaint.clips.Clip` with `frames` (the background), `observed` and `objects` (the target's true
    masks). The target may leave the scene: its masks are then empty, and a frame in which `M_0` is empty is not
    repaired. A clip without `observed` or `objects`, or whose target is absent from the first frame or covers all of
    it, raises `InputError`.

    ## Episode End

    As in `VideoInpaint`.

    ## Arguments

    ```python
    import gymnasium as gym
    import videoinpaint

    env = gym.make("VideoInpaintOneShot-v1", propagator="appearance", num_frames=4)
    ```

    | Argument | Default | Meaning |
    | --- | --- | --- |
    | `clips` | `"one_shot"` | clips with a target: `"one_shot[:CLIPS][#MASKS]"`, `"module:attribute"` or a source |
    | `propagator` | `"flow"` | what carries the mask: a name, `"module:attribute"`, or a `MaskPropagator` |
    | `inpainter` | `"ciri"` | a name, `"module:attribute"`, or an instance |
    | `num_frames`, `height`, `width` | `8`, `120`, `216` | as in `VideoInpaint`, like all that follow |
    | `max_iterations` | `3` | iterations in an episode, N |
    | `detector`, `backbone` | `"compact"`, `"alex"` | |
    | `reward`, `reward_weights` | `"absolute"`, `"action"` | |
    | `psnr_scale`, `compute_price` | `50.0`, `0.0` | |
    | `device`, `weights`, `detector_weights`, `render_mode` | `"auto"`, `None`, `None`, `None` | |
    | `flat_info` | `False` | |
    | `precision` | `"auto"` | of the compact networks |
    | `bank`, `prefetch` | `None`, `0` | as in `VideoInpaint` |
    | `action_grid`, `reward_map` | `None`, `False` | as in `VideoInpaint` |
    | `skips` | `False` | as in `VideoInpaint` |
    | `compile` | `False` | as in `VideoInpaint`; `ciri` itself is not compiled, the detector is |

    `"one_shot"` puts targets cut from photographs in front of studio scenes, and needs nothing but the installation;
    `"one_shot:CLIPS"` puts them in front of the clips of a folder (or of any other clip source), and `#MASKS` adds
    targets with the outlines in a folder of masks: `"one_shot:photos#outlines"` with folders of these names.
    `gym.make_vec` runs many environments as one batch; the propagator looks at one clip at a time.

    With `inpainter=CIRIInpainter(removal=removal_config("flow"))` (`videoinpaint.inpainters.ciri.inpainter` and
    `.removal` have the two) every reset also tunes the propagator on the clip until less of the target shines through,
    which takes some seconds.

    ## What repeats exactly

    The same episode at the same index of the same batch, with the same number of threads, gives the same bits. In a
    batch an episode gives the same result as alone, up to rounding: on one processor no bit differed, on another
    rewards did by up to 4e-8 and a few pixels by one of 255 levels. Another number of threads changes results by up to
    5e-6: compare only runs with the same `OMP_NUM_THREADS`, which every record holds (`machine`, `threads`).

    ## Version History

    * v1: the reward of `VideoInpaint-v1`
    * v0: the reward of `VideoInpaint-v0`
    """

    @names_checked
    def __init__(
        self,
        clips: str | Path | ClipSource = CLIPS,
        propagator: str | MaskPropagator = PROPAGATOR,
        num_frames: int = Settings.num_frames,
        height: int = Settings.height,
        width: int = Settings.width,
        max_iterations: int = Settings.max_iterations,
        inpainter: str | Inpainter = INPAINTER,
        detector: str | Detector = Settings.detector,
        backbone: str = Settings.backbone,
        reward: str = Settings.reward,
        reward_weights: str = Settings.reward_weights,
        psnr_scale: float = Settings.psnr_scale,
        compute_price: float = Settings.compute_price,
        device: str = Settings.device,
        render_mode: str | None = None,
        weights: str | None = Settings.weights,
        detector_weights: str | None = Settings.detector_weights,
        flat_info: bool = Settings.flat_info,
        precision: str = Settings.precision,
        bank: str | Path | None = Settings.bank,
        prefetch: int = Settings.prefetch,
        action_grid: tuple[int, int] | None = Settings.action_grid,
        reward_map: bool = Settings.reward_map,
        compile: bool = Settings.compile,
        skips: bool = Settings.skips,
    ) -> None:
        settings = Settings(
            clips=clips, propagator=propagator, num_frames=num_frames, height=height, width=width,
            max_iterations=max_iterations, inpainter=inpainter, detector=detector, backbone=backbone, reward=reward,
            reward_weights=reward_weights, psnr_scale=psnr_scale, compute_price=compute_price, device=device,
            weights=weights, detector_weights=detector_weights, flat_info=flat_info, precision=precision, bank=bank,
            prefetch=prefetch, action_grid=action_grid, reward_map=reward_map, compile=compile, skips=skips,
        )  # fmt: skip
        self._build(_followed(settings), render_mode)


class VideoInpaintOneShotVectorEnv(VideoInpaintVectorEnv):
    """`VideoInpaintOneShotEnv`, `num_envs` times, as one batch; arguments as for `VideoInpaintVectorEnv`."""

    single: ClassVar[type[VideoInpaintEnv]] = VideoInpaintOneShotEnv
    defaults: ClassVar[dict[str, Any]] = {"clips": CLIPS, "inpainter": INPAINTER, "propagator": PROPAGATOR}

    def _settings(self, given: dict[str, Any]) -> Settings:
        return _followed(super()._settings(given))


def _followed(settings: Settings) -> Settings:
    """The settings; raises InputError without a propagator, as nothing would be one-shot then."""
    if settings.propagator is None:
        raise InputError("propagator carries the first frame's mask: name one, or use VideoInpaint with masks given")
    return settings
