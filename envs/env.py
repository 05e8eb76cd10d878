"""The environment, one clip at a time. The class docstring is its documentation page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.checks import seed_number, shown
from videoinpaint.clips import ClipSource, MaskSource
from videoinpaint.controls import as_numbers
from videoinpaint.envs.common import Common, names_checked
from videoinpaint.envs.core import Core
from videoinpaint.envs.observing import Observation
from videoinpaint.envs.rendering import Display
from videoinpaint.envs.running import Running
from videoinpaint.envs.settings import Settings
from videoinpaint.envs.states.episodes import check_options
from videoinpaint.errors import InputError
from videoinpaint.protocols import Detector, Inpainter

RENDER_MODES = ("rgb_array", "human")


class VideoInpaintEnv(Common, gymnasium.Env[Observation, NDArray[np.float32]]):
    """
    ## Description

    Rank policies by `info["quality"]`, not by the return: in `VideoInpaint-v0` the reward is that of the CLIP-RL paper,
    absolute and with weights that the action sets, so an agent can raise its return without a better repair.
    `VideoInpaint-v1` (which `VideoInpaint` without a version gives) and the ids built on it reward the improvement of
    the repair under fixed weights.

    An agent watches a damaged video being repaired. At every iteration an *inpainter* repairs the flagged region, a
    *detector* flags where the result still looks poor, and the agent, which sees the repair and the flags, chooses
    *how* the next repair is done: how much computation to spend, how much to invent rather than carry over from other
    frames, and which aspect of quality to favour (CLIP-RL, Section 3).

    For iteration n = 1..N, with the damaged clip `X`, its hole `M_0`, and `Yhat_0 = X`:

    1. `Yhat_n = S * A(M_{n-1}, X, Yhat_{n-1}; controls) + (1 - S) * Yhat_{n-1}` inside the hole, `X` outside it,
       where `A` is the inpainter and `S` the region around `M_{n-1}`, with soft edges;
    2. `M_n, D_n = detector(M_0, Yhat_n)`: the flags, and weights for the temporal term of the reward;
    3. the reward compares `Yhat_n` with the reference `Y`, which nothing but the reward ever sees inside the hole.

    Known pixels never change: `Yhat_n == X` outside the hole, bit for bit.

    ## Action Space

    `Box(-1, 1, (5,), float32)`. Each value is mapped affinely to the range of its control and clipped to it; `heads`
    is rounded. `env.unwrapped.to_controls(action)` and `to_action(controls)` convert. NaN and infinity raise
    `InputError`.

    | Num | Control | Meaning | Range |
    | --- | --- | --- | --- |
    | 0 | `heads` | attention heads that run; in `compact`, each pair has a longer temporal reach | 2 .. 12 (integer) |
    | 1 | `fusion` | weight of hallucinated against propagated content | 0.5 .. 0.8 |
    | 2 | `alpha` | weight of SSIM and PSNR | 0.8 .. 1.0 |
    | 3 | `beta` | weight of the perceptual and LPIPS distances | 0.3 .. 0.6 |
    | 4 | `gamma` | weight of the temporal-alignment distance | 0.1 .. 0.3 |

    `fusion="boundary"` gives the second control another meaning, with any inpainter: the weight of the repair against
    original content at the hole's edge, which rises to 1, the repair alone, at a depth of 1/27 of the frame's width.
    Original content is what other frames show there, carried in along the motion; known pixels never change.
    With `fusion="none"` nothing is blended (weight 1), and the control has no effect. In both modes the network's own
    fusion is held constant.

    **Controls that vary over the frame.** `action_grid=(rows, columns)` makes the action `Box(-1, 1, (rows, columns,
    5), float32)`: one setting for each cell of an even grid over the frame, from the top left, the same in all frames.
    Controls are interpolated between the centres of the cells; heads are integers in every cell. Inpainters say which
    controls they honour region by region (`videoinpaint.protocols.Regional`), and take the mean over the cells for the
    others; with `fusion="boundary"` the blend follows the map with any inpainter. A grid of one cell, `(1, 1)`, is
    the same environment with actions `(1, 1, 5)`, bit for bit.

    **Skipping.** With `skips=True` the action value of `heads` may go down to -1.4, where the same affine map gives 0
    heads. Below -1.2 the cell (without a grid, the frame) is skipped: its repair stays as it is, except for a soft edge
    next to refined cells. In a pass that refines others, a skipped cell costs as much as with 2 heads. If no cell with
    a flagged pixel is refined, the step costs nothing and the episode terminates. Actions within [-1, 1] mean the same
    with and without `skips`.

    Which controls change the repair depends on the inpainter: `env.unwrapped.honoured_controls` is a subset of
    `{"heads", "fusion", "objective"}`, where "objective" stands for alpha, beta and gamma.

    ## Observation Space

    `Dict` of two images, channel-first with time stacked into the channels, so that stock policies read them as
    images (Stable-Baselines3 does so where `height` and `width` are at least 36 and greater than `3 * num_frames`).

    | Key | Content | Shape | Type (0 .. 255) |
    | --- | --- | --- | --- |
    | `frames` | the repair `Yhat_n`; after a reset `X`, with grey holes | `(3T, H, W)`: R, G, B, R, ... | uint8 |
    | `masks` | the predicted mask `M_n`; the hole `M_0` after a reset | `(T, H, W)` | uint8 |

    The wrappers of `videoinpaint.envs.wrappers` give other views: `TimeAxis`, `ChannelsLast`, `SingleImage`,
    `SquareImage`, `Thumbnails`, `FloatObservation`; and `NaturalControls` takes actions in natural units.

    ## Rewards

    `R_n = alpha * (Q_s + Q_p) - beta * (L_perce + L_lpips) - gamma * L_wta - compute_price * g_n`, where

    | Term | Meaning |
    | --- | --- |
    | `Q_s` | SSIM, mean over frames |
    | `Q_p` | PSNR in dB divided by `psnr_scale`, mean over frames |
    | `L_perce` | L1 distance of backbone features, mean over layers |
    | `L_lpips` | LPIPS distance |
    | `L_wta` | warp-and-align distance: features of a frame, aligned to the next, against the next reference frame's |
    | `g_n` | GFLOPs of this iteration's pass divided by those of the same pass with 12 heads |

    Only passes have a price, because no action changes what preparing an episode (`begin`) or a detection costs;
    evaluation records hold all three costs (docs/benchmarks.md).

    `reward_weights="action"` (as in the paper) takes alpha, beta and gamma from the action (with an action grid, their
    means over the cells), which lets an agent raise its reward without a better repair: rank policies by
    `info["quality"]`, which the action does not scale.
    `reward_weights="fixed"` uses 0.9, 0.45 and 0.2. `reward="improvement"` gives `R_n - R_{n-1}`, both without price
    and under the weights of step n, minus the price of step n; the first step is compared with the damaged clip, `R_0`.

    ## Info

    The same keys after `reset` as after `step`, NumPy scalars and short strings (and two arrays):

    | Key | Content |
    | --- | --- |
    | `quality` | absolute reward of the repair under fixed weights (0.9, 0.45, 0.2), without price: rank by this |
    | `metrics` | raw: `psnr` in dB, `ssim`, `lpips`, `perceptual`, `wta`, `psnr_hole` in dB inside the hole |
    | `reward_terms` | weighted; their sum is the reward; 0 after a reset |
    | `controls` | in natural units, after clipping and rounding, mean over an action grid; 0 after a reset |
    | `control_map` | with an action grid only: the controls of every cell, float32 `(rows, columns, 5)` |
    | `reward_map` | with `reward_map=True` only: where the reward arose, `(rows, columns)`; its sum is the reward |
    | `gflops` | of this iteration's inpainting pass alone; 0 after a reset |
    | `heads_run` | attention heads that really ran (for a grid's mean): published networks map 2..12 to at most 4 |
    | `iteration` | 0 after a reset |
    | `end` | why it is over: `"repaired"`, `"stopped"`, `"max_iterations"`, or `""`; in vectors also `"truncated"` |
    | `is_success` | whether the detector no longer flags anything |
    | `clip`, `mask`, `seed` | what the episode is about; `reset(seed=info["seed"])` begins the same one again |
    | `random_weights` | the parts whose networks are untrained (`weights="random"`): then only cost means anything |

    After a reset `metrics` and `quality` are those of the damaged clip, so that an episode's record needs no baseline
    of its own. `flat_info=True` leaves strings, arrays and nesting out (`"metrics/psnr"`), for libraries that record
    numbers. Gymnasium's `NumpyToTorch` accepts all infos of a single environment, but of a vector environment only flat
    ones with next-step autoreset. A vector environment with `output="torch"` does not need that wrapper.

    ## Starting State

    A clip from `clips` and a hole from `masks`, both drawn from the episode's seed. `reset(options={"clip": ...,
    "mask": ...})` chooses them: a clip's name in the source or a uint8 array `(T, H, W, 3)`; a kind of mask
    (`"square"`) or an array `(T, H, W)`, 1 = missing. A hole that is empty or covers everything raises `InputError`.

    ## Episode End

    The episode terminates after `max_iterations` steps, as soon as the detector flags nothing inside the hole (no
    pixel of `M_n` reaches 0.5), or, with `skips=True`, as soon as an action skips all that is flagged. It never
    truncates by itself. With `reward="absolute"` the last reward of an episode that ends early, without the price,
    counts again for every iteration that is left, so that finishing early does not lower the return. A `step` after
    the end raises `gymnasium.error.ResetNeeded`.

    So `env.spec` has no `max_episode_steps`, and environments made from it end as this one does. Wrappers that need
    an episode's maximal length (`TimeAwareObservation`) take it from `gymnasium.make(..., max_episode_steps=N)`, whose
    `TimeLimit` then also truncates episodes after N steps.

    ## Arguments

    ```python
    import gymnasium as gym
    import videoinpaint

    env = gym.make("VideoInpaint-v1", clips="studio:hard", masks="object", max_iterations=5)
    ```

    | Argument | Default | Meaning |
    | --- | --- | --- |
    | `clips` | `"studio"` | clip source: a name, a video file, a folder, `"module:attribute"`, or an instance |
    | `masks` | `"stationary"` | mask source: a name, a path, `"module:attribute"`, or an instance |
    | `num_frames` | `8` | frames in a clip, T, at least 2 |
    | `height`, `width` | `120`, `216` | frame size in pixels, at least 32 and what the inpainter needs |
    | `max_iterations` | `3` | iterations in an episode, N |
    | `inpainter` | `"compact"` | a name, `"module:attribute"`, or an instance |
    | `detector` | `"compact"` | a name, `"module:attribute"`, or an instance |
    | `backbone` | `"alex"` | network behind LPIPS and the feature terms: `"alex"` or `"vgg16"` |
    | `reward` | `"absolute"` | `"absolute"` or `"improvement"` |
    | `reward_weights` | `"action"` | `"action"` or `"fixed"` |
    | `psnr_scale` | `50.0` | dB that count as 1; 1 gives raw dB |
    | `compute_price` | `0.0` | reward deducted for a pass with all 12 heads |
    | `device` | `"auto"` | `"auto"` (the GPU where there is one), `"cpu"`, `"cuda"`, ... |
    | `weights` | `None` | of the inpainter: a file (a folder for several), or `"random"` for an untrained network |
    | `detector_weights` | `None` | of the detector, likewise |
    | `flat_info` | `False` | infos without strings and nesting |
    | `precision` | `"auto"` | of the compact networks: `"float32"`, `"bfloat16"`, or as suits the processor |
    | `bank` | `None` | a folder of episodes that `videoinpaint bank build` prepared: a reset only reads |
    | `prefetch` | `0` | threads that prepare the next episodes while the current ones are played |
    | `fusion` | `"network"` | what the control fusion means: `"network"`, `"boundary"` or `"none"`, see above |
    | `action_grid` | `None` | `(rows, columns)`: an action for each cell of a grid over the frame, see above |
    | `reward_map` | `False` | with `action_grid` and `reward="improvement"`: infos say where the reward arose |
    | `skips` | `False` | an action may skip cells, and so end the episode, see above |
    | `compile` | `False` | compile the compact networks (`torch.compile`): slow first steps, other rounding |
    | `render_mode` | `None` | `"rgb_array"` (corrupted, repaired, predicted mask, reference: one row) or `"human"` |

    With an action grid of more than one cell two panels follow, which show the last step's heads and fusion by cell
    over the repair in grey: blue is the least, orange the most. After a reset, and after `set_state` until the next
    step, there is no map to show, and they are grey only.

    `gym.make_vec("VideoInpaint-v1", num_envs=4)` runs all environments as one batch; it takes the same arguments,
    and `autoreset_mode`, `max_episode_steps` and `output` (`"torch"` gives tensors on the device, docs/throughput.md).
    If a step of the batch fails, also while it begins new episodes, it changes nothing and can be retried.

    `VideoInpaintBudget-v0` is `VideoInpaint-v1` with a price on computation, so that the number of heads becomes a
    decision. Its clips are longer and smaller, because the temporal reach of heads matters more in them: with
    `compact`, 2 heads look at the neighbouring frames and 12 at the whole clip, a later pass continues where the one
    before stopped, and in a still scene there is nothing to find (docs/results/headroom.md has the best number of
    heads by price).

    `VideoInpaintRegions-v0` is `VideoInpaint-v1` with an action for each cell of a grid of 4 by 6 and a small price:
    what is missing differs over the frame, and so does the number of heads worth paying for. In
    `VideoInpaintRegions-v1` an agent may also skip cells, and so end the episode: most of what several passes gain
    comes from the first (docs/results/headroom.md).

    `env.unwrapped.get_state()` and `set_state(state)` save and restore an episode exactly, random generator included;
    the state is a dict of tensors and plain values that `torch.save` writes and `torch.load(weights_only=True)`
    reads.

    ## Version History

    * v1: the reward is the improvement under fixed weights; `VideoInpaintBudget-v0` and `VideoInpaintRegions-v0` have
      that reward and a price; `VideoInpaintRegions-v1` is the latter with `skips=True`
    * v0: the reward of CLIP-RL, Eq. 6
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012 - gymnasium's own form

    @names_checked
    def __init__(
        self,
        clips: str | Path | ClipSource = Settings.clips,
        masks: str | Path | MaskSource = Settings.masks,
        num_frames: int = Settings.num_frames,
        height: int = Settings.height,
        width: int = Settings.width,
        max_iterations: int = Settings.max_iterations,
        inpainter: str | Inpainter = Settings.inpainter,
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
        fusion: str = Settings.fusion,
        action_grid: tuple[int, int] | None = Settings.action_grid,
        reward_map: bool = Settings.reward_map,
        compile: bool = Settings.compile,
        skips: bool = Settings.skips,
    ) -> None:
        settings = Settings(
            clips=clips, masks=masks, num_frames=num_frames, height=height, width=width, max_iterations=max_iterations,
            inpainter=inpainter, detector=detector, backbone=backbone, reward=reward, reward_weights=reward_weights,
            psnr_scale=psnr_scale, compute_price=compute_price, device=device, weights=weights,
            detector_weights=detector_weights, flat_info=flat_info, precision=precision, bank=bank, prefetch=prefetch,
            fusion=fusion, action_grid=action_grid, reward_map=reward_map, compile=compile, skips=skips,
        )  # fmt: skip
        self._build(settings, render_mode)

    def _build(self, settings: Settings, render_mode: str | None) -> None:
        if render_mode is not None and (not isinstance(render_mode, str) or render_mode not in RENDER_MODES):
            raise InputError(
                f"unknown render_mode {shown(render_mode)}: use {', '.join(map(repr, RENDER_MODES))} or None"
            )
        self.render_mode = render_mode
        self._window = Display(self.metadata["render_fps"]) if render_mode == "human" else None
        self._core = Core(settings)
        self.observation_space, self.action_space = self._core.spaces()
        self._running = Running(self._core, 1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: the episode's seed; it also seeds the generator from which the seeds of later episodes are drawn.
            options: ``{"clip": name or uint8 (T, H, W, 3), "mask": kind or (T, H, W)}``, both optional.

        Raises:
            InputError, UnknownNameError: the seed is invalid, or the options name or hold nothing usable.
        """
        seed = None if seed is None else seed_number(seed)
        check_options(options)
        self._hand_over()
        (_, seen), (info,) = self._running.begin([0], [seed], [options])
        ((self._np_random, self._np_random_seed),) = self._running.generators
        self._show()
        return _first(seen), info

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One iteration: inpaint, detect, score.

        Args:
            action: ``(5,)``, or ``(rows, columns, 5)``, in [-1, 1]; see Action Space.

        Raises:
            ResetNeeded: the episode is over, or none has begun.
            InputError: the action has another shape, or is not finite.
        """
        if self._running.empty or self._running.done[0]:
            raise ResetNeeded("this episode is over (or none has begun): call reset() before step()")
        values = as_numbers(action)
        expected = self._core.settings.action_shape
        if values.shape != expected:
            raise InputError(f"an action has shape {expected}, got {values.shape}")
        done = self._running.step(values[None], [0])
        self._show()
        ((_, seen),) = done.seen
        return _first(seen), float(done.rewards[0]), bool(done.terminated[0]), False, done.infos[0]

    def render(self) -> NDArray[np.uint8] | None:
        """The panels of the middle frame, uint8 ``(h, w, 3)``, for "rgb_array"; "human" shows them and gives None."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() does nothing without a render_mode: pass render_mode='rgb_array' or 'human'"
            )
            return None
        if self._running.empty:
            raise ResetNeeded("nothing to render yet: call reset() before render()")
        if self.render_mode == "human":
            self._show()
            return None
        return self._running.draw([0])[0]

    def close(self) -> None:
        """Close the window, and stop threads, if there are any. May be called more than once."""
        self._core.close()
        if self._window is not None:
            self._window.close()

    def get_state(self) -> dict[str, Any]:
        """Everything that decides how this episode goes on: tensors and plain values, safe to keep and to save.

        Raises:
            ResetNeeded: no episode has begun.
        """
        self._check_begun()
        return self._running.state(0)

    def get_brief_state(self) -> dict[str, Any]:
        """As :meth:`get_state`, in a tenth of the bytes or fewer, and restored just as exactly: packed, and without
        what the episode's seed determines. Restoring begins the episode again, which costs as much as a reset.

        Raises:
            ResetNeeded: no episode has begun.
        """
        self._check_begun()
        return self._running.brief_state(0)

    def set_state(self, state: dict[str, Any]) -> Observation:
        """Continue from a state of this or of another environment with the same arguments.

        Returns:
            the observation of that state.

        Raises:
            InputError: the state is of another version, or of an environment with other arguments.
        """
        self._running.restore([state])
        ((self._np_random, self._np_random_seed),) = self._running.generators
        return _first(self._running.observe())

    def _check_begun(self) -> None:
        if self._running.empty:
            raise ResetNeeded("there is no state yet: call reset() first")
        self._hand_over()

    def _hand_over(self) -> None:
        """Gymnasium keeps the generator here, and lets anybody set it."""
        self._running.generators = [(self.np_random, self.np_random_seed)]

    def _show(self) -> None:
        if self._window is not None and not self._running.empty:
            self._window.show(self._running.draw([0])[0])


def _first(seen: Mapping[str, Tensor]) -> Observation:
    return {name: picture[0].cpu().numpy() for name, picture in seen.items()}
