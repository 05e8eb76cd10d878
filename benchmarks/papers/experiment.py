"""What a table of a paper is: who plays which episodes, what is shown of them, and what was published.

A measurement is an :class:`EpisodeRecord` of :func:`videoinpaint.agents.evaluation.episodes.evaluate`; what a table has
in its rows is read from it. Nothing is measured here a second way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.agents import POLICIES
from videoinpaint.agents.policies.policy import policy_file
from videoinpaint.benchmarks.papers.about import ABOUT
from videoinpaint.benchmarks.papers.verdict import Claim
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite, frozen_suite
from videoinpaint.errors import InputError
from videoinpaint.files import user_path
from videoinpaint.registration import DEFAULT_ID
from videoinpaint.weights.hashes import sha256

ONE_SHOT_ID = "VideoInpaintOneShot-v1"
Metrics = dict[str, float]
Make = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class BenchFlags:
    """What every experiment can be told.

    Attributes:
        suites: names of frozen suites; empty for the experiment's own.
        policies: names, files or folders of policies: the "dynamic" rows.
        episodes: of each suite, from its beginning.
        output: a folder; an experiment has a folder of its own in it.
        num_frames, height, width: of the clips; None as the suite has them. Other sizes are other clips than the
            suite's, which its digests do not vouch for.
        inpainter: the network in the loop.
        weights: of that network: a file of your own, or "random"; None for those that ship or were fetched.
        steps: of training on each clip, where a network is trained on it.
        width_factor: of that network, 1 as published.
        preset: of its other settings: "quick", or "paper" (which is of width 1 whatever the factor).
        fusion: what the control fusion means in Table 5, "network" or "boundary" (docs/environment.md).
        ablation: weights of target inactivation alone, see :mod:`videoinpaint.benchmarks.papers.ciri`.
        threads, device, precision: see the command's help.
    """

    suites: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    episodes: int = 12
    output: Path = Path("runs/papers")
    num_frames: int | None = None
    height: int | None = None
    width: int | None = None
    inpainter: str = "compact"
    weights: str | None = None
    steps: int = 100
    width_factor: float = 0.25
    preset: str = "quick"
    fusion: str = "network"
    ablation: Path | None = None
    threads: int = 1
    device: str = "cpu"
    precision: str = "float32"

    @property
    def loop(self) -> dict[str, Any]:
        """The environment's arguments that name the network in the loop."""
        return {"inpainter": self.inpainter} | ({} if self.weights is None else {"weights": self.weights})


@dataclass(frozen=True)
class Entrant:
    """What plays every episode once.

    Attributes:
        name: of its row.
        policy: anything that `make_policy` takes.
        stage: of its environment; entrants with one stage share one.
        kwargs: of that environment, beyond the suite's; made when it is needed, as parts take time and memory.
    """

    name: str
    policy: Any = "default"
    stage: str = ""
    kwargs: Make = dict


@dataclass(frozen=True)
class Printed:
    """A row as published.

    Attributes:
        label: what the paper calls it.
        values: by metric as measured here.
        scenario: see :class:`Experiment`.
        row: the measured row that stands for it here; "" for none.
    """

    label: str
    values: Metrics
    scenario: str = ""
    row: str = ""


def row_of(record: Mapping[str, Any]) -> Metrics:
    """What a table can show of an episode: the final repair's metrics, and what it cost.

    ``gflops`` is the whole cost: preparation, passes, detections; ``gflops_passes`` the passes alone. Costs are for
    the clip, not for a frame.
    """
    found = dict(record["measures"]) | {"gflops_passes": record["gflops"], "iterations": record["length"]}
    costs = [record.get(name) for name in ("gflops_begin", "gflops", "gflops_detector")]
    found["gflops"] = None if None in costs else sum(costs)
    found["heads"] = np.mean([one["heads"] for one in record["controls"]])
    found |= {name: record.get(name) for name in ("seconds_per_frame", "mask_j_and_f")}
    return {name: float(value) for name, value in found.items() if value is not None}


def one_row(name: str, record: Mapping[str, Any]) -> dict[str, Metrics]:
    """An entrant's row under its own name."""
    return {name: row_of(record)}


@dataclass(frozen=True)
class Experiment:
    """A table or figure.

    Attributes:
        name: of the command, a key of ``ABOUT``.
        suites: scenario -> frozen suite. With `sort`, one suite whose clips are sorted into scenarios.
        entrants: who plays.
        metrics: shown, in order.
        printed: the published rows.
        claims: the published orders.
        sort: a clip's measured attributes -> its scenario.
        rows: an entrant's name and record -> rows of the table.
        kept: whose records these are, where experiments that measure the same share them.
        options: further settings that the numbers depend on.
    """

    name: str
    suites: Mapping[str, str]
    entrants: tuple[Entrant, ...]
    metrics: tuple[str, ...]
    printed: tuple[Printed, ...] = ()
    claims: tuple[Claim, ...] = ()
    sort: Callable[[Mapping[str, float]], str] | None = None
    rows: Callable[[str, Mapping[str, Any]], dict[str, Metrics]] = one_row
    kept: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def records(self) -> str:
        """Whose records these are: its own, unless it shares those of another."""
        return self.kept or self.name


def scenarios_of(name: str, scenarios: Sequence[str], flags: BenchFlags) -> dict[str, str]:
    """The suite of each of an experiment's scenarios: its own, or those that were asked for, in order.

    Raises:
        InputError: another number was asked for than there are scenarios, or a suite that brings masks where only
            that of the first frame may be known.
    """
    own, asked = ABOUT[name].suites, flags.suites
    if asked and len(asked) != len(scenarios):
        each = f", one for each of {', '.join(scenarios)}, in this order" if len(scenarios) > 1 else ""
        raise InputError(f"bench {name} takes {len(scenarios)} --suite{each}: got {', '.join(asked)}")
    if all(map(_is_one_shot, own)) and not all(map(_is_one_shot, asked)):
        raise InputError(
            f"bench {name} needs a one-shot suite, in which only the first frame's mask is known: "
            f"--suite {' '.join(own)}, got {', '.join(asked)}"
        )
    return dict(zip(scenarios, asked or own))


def _is_one_shot(suite: str) -> bool:
    return suite.startswith("one-shot")


def suite_of(name: str, flags: BenchFlags) -> FrozenSuite:
    """The episodes that were asked for, at the size that was asked for; for the default environment, where it has them.

    Raises:
        InputError: more episodes than the suite has, or fewer than one.
        UnknownNameError: no such suite.
    """
    env_id = ONE_SHOT_ID if _is_one_shot(name) else DEFAULT_ID
    suite = frozen_suite(name, env_id).first(flags.episodes)
    return FrozenSuite(suite.name, suite.env_id, suite.env_kwargs | _size(flags), suite.episodes)


def _size(flags: BenchFlags) -> dict[str, int]:
    sides = {name: getattr(flags, name) for name in ("num_frames", "height", "width")}
    return {name: value for name, value in sides.items() if value is not None}


def weights_identity(weights: str) -> str:
    """The hash of a file, or "random"."""
    return "random" if weights == "random" else f"sha256:{sha256(user_path(weights))}"


def policy_identity(name: str) -> str:
    """A policy's name, or, of a file, its hash: a policy trained anew under the same path is another one."""
    path = Path(name).expanduser()
    registered = name in POLICIES.names()
    return name if registered or not path.exists() else f"sha256:{sha256(policy_file(path))}"
