"""Episodes as pictures and videos: what was missing, what the agent saw and chose, and what came out.

``python -m videoinpaint.benchmarks.report.pictures docs/images/repair.gif`` draws the moving picture of the README, and
``... FILE.png`` one clip through the loop; after the file a policy, a clip source, a clip of it and a kind
of holes may follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import tyro
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.agents import Policy
from videoinpaint.agents.policies import Observation, choose, reset_policy
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.report.panels import SOFT, as_grey, below, beside, closeup, enlarged, labelled, strip
from videoinpaint.clips import Clip
from videoinpaint.envs.observing import frames_of, masks_space
from videoinpaint.errors import InputError
from videoinpaint.files import user_path, write_atomically
from videoinpaint.repair.defaults import INPAINTER

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Recording:
    """One episode.

    Attributes:
        reference: the true clip, uint8 ``(T, H, W, 3)``.
        repairs: Yhat_0 (the corrupted clip), Yhat_1, ..., each as `reference`.
        masks: M_0, M_1, ..., each uint8 ``(T, H, W)`` in 0..255.
        infos: of the reset and of every step.
        name: the clip's name.
    """

    reference: Pixels
    repairs: list[Pixels]
    masks: list[Pixels]
    infos: list[dict[str, Any]]
    name: str


def record(env: gymnasium.Env, policy: Policy, clip: Clip, holes: Pixels) -> Recording:
    """Let a policy repair one clip.

    Args:
        env: a single `VideoInpaint` environment without wrappers that change its spaces.
        policy: chooses the controls.
        clip: of the environment's size.
        holes: uint8 ``(T, H, W)`` in {0, 1}.
    """
    seen, infos = play(env, policy, 0, {"clip": clip, "mask": holes})
    return Recording(clip.frames, [frames_of(o["frames"]) for o in seen], [o["masks"] for o in seen], infos, clip.name)


def play(
    env: gymnasium.Env, policy: Policy, seed: int, options: dict[str, Any] | None = None
) -> tuple[list[Observation], list[dict[str, Any]]]:
    """One episode of a single environment: observations and infos, of the reset and of every step."""
    observation, info = env.reset(seed=seed, options=options)
    reset_policy(policy)
    seen, infos, done = [observation], [info], False
    while not done:
        action = choose(policy, {k: v[None] for k, v in seen[-1].items()}, env.action_space.shape or (5,))[0]
        observation, _, terminated, truncated, info = env.step(action)
        seen.append(observation)
        infos.append(info)
        done = terminated or truncated
    return seen, infos


def loop_picture(recording: Recording) -> Pixels:
    """An episode's middle frame through the loop: repair, close-up of the hole, predicted mask, controls, quality."""
    middle = len(recording.reference) // 2
    hole = recording.masks[0][middle]
    columns = []
    for order, (frames, masks, info) in enumerate(zip(recording.repairs, recording.masks, recording.infos)):
        title = "damaged, n = 0" if order == 0 else f"repair, n = {order}"
        pictures = [frames[middle], closeup(frames[middle], hole)]
        mask = labelled(as_grey(masks[middle]), f"flagged, M{order}")
        columns.append(below([labelled(below(pictures), title), mask, *_facts(info, mask.shape[1])]))
    truth = below([recording.reference[middle], closeup(recording.reference[middle], hole)])
    columns.append(labelled(truth, "reference (for the reward only)"))
    height = max(column.shape[0] for column in columns)
    return beside([_tall(column, height) for column in columns], gap=8)


def _facts(info: dict[str, Any], width: int) -> list[Pixels]:
    """Two lines on what was chosen and what came of it; empty for a reset."""
    if info["iteration"] == 0:
        return []
    c = info["controls"]
    chosen = f"heads {c['heads']:.0f}, fusion {c['fusion']:.2f}"
    weights = f"\u03b1 {c['alpha']:.2f}, \u03b2 {c['beta']:.2f}, \u03b3 {c['gamma']:.2f}"
    quality = f"hole PSNR {info['metrics']['psnr_hole']:.2f} dB"
    return [strip(width, chosen), strip(width, weights), strip(width, quality, colour=SOFT)]


def _tall(picture: Pixels, height: int) -> Pixels:
    return np.pad(picture, ((0, height - picture.shape[0]), (0, 0), (0, 0)), constant_values=255)


def before_after(recording: Recording, times: int = 1) -> Pixels:
    """Frames ``(T, h, w, 3)``: corrupted | repaired | mask | reference, labelled."""
    parts = {
        "damaged": recording.repairs[0],
        f"repaired, {len(recording.repairs) - 1} passes": recording.repairs[-1],
        "predicted mask": as_grey(recording.masks[-1]),
        "reference": recording.reference,
    }
    size = 13 if times == 1 else 22
    return np.stack(
        [
            beside([labelled(enlarged(frames[time], times), text, size) for text, frames in parts.items()])
            for time in range(len(recording.reference))
        ]
    )


def back_and_forth(frames: Pixels, rounds: int) -> Pixels:
    """A short clip played forwards and backwards some times, so that a player shows more than a flash."""
    there_and_back = np.concatenate([frames, frames[-2:0:-1]])
    return np.concatenate([there_and_back] * rounds)


def save_png(path: Path, picture: Pixels) -> None:
    """Write a picture, whole or not at all."""
    with write_atomically(path) as draft:
        Image.fromarray(picture).save(draft, format="PNG", optimize=True)


def save_gif(path: Path, frames: Pixels) -> None:
    """Write frames ``(T, h, w, 3)`` as a GIF in one palette that plays for ever, whole or not at all."""
    height = frames.shape[1]
    tall = Image.fromarray(frames.reshape(-1, *frames.shape[2:])).quantize(255, dither=Image.Dither.NONE)
    pictures = [tall.crop((0, top, tall.width, top + height)) for top in range(0, tall.height, height)]
    with write_atomically(path) as draft:
        pictures[0].save(
            draft, format="GIF", save_all=True, append_images=pictures[1:], duration=120, loop=0, optimize=True
        )


def draw_repair(
    path: Path,
    policy: str = "default",
    source: str = "studio:fast",
    name: str = "studio-fast-000001",
    masks: str = "stationary",
) -> None:
    """One clip of a source, damaged and repaired in one pass as videos are, side by side as a moving picture."""
    recording = _recorded(policy, source, name, masks, num_frames=16, max_iterations=1, inpainter=INPAINTER)
    parts = {"damaged": recording.repairs[0], "repaired": recording.repairs[-1]}
    rows = zip(*([labelled(frame, text) for frame in frames] for text, frames in parts.items()))
    save_gif(path, back_and_forth(np.stack([beside(row) for row in rows]), rounds=1))


def draw_loop(
    path: Path,
    policy: str = "default",
    source: str = "studio:fast",
    name: str = "studio-fast-000001",
    masks: str = "object",
) -> None:
    """One clip of a source with holes of a kind, repaired by a policy; by default a studio clip with a moving hole."""
    save_png(path, loop_picture(_recorded(policy, source, name, masks)))


def _recorded(policy: str, source: str, name: str, masks: str, **arguments: Any) -> Recording:
    """One episode on a clip of a source, with holes that are the same at every call."""
    from videoinpaint.agents import make_policy
    from videoinpaint.clips import make_clips, make_masks

    env = gymnasium.make("videoinpaint:VideoInpaint-v1", device="cpu", **arguments)
    frames, height, width = masks_space(env).shape
    clip = make_clips(source).load(name, frames, height, width)
    holes = make_masks(masks).sample(np.random.default_rng([0, 0]), clip)
    return record(env, make_policy(policy), clip, holes)


@dataclass(frozen=True)
class Drawing:
    """What to draw, and of which clip."""

    path: tyro.conf.Positional[Path]
    """A .gif, of one pass as videos are repaired; or a .png, of the loop."""
    policy: tyro.conf.Positional[str] = "default"
    """Chooses the controls: a name, a file or a folder."""
    source: tyro.conf.Positional[str] = "studio:fast"
    """Where the clip comes from."""
    name: tyro.conf.Positional[str] = "studio-fast-000001"
    """The clip's."""
    masks: tyro.conf.Positional[str | None] = None
    """Holes; by default stationary ones in a .gif, objects in a .png."""

    def run(self) -> None:
        """Draw and write.

        Raises:
            InputError: another ending, or see :func:`draw_loop`.
        """
        draws: dict[str, Callable[..., None]] = {".gif": draw_repair, ".png": draw_loop}
        if self.path.suffix not in draws:
            raise InputError(f"cannot draw {self.path}: end the name in {' or '.join(draws)}")
        given = {} if self.masks is None else {"masks": self.masks}
        draws[self.path.suffix](user_path(self.path), self.policy, self.source, self.name, **given)


if __name__ == "__main__":
    with tables.lines_for_errors():
        tyro.cli(Drawing, description=__doc__).run()
