"""Episodes as plain dicts of tensors and primitives, which ``torch.load(weights_only=True)`` reads back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.utils import seeding
from gymnasium.wrappers import TimeLimit
from torch import Tensor

from videoinpaint.checks import find_unusable, misshapen, seed_number, shown, whole_number
from videoinpaint.clips.validate import check_masks
from videoinpaint.envs.core import Core
from videoinpaint.envs.states.batch import placed
from videoinpaint.envs.states.episodes import Episode
from videoinpaint.envs.states.packing import Packed, bases_of, pack, plain_layout, read_layout, unpack
from videoinpaint.errors import InputError, VideoInpaintError
from videoinpaint.protocols import State

VERSION = 2
_KEYS = ("version", "arguments", "tensors", "given", "episode", "done", "generator", "generator_seed")
_HIGHEST = 1e6
"""No number of a state is larger."""
_OWN = "loop/inpainter/"
"""What an inpainter keeps for itself: any values, as only it knows what they mean."""
_RANGES = {
    "loop/corrupted": (0, 1), "loop/holes": (0, 1), "loop/repaired": (0, 1), "loop/masks": (0, 1),
    "loop/previous": (0, 1), "loop/gflops": (0, 1e12), "loop/full_gflops": (0, 1e12), "reward/reference": (0, 1),
    "reward/holes": (0, 1), "last/psnr": (0, 100), "last/psnr_hole": (0, 100), "last/ssim": (-1, 1),
    "predicted/mask_iou": (0, 1), "predicted/mask_j_and_f": (0, 1), "reference": (0, 255),
}  # fmt: skip


@dataclass(frozen=True)
class Restored:
    """What :func:`load` gives back: a state of one episode, and the generator with its seed.

    `changed` are the entries that are no more what they were when the episode began, where it is known that the others
    are: where its seed gave it again.
    """

    state: State
    episode: Episode
    done: bool
    generator: tuple[np.random.Generator, int]
    changed: frozenset[str] = frozenset()


def save(
    core: Core, state: State, episode: Episode, done: bool, generator: np.random.Generator, seed: int | None
) -> dict[str, Any]:
    """A snapshot. It shares the state's tensors, which nobody writes to: taking one costs nothing."""
    return {
        "version": VERSION,
        "arguments": _arguments(core),
        "tensors": dict(state),
        "given": _given(episode),
        "episode": episode.labels(),
        "done": done,
        "generator": generator.bit_generator.state,
        "generator_seed": seed,
    }


def save_brief(
    core: Core, packed: Packed, episode: Episode, done: bool, generator: np.random.Generator, seed: int | None
) -> dict[str, Any]:
    """A snapshot in few bytes: packed, and without what the episode's seed gives again.

    Args:
        packed: from :meth:`videoinpaint.envs.states.shelf.Shelf.packed`.
        core, episode, done, generator, seed: as of :func:`save`.
    """
    whole = save(core, {}, episode, done, generator, seed)
    del whole["tensors"]
    brief = {"kept": packed.kept, "built_on": packed.built_on, "layout": plain_layout(packed.layout)}
    brief["again"] = episode.digest() if episode.seeded else None
    return whole | {"brief": brief, "given": {} if episode.seeded else episode.tensors()}


def load(core: Core, snapshot: Mapping[str, Any]) -> Restored:
    """The inverse of :func:`save` and :func:`save_brief`, with tensors moved to the core's device.

    Everything is looked at before anything is returned: what comes back can be stepped.

    Raises:
        InputError: not a snapshot of this version, of an environment with other arguments, or a damaged one.
    """
    try:
        brief = isinstance(snapshot, Mapping) and "brief" in snapshot
        return _load_brief(core, snapshot) if brief else _load(core, snapshot)
    except VideoInpaintError:
        raise
    except Exception as error:  # what somebody else wrote can be wrong in any way
        raise InputError(f"the state is damaged ({type(error).__name__}: {shown(error)}): take another") from error


def _load_brief(core: Core, snapshot: Mapping[str, Any]) -> Restored:
    """Begin the episode again, if its seed gives it, and put what has changed since in its place."""
    brief, given, labels = snapshot["brief"], snapshot["given"], snapshot["episode"]
    _check_heading(core, snapshot)
    _check_usable({"kept": brief["kept"], "given": given})
    packed = Packed(dict(brief["kept"]), dict(brief["built_on"]), read_layout(brief["layout"]))
    again = brief["again"] is not None
    if again:
        episode = core.draw(seed_number(labels["seed"], "the seed of the state's episode"), None)
        if episode.digest() != brief["again"]:
            raise InputError(
                f"seed {labels['seed']} gives another clip or hole than when the state was taken ({labels['clip']!r}): "
                "use the clips and the version of the package that it was taken with"
            )
        clip = episode.tensors()
        state = {name: tensor.cpu() for name, tensor in core.begin([episode]).items()}
        whole = pack(state, bases_of(clip)).changed(packed)
    else:
        clip, whole = dict(given), packed
        _begun(core, clip["frames"].permute(0, 3, 1, 2)[None], {"observed": None} | clip, labels)
    # Before a damaged layout has tensors made of whatever size it says.
    said = {name: torch.empty(size, dtype=kind, device="meta") for name, (size, kind) in whole.layout.items()}
    _check_layout(core, said)
    tensors = unpack([whole], [bases_of(clip)])
    given = {"holes": clip["holes"], "observed": clip.get("observed")}
    restored = _load(core, {**snapshot, "tensors": tensors, "given": given})
    changed = frozenset(packed.built_on) if again else frozenset()
    return replace(restored, episode=replace(restored.episode, seeded=again), changed=changed)


def _load(core: Core, snapshot: Mapping[str, Any]) -> Restored:
    _check_heading(core, snapshot)
    if not isinstance(snapshot["done"], bool):
        raise InputError(f"the state is damaged: done is {shown(snapshot['done'])}")
    generator, _ = seeding.np_random(0)
    generator.bit_generator.state = snapshot["generator"]
    seed = snapshot["generator_seed"]
    if seed is not None:
        whole_number(seed, "generator_seed", -1, 2**256)  # -1: Gymnasium's for a generator that somebody set
    tensors, given = snapshot["tensors"], snapshot["given"]
    _check_usable({"tensors": tensors, "given": given})
    episode = _begun(core, tensors["reference"], given, snapshot["episode"])
    _check_layout(core, tensors)
    _check_values(core, tensors, episode, snapshot["done"])
    state = {name: placed(name, tensor.detach(), core.device) for name, tensor in tensors.items()}
    return Restored(state, episode, snapshot["done"], (generator, seed))


def _check_usable(content: Mapping[str, Mapping[str, Any]]) -> None:
    """Plain tensors, and finite ones but for an inpainter's own."""
    for part, entries in content.items():
        own = {name: entry for name, entry in entries.items() if str(name).startswith(_OWN)}
        found = [f"{part}/{name} {why}" for name, entry in own.items() if (why := misshapen(entry))]
        others = {name: entry for name, entry in entries.items() if name not in own}
        if wrong := next(iter(found), None) or find_unusable(others, part):
            raise InputError(f"the state is damaged: {wrong}")


def _check_heading(core: Core, snapshot: Mapping[str, Any]) -> None:
    """Version, parts and arguments."""
    if not isinstance(snapshot, Mapping) or snapshot.get("version") != VERSION:
        raise InputError(f"not a state of version {VERSION}: pass what get_state() returned")
    if missing := [key for key in _KEYS if key not in snapshot and (key != "tensors" or "brief" not in snapshot)]:
        raise InputError(f"the state is damaged, it lacks {', '.join(missing)}: pass what get_state() returned")
    ours, theirs = _arguments(core), snapshot["arguments"]
    if differing := [
        f"{name}={shown(theirs.get(name))} (here {ours[name]!r})" for name in ours if theirs.get(name) != ours[name]
    ]:
        raise InputError(f"the state belongs to an environment with other arguments: {', '.join(differing)}")


def _episode(core: Core, reference: Tensor, given: Mapping[str, Any], labels: Mapping[str, Any]) -> Episode:
    frames, height, width = core.shape
    _check_tensor("reference", reference, (1, frames, 3, height, width), torch.uint8)
    _check_tensor("holes", given["holes"], core.shape, torch.uint8)
    observed = given["observed"]
    if (observed is None) != (core.propagator is None):
        raise InputError("the state is damaged: what the camera saw belongs to a one-shot episode, and to no other")
    if observed is not None:
        _check_tensor("observed", observed, (*core.shape, 3), torch.uint8)
        observed = observed.cpu().numpy()
    if set(labels) != {"clip", "mask", "seed"} or not all(isinstance(labels[key], str) for key in ("clip", "mask")):
        raise InputError(f"the state is damaged: its episode is called {shown(labels)}")
    seed = seed_number(labels["seed"], "the seed of the state's episode")
    pictures = reference[0].permute(0, 2, 3, 1).contiguous().cpu().numpy()
    holes = check_masks(given["holes"].cpu().numpy(), *core.shape)
    return Episode(pictures, holes, labels["clip"], labels["mask"], seed, observed)


def _begun(core: Core, reference: Tensor, given: Mapping[str, Any], labels: Mapping[str, Any]) -> Episode:
    """A state's episode; where nothing was begun here yet, it shows how the state should look."""
    episode = _episode(core, reference, given, labels)
    if core.layout is None:
        core.begin([episode])
    return episode


def _check_layout(core: Core, tensors: Mapping[str, Tensor]) -> None:
    """Names, shapes and types are those of the episodes that this environment begins."""
    assert core.layout is not None
    if wrong := core.layout.keys() ^ tensors.keys():
        raise InputError(f"the state is damaged: its tensors lack, or have too many of, {', '.join(sorted(wrong))}")
    for name, (shape, dtype) in core.layout.items():
        _check_tensor(name, tensors[name], (1, *shape), dtype)


def _check_values(core: Core, tensors: Mapping[str, Tensor], episode: Episode, done: bool) -> None:
    for name, tensor in tensors.items():
        if name.startswith(_OWN):
            continue
        low, high = _RANGES.get(name, (-_HIGHEST, _HIGHEST))
        if name == "iteration":
            low, high = 0, core.settings.max_iterations
        elif name.startswith("last/"):
            low, high = low - 1e-3, high + 1e-3  # rounding
        if tensor.numel() and not low <= float(tensor.min()) <= float(tensor.max()) <= high:
            raise InputError(f"the state is damaged: {name} is not within {low:g} and {high:g}")
    pictures, scored = tensors["reference"].cpu().float() / 255, tensors["reward/reference"].cpu().float()
    same = torch.allclose(pictures, scored, atol=1e-5)
    holes = torch.from_numpy(episode.holes)[None, :, None].float()
    if not same or not torch.equal(tensors["reward/holes"].cpu(), holes):
        raise InputError("the state contradicts itself: the reward's clip and hole are not the episode's")
    if int(tensors["iteration"]) == core.settings.max_iterations and not done:
        raise InputError("the state contradicts itself: all iterations are made, and the episode goes on")


def _check_tensor(name: str, tensor: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if not isinstance(tensor, Tensor) or tuple(tensor.shape) != tuple(shape) or tensor.dtype != dtype:
        told = f"{tensor.dtype} {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else shown(tensor)
        raise InputError(f"the state is damaged: {name} must be {dtype} {tuple(shape)}, it is {told}")


def restore(env: gymnasium.Env, snapshot: dict[str, Any]) -> Any:
    """Continue from a state through wrappers, in an environment that need not have been reset before.

    Args:
        env: with `VideoInpaintEnv` in it; a `TimeLimit` around it goes on counting where the state stood.
        snapshot: what ``get_state()`` or ``get_brief_state()`` of the unwrapped environment returned.

    Returns:
        the observation of the unwrapped environment.

    Raises:
        InputError: see :func:`load`.
    """
    base: Any = env.unwrapped
    observation = base.set_state(snapshot)
    iteration = int(base.get_state()["tensors"]["iteration"][0])
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            env._elapsed_steps = iteration  # type: ignore[assignment]  # None until a reset
        env = env.env
    return observation


def _given(episode: Episode) -> dict[str, torch.Tensor | None]:
    """What the state's tensors do not tell of an episode: one-shot, the loop's holes are predicted, not true."""
    observed = episode.observed
    return {
        "holes": torch.from_numpy(episode.holes),
        "observed": None if observed is None else torch.from_numpy(observed),
    }


def _arguments(core: Core) -> dict[str, Any]:
    """What must agree for a state to mean the same. Sources may differ: they only matter for later episodes."""
    settings = core.settings
    names = ("max_iterations", "backbone", "reward", "reward_weights", "psnr_scale", "compute_price")
    parts: dict[str, Any] = {"inpainter": core.loop.inpainter.name, "detector": core.loop.detector.name}
    parts |= {"propagator": None if core.propagator is None else core.propagator.name}
    return {"shape": list(core.shape)} | parts | {name: getattr(settings, name) for name in names}
