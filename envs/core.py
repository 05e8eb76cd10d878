"""One transition function for single and batched use: the environments are thin shells around :class:`Core`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.clips import ClipSource, MaskSource, make_clips, make_masks
from videoinpaint.clips.validate import MIN_SIZE
from videoinpaint.controls import ALPHA, BETA, GAMMA, MIDDLE, NAMES, Controls, action_to_controls
from videoinpaint.detectors import make_detector
from videoinpaint.envs.batch import nested, take, within
from videoinpaint.envs.episodes import Episode, EpisodeSource
from videoinpaint.envs.loop import ClosedLoop, check_size, resolve_device
from videoinpaint.envs.reward import Reward
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.propagators import make_propagator, predict_masks
from videoinpaint.metrics.segmentation import j_and_f, region_similarity
from videoinpaint.protocols import Detector, Inpainter, MaskPropagator, State

Observation = dict[str, NDArray[np.uint8]]

REWARDS = ("absolute", "improvement")
REWARD_WEIGHTS = ("action", "fixed")


@dataclass(frozen=True)
class Settings:
    """The keyword arguments that the single and the vector environment share; `VideoInpaintEnv` documents them."""

    clips: str | Path | ClipSource = "studio"
    masks: str | Path | MaskSource = "stationary"
    num_frames: int = 8
    height: int = 120
    width: int = 216
    max_iterations: int = 3
    inpainter: str | Inpainter = "compact"
    detector: str | Detector = "compact"
    backbone: str = "alex"
    reward: str = "absolute"
    reward_weights: str = "action"
    psnr_scale: float = 50.0
    compute_price: float = 0.0
    device: str = "auto"
    weights: str | None = None
    detector_weights: str | None = None
    propagator: str | MaskPropagator | None = None
    """One-shot: what carries the first frame's mask through the clip; None: masks are given."""

    def __post_init__(self) -> None:
        for name, least in (("num_frames", 2), ("height", MIN_SIZE), ("width", MIN_SIZE), ("max_iterations", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise InputError(f"{name} must be an integer of at least {least}, got {value!r}")
        for name, known in (("reward", REWARDS), ("reward_weights", REWARD_WEIGHTS)):
            if getattr(self, name) not in known:
                raise InputError(f"unknown {name} {getattr(self, name)!r}: use {' or '.join(map(repr, known))}")
        if not (np.isfinite(self.compute_price) and self.compute_price >= 0):
            raise InputError(f"compute_price must be a number of at least 0, got {self.compute_price!r}")
        if not (np.isfinite(self.psnr_scale) and self.psnr_scale > 0):
            raise InputError(f"psnr_scale must be a number above 0, got {self.psnr_scale!r}")


@dataclass(frozen=True)
class Outcome:
    """What a step gave, one entry an episode.

    Attributes:
        rewards: float64 ``(B,)``.
        terminated: bool ``(B,)``.
        infos: scalars and short strings, nested one level.
    """

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    infos: list[dict[str, Any]]


class Core:
    """Builds the parts and runs batches of episodes; it keeps nothing between calls.

    A state is a flat dict of tensors that lead with B: ``loop/...`` (see :class:`ClosedLoop`), ``reward/...`` (the
    reference's features), ``last/...`` (raw metrics of the last repair, for "improvement"), ``reference`` uint8
    ``(B, T, 3, H, W)`` and ``iteration`` int64 ``(B,)``; one-shot also ``predicted/...`` float64 ``(B,)``, how well the
    target was followed.

    Raises:
        InputError, UnknownNameError, MissingWeightsError, CorruptWeightsError: before any work starts.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = resolve_device(settings.device)
        self.shape = (int(settings.num_frames), int(settings.height), int(settings.width))
        self.propagator: MaskPropagator | None = None
        if settings.propagator is not None:
            self.propagator = make_propagator(settings.propagator, device=self.device)
        followed_by = None if self.propagator is None else self.propagator.name
        self.episodes = EpisodeSource(make_clips(settings.clips), make_masks(settings.masks), self.shape, followed_by)
        inpainter = make_inpainter(settings.inpainter, device=self.device, weights=settings.weights)
        check_size(inpainter, *self.shape[1:])
        detector = make_detector(settings.detector, device=self.device, weights=settings.detector_weights)
        self.loop = ClosedLoop(inpainter, detector, self.device, measure_full=settings.compute_price > 0)
        self.reward = Reward(settings.backbone, device=self.device, psnr_scale=settings.psnr_scale)

    @property
    def honoured(self) -> frozenset[str]:
        """Which of "heads", "fusion", "objective" change what the inpainter does."""
        return self.loop.inpainter.controls

    @property
    def notes(self) -> dict[str, str]:
        """What every info repeats: ``random_weights`` names the parts whose networks are untrained, if any."""
        parts = (self.loop.inpainter, self.loop.detector, self.propagator)
        untrained = [part.name for part in parts if part is not None and getattr(part, "random_weights", False)]
        return {"random_weights": ", ".join(untrained)} if untrained else {}

    def remarks(self, state: State) -> list[dict[str, Any]]:
        """What the infos of these episodes repeat: the notes, and one-shot how well the target was followed."""
        measured = {name: tensor.tolist() for name, tensor in within("predicted", state).items()}
        count = len(state["iteration"])
        return [self.notes | {name: values[i] for name, values in measured.items()} for i in range(count)]

    def spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """The observation and the action space of one episode, new objects."""
        frames, height, width = self.shape
        observation = spaces.Dict(
            frames=spaces.Box(0, 255, (3 * frames, height, width), np.uint8),
            masks=spaces.Box(0, 255, (frames, height, width), np.uint8),
        )
        return observation, spaces.Box(-1.0, 1.0, (5,), np.float32)

    def begin(self, episodes: Sequence[Episode]) -> State:
        """Start a batch of episodes; one that is there several times is started once."""
        order = {id(episode): episode for episode in episodes}
        if len(order) == len(episodes):
            return self._begin(episodes)
        at = {key: position for position, key in enumerate(order)}
        return take(self._begin(list(order.values())), [at[id(episode)] for episode in episodes])

    def _begin(self, episodes: Sequence[Episode]) -> State:
        reference = torch.from_numpy(np.stack([e.frames for e in episodes])).to(self.device)
        reference = reference.permute(0, 1, 4, 2, 3).contiguous()
        holes = torch.from_numpy(np.stack([e.holes for e in episodes])).to(self.device).unsqueeze(2).float()
        state = self._begin_loop(episodes, reference, holes)
        state |= nested("reward", self.reward.begin(reference.float() / 255, holes))
        state |= {"reference": reference, "iteration": torch.zeros(len(episodes), dtype=torch.int64)}
        if self.settings.reward == "improvement":
            # R_0 scores the corrupted clip, with the whole hole as supervision weight: nothing was detected yet.
            weights = state["loop/holes"].expand(-1, -1, 3, -1, -1)
            metrics = self.reward.measure(within("reward", state), state["loop/corrupted"], weights)
            state |= nested("last", metrics)
        return state

    def _begin_loop(self, episodes: Sequence[Episode], reference: Tensor, holes: Tensor) -> State:
        """The loop's part of the state; one-shot, `holes` are the true masks, of which only the first is shown."""
        if self.propagator is None:
            return nested("loop", self.loop.begin(reference, holes))
        observed = torch.from_numpy(np.stack([e.observed for e in episodes if e.observed is not None]))
        observed = observed.to(self.device).permute(0, 1, 4, 2, 3).contiguous()
        trackers = predict_masks(self.propagator, observed.float() / 255, holes[:, 0])
        loop, predicted = self.loop.begin_one_shot(observed, trackers)
        # The first frame's mask is given: it says nothing about the propagator.
        followed, true = predicted[:, 1:], holes[:, 1:]
        quality = {"mask_iou": region_similarity(followed, true), "mask_j_and_f": j_and_f(followed, true)}
        measured = {name: values.double().mean(1).cpu() for name, values in quality.items()}
        return nested("loop", loop) | nested("predicted", measured)

    def step(self, state: State, actions: NDArray) -> tuple[State, Outcome]:
        """One iteration of every episode of a batch.

        Raises:
            InputError: actions of another shape than ``(B, 5)``, or not finite.
        """
        expected = (len(state["iteration"]), 5)
        if np.shape(actions) != expected:
            raise InputError(f"actions must have shape {expected} in the order {NAMES}, got {np.shape(actions)}")
        controls = action_to_controls(actions)
        loop, gflops, detection = self.loop.refine(within("loop", state), controls)
        metrics = self.reward.measure(within("reward", state), loop["repaired"], detection.weights)
        terms = self._terms(metrics, within("last", state), controls, gflops / loop["full_gflops"].clamp_min(1e-12))
        iteration = state["iteration"] + 1
        following = state | nested("loop", loop) | {"iteration": iteration}
        if self.settings.reward == "improvement":
            following |= nested("last", metrics)
        done = (iteration >= self.settings.max_iterations) | self.loop.is_repaired(loop)
        infos = _infos(metrics, terms, controls, gflops, iteration)
        rewards = sum(terms.values(), start=np.zeros(expected[0]))
        return following, Outcome(rewards, done.numpy(), infos)

    def _terms(self, metrics: State, before: State, controls: NDArray, share: Tensor) -> dict[str, NDArray[np.float64]]:
        """The named terms whose sum is the reward, each ``(B,)``: Eq. 6 and the price of compute."""
        if self.settings.reward_weights == "fixed":
            controls = np.broadcast_to(MIDDLE.to_array(), controls.shape)
        weights = [torch.from_numpy(controls[:, i].copy()).to(self.device) for i in (ALPHA, BETA, GAMMA)]
        terms = _to_numpy(self.reward.combine(metrics, *weights)[1])
        if self.settings.reward == "improvement":
            # Both repairs under this step's weights, so that changing the weights earns nothing by itself.
            earlier = _to_numpy(self.reward.combine(before, *weights)[1])
            terms = {name: values - earlier[name] for name, values in terms.items()}
        return terms | {"compute": 0.0 - self.settings.compute_price * share.numpy()}  # 0.0 -: no negative zeros


def observe(state: State) -> Observation:
    """What the agents see: ``frames`` uint8 ``(B, 3T, H, W)`` and ``masks`` uint8 ``(B, T, H, W)``, new arrays."""
    return {name: _to_uint8(state[key]) for name, key in (("frames", "loop/repaired"), ("masks", "loop/masks"))}


def _to_uint8(values: Tensor) -> NDArray[np.uint8]:
    stacked = values.flatten(1, 2)
    return stacked.mul(255).round_().clamp_(0, 255).to(torch.uint8).cpu().numpy()


def _to_numpy(values: State) -> dict[str, NDArray[np.float64]]:
    return {name: tensor.double().cpu().numpy() for name, tensor in values.items()}


def _infos(metrics: State, terms: dict[str, Any], controls: NDArray, gflops: Tensor, iteration: Tensor) -> list[Any]:
    """One fresh dict an episode, of Python scalars only."""
    measured = {name: values.tolist() for name, values in _to_numpy(metrics).items()}
    parts = {name: values.tolist() for name, values in terms.items()}
    return [
        {
            "metrics": {name: values[i] for name, values in measured.items()},
            "reward_terms": {name: values[i] for name, values in parts.items()},
            "controls": Controls.from_array(controls[i]).as_dict(),
            "gflops": float(gflops[i]),
            "iteration": int(iteration[i]),
        }
        for i in range(len(controls))
    ]
