"""One transition function for single and batched use: the environments are thin shells around :class:`Core`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.contract import check_complaints
from videoinpaint.controls import DEFAULT, NAMES, action_to_controls, as_numbers, framewide, mean_controls, refining
from videoinpaint.device import check_defaults, fetched, may_look
from videoinpaint.envs import fork  # noqa: F401 - its import keeps forked workers from waiting for ever
from videoinpaint.envs.actions import action_space
from videoinpaint.envs.bank import Bank, Identity, begins_alike, identify
from videoinpaint.envs.infos import MAX_ITERATIONS, REPAIRED, RUNNING, STOPPED, Info, episode_infos, flattened
from videoinpaint.envs.loop import Round
from videoinpaint.envs.parts import make_parts
from videoinpaint.envs.prefetch import Prefetch
from videoinpaint.envs.rewards.reward import TERMS
from videoinpaint.envs.rewards.scoring import Scoring, as_numpy
from videoinpaint.envs.settings import Settings
from videoinpaint.envs.skipping import at_rest
from videoinpaint.envs.states.batch import join, nested, take, unstacked, within
from videoinpaint.envs.states.episodes import Episode
from videoinpaint.errors import InputError
from videoinpaint.files import user_path
from videoinpaint.inpainters.propagators import predict_masks
from videoinpaint.metrics.segmentation import j_and_f, region_similarity
from videoinpaint.protocols import State, draws_globally, heads_run_of


@dataclass(frozen=True)
class Outcome:
    """What a step gave, one entry an episode.

    Attributes:
        rewards: float64 ``(B,)``.
        terminated: bool ``(B,)``.
        infos: one dict an episode, see :func:`videoinpaint.envs.infos.episode_infos`.
    """

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    infos: list[Info]


class Core:
    """Runs batches of episodes, which are in the states that it is given: of an episode it keeps nothing.

    Between calls it keeps what all episodes share: the parts, the layout of a state, the bank of begun episodes, those
    that are being begun ahead, and a clock, where somebody measures.

    A state is a flat dict of tensors that lead with B: ``loop/...`` (see :class:`ClosedLoop`), ``reward/...`` (the
    reference's features), ``last/...`` (raw metrics of the last repair; of the damaged clip at first), ``reference``
    uint8 ``(B, T, 3, H, W)`` and ``iteration`` int64 ``(B,)``; one-shot also ``predicted/...`` float64 ``(B,)``, how
    well the target was followed.

    Raises:
        InputError, UnknownNameError, MissingWeightsError, CorruptWeightsError: before any work starts.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.layout: dict[str, tuple[tuple[int, ...], torch.dtype]] | None = None
        """Shape, without B, and type of every tensor of a state, which depend on the settings alone; None at first."""
        self.shape = (int(settings.num_frames), int(settings.height), int(settings.width))
        self.parts = parts = make_parts(settings, self.shape)
        self.device, self.loop, self.reward = parts.device, parts.loop, parts.reward
        self.propagator, self.episodes = parts.propagator, parts.episodes
        self.scoring = Scoring(settings, self.reward, self.loop.inpainter)
        self.bank = None if settings.bank is None else self._open_bank(user_path(settings.bank))
        self.ahead = self._prefetch(int(settings.prefetch)) if settings.prefetch else None

    def _open_bank(self, folder: Path) -> Bank:
        bank = Bank(folder, self.identity(), self.device)
        # Sources may have other clips under the same name, and a release may draw them otherwise.
        seed = int(bank.seeds[0])
        drawn = self.episodes.draw(np.random.default_rng(0), seed, None)
        if bank.episode(seed).digest() != drawn.digest():
            raise InputError(f"the bank {folder} holds other clips than {drawn.clip!r} has today: build it again")
        # Parts may differ in more than their weights.
        if not begins_alike(bank.begun(seed), self._begin([drawn], timed=False)):
            raise InputError(
                f"the bank {folder} was begun by other parts than {self.loop.inpainter.name!r} is here: its episode of "
                f"seed {seed} begins otherwise: build another bank"
            )
        return bank

    def _prefetch(self, threads: int) -> Prefetch:
        drawing = [part.name for part in (self.loop.inpainter, self.propagator) if part and draws_globally(part)]
        if drawing:
            raise InputError(
                f"prefetch={threads} is not possible with {drawing[0]!r}, which sets torch's own generator, that all "
                "threads share, while an episode begins: leave it out, or build a bank of episodes"
            )
        if self.bank is not None:
            raise InputError("prefetch and bank both spare a reset its work: give one of them")
        return Prefetch(self._begin_ahead, partial(self.episodes.seed, seed=None), threads)

    def _begin_ahead(self, seed: int) -> tuple[Episode, State]:
        episode = self.episodes.draw(np.random.default_rng(0), seed, None)
        return episode, self._begin([episode], timed=False)

    def identity(self) -> Identity:
        """What an episode's first state depends on; a bank is of one such identity."""
        parts = {"inpainter": self.loop.inpainter, "propagator": self.propagator}
        return identify(self.episodes, parts | {"feature network": self.reward})

    def close(self) -> None:
        """Stop what works beside the environment."""
        if self.ahead is not None:
            self.ahead.close()

    def seed(self, rng: np.random.Generator, seed: int | None) -> int:
        """The seed of the next episode: the one asked for, or one that `rng` gives; with a bank, of those it holds."""
        if seed is None and self.bank is not None:
            return self.bank.draw(rng)
        return self.episodes.seed(rng, seed)

    def draw(self, seed: int, options: dict[str, Any] | None) -> Episode:
        """The episode of a seed; from the bank, or begun already, where it is there.

        Raises:
            InputError, UnknownNameError: see :meth:`~videoinpaint.envs.states.episodes.EpisodeSource.draw`; a damaged
                bank.
        """
        if not options and self.bank is not None and seed in self.bank:
            return self.bank.episode(seed)
        found = None if options or self.ahead is None else self.ahead.take(seed)
        return found or self.episodes.draw(np.random.default_rng(0), seed, options)

    def expect(self, place: int, rng: np.random.Generator) -> None:
        """Tell that the environment at `place` has begun an episode; the next one is prepared if that was asked for."""
        if self.ahead is not None:
            self.ahead.expect(place, rng)

    def infos(self, told: Sequence[Info], episodes: Sequence[Episode]) -> list[Info]:
        """What the environment hands out: infos with their episodes' labels, flat if that was asked for."""
        # Asked once for all of them, and not once and for all: a part may load its weights while it works.
        untrained = {"random_weights": self.parts.untrained}
        whole = [episode.labels() | info | untrained for info, episode in zip(told, episodes, strict=True)]
        return [flattened(info) for info in whole] if self.settings.flat_info else whole

    def begun_infos(self, state: State) -> list[Info]:
        """The infos of episodes that have just begun: the damaged clip's metrics, and no reward."""
        count = len(state["iteration"])
        nothing = {name: np.zeros(count) for name in (*TERMS, "compute")}
        metrics = _of(fetched(nested("now", within("last", state))), "now")
        unset = np.zeros((count, *self.settings.action_shape), np.float32)
        arose = unset[..., 0].astype(np.float64) if self.settings.reward_map else None
        return self._infos(state, metrics, nothing, unset, [RUNNING] * count, arose)

    def spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """The observation and the action space of one episode, new objects."""
        frames, height, width = self.shape
        observation = spaces.Dict(
            frames=spaces.Box(0, 255, (3 * frames, height, width), np.uint8),
            masks=spaces.Box(0, 255, (frames, height, width), np.uint8),
        )
        return observation, action_space(self.settings.action_shape, skips=bool(self.settings.skips))

    def begin(self, episodes: Sequence[Episode]) -> State:
        """Start a batch of episodes."""
        check_defaults()
        begun = [None if episode.begun is None else episode.begun() for episode in episodes]
        missing = [episode for episode, one in zip(episodes, begun) if one is None]
        if len(missing) == len(episodes):
            state = self._begin(episodes)
        else:
            fresh = iter(unstacked(self._begin(missing)) if missing else [])
            state = join([next(fresh) if one is None else one for one in begun])
        self.layout = {name: (tuple(tensor.shape[1:]), tensor.dtype) for name, tensor in state.items()}
        return state

    def begin_loop(self, episodes: Sequence[Episode]) -> State:
        """The loop's part of a state alone, under the loop's own names."""
        return within("loop", self._begin_loop(episodes, *self._truth(episodes)))

    def _truth(self, episodes: Sequence[Episode]) -> tuple[Tensor, Tensor]:
        """Reference uint8 ``(B, T, 3, H, W)`` and holes float32 ``(B, T, 1, H, W)``, on the device."""
        reference = torch.from_numpy(np.stack([e.frames for e in episodes])).to(self.device)
        holes = torch.from_numpy(np.stack([e.holes for e in episodes])).to(self.device).unsqueeze(2).float()
        return reference.permute(0, 1, 4, 2, 3).contiguous(), holes

    def _begin(self, episodes: Sequence[Episode], *, timed: bool = True) -> State:
        reference, holes = self._truth(episodes)
        with self.loop.timed("begin", len(episodes)) if timed else nullcontext():
            state = self._begin_loop(episodes, reference, holes)
        state |= nested("reward", self.reward.begin(reference.float() / 255, holes))
        state |= {"reference": reference, "iteration": torch.zeros(len(episodes), dtype=torch.int64)}
        # R_0 scores the damaged clip, with the whole hole as supervision weight: nothing was detected yet.
        weights = state["loop/holes"].expand(-1, -1, 3, -1, -1)
        return state | nested("last", self.reward.measure(within("reward", state), state["loop/corrupted"], weights))

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
            InputError: actions of another shape than ``(B, 5)`` (with a grid ``(B, rows, columns, 5)``), or not finite.
        """
        count = len(state["iteration"])
        expected = (count, *self.settings.action_shape)
        values = as_numbers(actions, "actions")
        if values.shape != expected:
            raise InputError(f"actions must have shape {expected} in the order {NAMES}, got {values.shape}")
        controls = action_to_controls(values, self.settings.skips)
        resting = at_rest(controls, state["loop/masks"]) if self.settings.skips else np.zeros(count, bool)
        if not resting.any():
            return self._refine(state, controls)
        played, order = [], []
        for which, play in ((resting, self._rest), (~resting, self._refine)):
            if places := np.flatnonzero(which).tolist():
                played.append(play(take(state, places), controls[places]))
                order += places
        return _together(played, np.argsort(order))

    def _rest(self, state: State, controls: NDArray[np.float32]) -> tuple[State, Outcome]:
        """The last iteration of episodes that stop: nothing changes, and nothing is computed."""
        count = len(controls)
        nothing, iteration = torch.zeros(count, dtype=torch.float64), state["iteration"] + 1
        following = state | {"loop/gflops": nothing, "loop/full_gflops": nothing, "iteration": iteration}
        metrics = _of(fetched(nested("now", within("last", state))), "now")
        terms = self.scoring.terms(metrics, metrics, controls, np.zeros(count))
        terms = self.scoring.to_the_end(terms, np.ones(count, bool), iteration)
        arose = None if not self.settings.reward_map else np.zeros(controls.shape[:-1])
        infos = self._infos(following, metrics, terms, controls, [STOPPED] * count, arose)
        return following, Outcome(sum(terms.values(), start=np.zeros(count)), np.ones(count, bool), infos)

    def _refine(self, state: State, controls: NDArray[np.float32]) -> tuple[State, Outcome]:
        count = len(controls)
        done = self.loop.advance(within("loop", state), framewide(controls))
        repair = done.state["repaired"]
        if may_look(repair):  # where it costs nothing, before the reward meets what is no number
            check_complaints(done.sound)
        features = self.reward.features(repair) if self.settings.reward_map else None  # asked for twice
        metrics = self.reward.measure(within("reward", state), repair, done.detection.weights, features)
        seen = self._seen(done, metrics, within("last", state))
        loop = done.state | {name: torch.from_numpy(seen[name]) for name in ("gflops", "full_gflops")}
        iteration = state["iteration"] + 1
        following = state | nested("loop", loop) | nested("last", metrics) | {"iteration": iteration}
        share = seen["gflops"] / np.maximum(seen["full_gflops"], 1e-12)
        terms = self.scoring.terms(_of(seen, "now"), _of(seen, "before"), controls, share)
        repaired, left = seen["flagged"] == 0, self.settings.max_iterations - iteration.numpy()
        terms = self.scoring.to_the_end(terms, repaired, iteration)
        ends = [REPAIRED if early else RUNNING if more > 0 else MAX_ITERATIONS for early, more in zip(repaired, left)]
        arose = self.scoring.by_cell(state, done, features, terms, controls) if self.settings.reward_map else None
        infos = self._infos(following, _of(seen, "now"), terms, controls, ends, arose)
        rewards = sum(terms.values(), start=np.zeros(count))
        return following, Outcome(rewards, repaired | (left <= 0), infos)

    def _seen(self, done: Round, metrics: State, before: State) -> dict[str, NDArray[np.float64]]:
        """All that Python must know of a step, the one place where it waits for the device.

        Raises:
            CorruptWeightsError: a part of this package gave values that are not finite.
            InputError: somebody else's did, or a part gave values that are out of range.
        """
        values = nested("now", metrics) | nested("before", before) | {"flagged": done.flagged}
        values |= {name: done.state[name] for name in ("gflops", "full_gflops")}
        count = len(done.flagged)
        seen = fetched(values | {complaint: fine.expand(count) for complaint, fine in done.sound.items()})
        check_complaints({complaint: seen[complaint].all() for complaint in done.sound})
        return seen

    def _infos(
        self, state: State, metrics: State, terms: dict[str, NDArray[np.float64]], controls: NDArray[np.float32],
        ends: list[str], arose: NDArray[np.float64] | None,
    ) -> list[Info]:  # fmt: skip
        exact = {name: tensor.double() for name, tensor in metrics.items()}
        value, _ = self.reward.combine(exact, DEFAULT.alpha, DEFAULT.beta, DEFAULT.gamma)
        others = {"quality": value, "gflops": state["loop/gflops"], "iteration": state["iteration"]}
        others |= within("predicted", state)
        measured = {name: tensor.numpy() for name, tensor in others.items()}
        mean = mean_controls(controls)
        # Skipped cells run with the fewest heads; after a reset, and in an episode that stops, nothing ran.
        ran = heads_run_of(self.loop.inpainter, mean_controls(refining(controls)))
        measured["heads_run"] = np.where((measured["iteration"] > 0) & (np.array(ends) != STOPPED), ran, 0)
        maps = {"control_map": None if self.settings.action_grid is None else controls, "reward_map": arose}
        return episode_infos(as_numpy(metrics), terms, mean, measured, ends, maps)


def _together(played: Sequence[tuple[State, Outcome]], places: NDArray[np.int64]) -> tuple[State, Outcome]:
    """Parts of a batch as one, its episodes at their places."""
    states, outcomes = zip(*played)
    infos = [info for outcome in outcomes for info in outcome.infos]
    rewards = np.concatenate([outcome.rewards for outcome in outcomes])[places]
    terminated = np.concatenate([outcome.terminated for outcome in outcomes])[places]
    return take(join(states), places.tolist()), Outcome(rewards, terminated, [infos[place] for place in places])


def _of(seen: dict[str, NDArray[np.float64]], prefix: str) -> State:
    """Metrics among what was fetched, as the float32 that they were measured in."""
    return {name: torch.from_numpy(values).float() for name, values in within(prefix, seen).items()}
