"""What a policy chose for every cell of the frame, beside where that paid.

    python -m videoinpaint.benchmarks.report.maps --picture docs/images/maps.png

A row for each episode: the damaged frame, the policy's repair, the heads that the first pass ran by cell, and what
every cell returned more (orange) or less (blue) than under another policy in the same episode, price and all later
passes included, in ten-thousandths. The sum over cells stands above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from videoinpaint.agents import Policy, make_policy
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.benchmarks.protocol.freezing import SOURCES
from videoinpaint.benchmarks.report.panels import below, beside, labelled
from videoinpaint.benchmarks.report.pictures import Pixels, play, save_png
from videoinpaint.controls import HEADS
from videoinpaint.envs.ids import check_env
from videoinpaint.envs.observing import frames_of
from videoinpaint.envs.rendering import mapped, over_cells
from videoinpaint.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Maps(Computing):
    """What to draw."""

    picture: Path
    """The picture to write, as PNG."""
    policy: str = "trained-regions"
    """Who chooses."""
    against: str = "heads8holes"
    """Whose returns are subtracted."""
    env_id: str = "VideoInpaintRegions-v1"
    """An environment whose actions are by cell."""
    clips: str = str(SOURCES["studio-mixed-v1"]["clips"])
    """Where clips come from."""
    masks: str = "mixed"
    """Holes."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """Episodes."""


@dataclass(frozen=True)
class Played:
    """The middle frame of an episode, damaged and repaired, uint8 ``(H, W, 3)``; the heads of its first pass and what
    each cell returned, ``(rows, columns)``."""

    damaged: Pixels
    repaired: Pixels
    heads: NDArray[np.floating]
    returned: NDArray[np.float64]


def run(flags: Maps) -> dict[str, Any]:
    """Draw the picture, write it, and return its numbers.

    Raises:
        InputError: actions of the environment are not by cell, or the file is no PNG.
        UnknownNameError: nothing answers to a name.
    """
    if flags.picture.suffix != ".png":
        raise InputError(f"cannot write {flags.picture}: end the name in .png")
    players = [make_policy(name, device=flags.device) for name in (flags.policy, flags.against)]
    if "action_grid" not in check_env(flags.env_id).kwargs:
        raise InputError(f"actions of {flags.env_id} are not by cell: name an environment with an action_grid")
    env = gymnasium.make(flags.env_id, clips=flags.clips, masks=flags.masks, device=flags.device, reward_map=True)
    rows, episodes = [], []
    for seed in flags.seeds:
        mine, other = (played(env, player, seed) for player in players)
        more = mine.returned - other.returned
        rows.append(row_of(mine, more, flags))
        returns = {flags.policy: mine.returned.sum(), flags.against: other.returned.sum()}
        episodes.append({"seed": seed, "returns": returns, "heads": mine.heads.tolist(), "more": more.tolist()})
    env.close()
    save_png(flags.picture, below(rows))
    settings = flags.asked("picture")
    return envelope("maps", settings, episodes=episodes)


def report(results: Mapping[str, Any]) -> None:
    """Print what each episode returned."""
    for episode in results["episodes"]:
        print(f"seed {episode['seed']}: " + ", ".join(f"{k} {v:.4f}" for k, v in episode["returns"].items()))


def played(env: gymnasium.Env, policy: Policy, seed: int) -> Played:
    """One episode of an environment that tells where rewards arise."""
    seen, infos = play(env, policy, seed)
    middle = len(seen[0]["masks"]) // 2
    returned = np.stack([info["reward_map"] for info in infos[1:]]).astype(np.float64).sum(0)
    return Played(
        frames_of(seen[0]["frames"])[middle],
        frames_of(seen[-1]["frames"])[middle],
        infos[1]["control_map"][..., HEADS],
        returned,
    )


def row_of(episode: Played, more: NDArray[np.float64], flags: Maps) -> Pixels:
    """The four panels of an episode; `more` is what each cell returned more than under the other policy."""
    reach = max(np.abs(more).max(), 1e-12)
    gains = over_cells(episode.damaged, 0.5 + more / (2 * reach), [[f"{1e4 * v:.0f}" for v in row] for row in more])
    panels = {
        "damaged": episode.damaged,
        f"repaired by {flags.policy}": episode.repaired,
        "heads of the first pass": mapped(episode.damaged, episode.heads, HEADS, "{:.0f}"),
        f"return - {flags.against}: {more.sum():+.4f}": gains,
    }
    return beside([labelled(panel, title) for title, panel in panels.items()])


if __name__ == "__main__":
    tables.main(Maps, run, report, __doc__ or "")
