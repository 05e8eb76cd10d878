"""Running a table of a paper: methods on the same episodes, clip by clip, each measured as every episode is.

A measurement is an :class:`EpisodeRecord` of :func:`videoinpaint.agents.evaluation.episodes.evaluate`; what a table has
in its rows is read from it. Nothing is measured here a second way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.agents import POLICIES, make_policy
from videoinpaint.agents.evaluation.run_record import sha256
from videoinpaint.agents.policies.policy import policy_file
from videoinpaint.benchmarks.papers.about import ABOUT
from videoinpaint.benchmarks.papers.attributes import attributes
from videoinpaint.benchmarks.papers.kept import Kept
from videoinpaint.benchmarks.papers.verdict import Claim, judged, overall
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL, envelope
from videoinpaint.benchmarks.protocol.episodes import Arena
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite, episode_digest, frozen_suite
from videoinpaint.benchmarks.protocol.statistics import mean_interval
from videoinpaint.errors import InputError, MissingWeightsError
from videoinpaint.naming import stable_name
from videoinpaint.registration import DEFAULT_ID
from videoinpaint.version import __version__

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
        steps: of training on each clip, where a network is trained on it.
        width_factor: of that network, 1 as published.
        preset: of its other settings: "quick", or "paper" (which is of width 1 whatever the factor).
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
    steps: int = 100
    width_factor: float = 0.25
    preset: str = "quick"
    ablation: Path | None = None
    threads: int = 1
    device: str = "cpu"
    precision: str = "float32"


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
        kept: the folder of the records; experiments that measure the same share one.
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


def run(experiment: Experiment, flags: BenchFlags, advance: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Play what is not kept yet, and judge.

    Args:
        experiment: which.
        flags: what was asked for.
        advance: called after every clip.

    Returns:
        an envelope with ``scenarios`` (scenario -> row -> ``clips`` with every clip's metrics, and ``means`` with an
        interval each), ``attributes`` (scenario -> clip), ``absent`` (row -> why it was not measured), ``printed``,
        ``findings`` (see :func:`videoinpaint.benchmarks.papers.verdict.judged`) and ``verdicts`` (a sentence for each
        scenario and metric).

    Raises:
        InputError: flags out of range, or the output folder holds records of other settings.
        UnknownNameError, CorruptWeightsError: before any work starts.
    """
    names = [entrant.name for entrant in experiment.entrants]
    if len(set(names)) < len(names):
        raise InputError(f"two rows would bear one name in {names}: name each policy once")
    suites = {scenario: suite_of(name, flags) for scenario, name in experiment.suites.items()}
    kept = Kept(flags.output / (experiment.kept or experiment.name), _settings(experiment, flags, suites))
    policies = {entrant.name: make_policy(entrant.policy, device=flags.device) for entrant in experiment.entrants}
    found: list[tuple[str, dict[str, Any]]] = []
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        stage = _Stage(experiment, flags, policies, stack, absent)
        stage.play_nothing(next(iter(suites.values())))
        for scenario, suite in suites.items():
            for frozen, episode in zip(suite.episodes, suite.drawn(suite.seeds)):
                content = _clip(stage, kept, suite, frozen, episode)
                found.append((experiment.sort(content["attributes"]) if experiment.sort else scenario, content))
                advance()
    scenarios = _rows(experiment, found)
    findings = [judged(claim, scenarios.get(claim.scenario, {}).get(claim.a, {}),
                       scenarios.get(claim.b_scenario or claim.scenario, {}).get(claim.b, {}))
                for claim in experiment.claims]  # fmt: skip
    settings = kept.settings | {"episodes": flags.episodes}
    return envelope(
        f"papers.{experiment.name}", settings, env_id=next(iter(suites.values())).env_id,
        env_kwargs={"precision": flags.precision, "device": flags.device}, random_weights=_untrained(found),
        about=ABOUT[experiment.name].as_dict(), metrics=list(experiment.metrics),
        suites={scenario: _told(suite) for scenario, suite in suites.items()},
        scenarios={s: {row: {"means": _means(clips), "clips": clips} for row, clips in rows.items()}
                   for s, rows in scenarios.items()},
        attributes=_attributes(found), absent=absent,
        printed=[vars(one) for one in experiment.printed], findings=findings, verdicts=_verdicts(findings),
    )  # fmt: skip


def scenarios_of(name: str, scenarios: Sequence[str], flags: BenchFlags) -> dict[str, str]:
    """The suite of each of an experiment's scenarios: its own, or those that were asked for, in order.

    Raises:
        InputError: more were asked for than there are scenarios.
    """
    if len(flags.suites) > len(scenarios):
        raise InputError(f"{name} runs on {len(scenarios)} suites at most, got {', '.join(flags.suites)}")
    return dict(zip(scenarios, flags.suites or ABOUT[name].suites))


def suite_of(name: str, flags: BenchFlags) -> FrozenSuite:
    """The episodes that were asked for, at the size that was asked for; for the default environment, where it has them.

    Raises:
        InputError: more episodes than the suite has, or fewer than one.
        UnknownNameError: no such suite.
    """
    env_id = ONE_SHOT_ID if name.startswith("one-shot") else DEFAULT_ID
    suite = frozen_suite(name, env_id).first(flags.episodes)
    return FrozenSuite(suite.name, suite.env_id, suite.env_kwargs | _size(flags), suite.episodes)


def _size(flags: BenchFlags) -> dict[str, int]:
    sides = {name: getattr(flags, name) for name in ("num_frames", "height", "width")}
    return {name: value for name, value in sides.items() if value is not None}


def _told(suite: FrozenSuite) -> dict[str, Any]:
    return {"name": suite.name, "env_id": suite.env_id, "env_kwargs": suite.env_kwargs, "digest": suite.digest,
            "episodes": len(suite.episodes)}  # fmt: skip


def _settings(experiment: Experiment, flags: BenchFlags, suites: Mapping[str, FrozenSuite]) -> dict[str, Any]:
    """All that a clip's numbers depend on, but for the machine."""
    return {
        "experiment": experiment.kept or experiment.name,
        "protocol": dict(PROTOCOL),
        "videoinpaint": __version__,
        "suites": {
            scenario: {"name": s.name, "env_id": s.env_id, "env_kwargs": s.env_kwargs} for scenario, s in suites.items()
        },
        "inpainter": stable_name(flags.inpainter),
        "policies": {name: policy_identity(name) for name in flags.policies},
        "threads": flags.threads,
        "device": flags.device,
        "precision": flags.precision,
        **experiment.options,
    }


def policy_identity(name: str) -> str:
    """A policy's name, or, of a file, its hash: a policy trained anew under the same path is another one."""
    path = Path(name).expanduser()
    registered = name in POLICIES.names()
    return name if registered or not path.exists() else f"sha256:{sha256(policy_file(path))}"


class _Stage:
    """The environments, made when they are first needed and kept for all clips."""

    def __init__(
        self, experiment: Experiment, flags: BenchFlags, policies: Mapping[str, Any], stack: ExitStack,
        absent: dict[str, str],
    ) -> None:  # fmt: skip
        self.entrants, self.policies, self.absent = experiment.entrants, policies, absent
        self._flags, self._stack = flags, stack
        self._arenas: dict[tuple[str, str], Arena] = {}

    def play(self, entrant: Entrant, suite: FrozenSuite, seed: int) -> dict[str, Any] | None:
        """The record of one episode; None, and a word in ``absent``, for a network whose weights are not here."""
        try:
            record = self._arena(entrant, suite).play(self.policies[entrant.name], [seed], entrant.name)[0]
        except MissingWeightsError as error:
            self.absent[entrant.name] = " ".join(str(error).split())
            return None
        return record.as_dict()

    def play_nothing(self, suite: FrozenSuite) -> None:
        """Make the first environment: what it refuses is refused before any work."""
        with suppress(MissingWeightsError):
            self._arena(self.entrants[0], suite)

    def _arena(self, entrant: Entrant, suite: FrozenSuite) -> Arena:
        key = (suite.name, entrant.stage)
        if key not in self._arenas:
            kwargs = {"device": self._flags.device, "inpainter": self._flags.inpainter, **suite.env_kwargs,
                      **entrant.kwargs()}  # fmt: skip
            arena = Arena(suite.env_id, kwargs, 1, self._flags.precision)
            self._arenas[key] = self._stack.enter_context(arena)
        return self._arenas[key]


def _clip(stage: _Stage, kept: Kept, suite: FrozenSuite, frozen: Any, episode: Any) -> dict[str, Any]:
    """One clip's records, of which only those that are missing are made now."""
    digest = episode_digest(episode)
    if _at_own_size(suite) and digest != frozen.digest:
        raise InputError(
            f"seed {frozen.seed} of suite {suite.name} gives other pixels here than when the suite was frozen: "
            "compare with nobody's numbers, or use the version of the package that froze it"
        )
    content = kept.load(suite.name, frozen.seed, digest)
    if not content:
        content = {"clip": episode.clip, "seed": frozen.seed, "digest": digest, "records": {},
                   "attributes": attributes(episode.frames, episode.holes)}  # fmt: skip
    before = len(content["records"])
    for entrant in stage.entrants:
        if entrant.name not in content["records"] and entrant.name not in stage.absent:
            record = stage.play(entrant, suite, frozen.seed)
            if record is not None:
                content["records"][entrant.name] = record
    if len(content["records"]) > before:
        kept.save(suite.name, frozen.seed, content)
    return content


def _at_own_size(suite: FrozenSuite) -> bool:
    return not {"num_frames", "height", "width"} & set(suite.env_kwargs)


def _rows(experiment: Experiment, found: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Scenario -> row -> clip -> metrics; episodes of one clip count as one, as their mean."""
    groups: dict[str, dict[str, dict[str, list[Metrics]]]] = {}
    for scenario, content in found:
        for entrant in experiment.entrants:
            if entrant.name not in content["records"]:
                continue
            for row, metrics in experiment.rows(entrant.name, content["records"][entrant.name]).items():
                clips = groups.setdefault(scenario, {}).setdefault(row, {})
                clips.setdefault(content["clip"], []).append(metrics)
    return {scenario: {row: {clip: _mean(episodes) for clip, episodes in clips.items()} for row, clips in rows.items()}
            for scenario, rows in groups.items()}  # fmt: skip


def _untrained(found: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The parts whose networks had random weights in some record."""
    records = [record for _, content in found for record in content["records"].values()]
    return sorted({part for record in records for part in record["random_weights"].split(", ") if part})


def _mean(episodes: list[Metrics]) -> Metrics:
    return {name: float(np.mean([one.get(name, np.nan) for one in episodes])) for name in episodes[0]}


def _means(clips: Mapping[str, Metrics]) -> dict[str, Any]:
    """Every metric's mean over clips with its interval; what is not known of every clip is left out."""
    names = next(iter(clips.values()))
    values = {name: [clip.get(name, np.nan) for clip in clips.values()] for name in names}
    return {name: mean_interval(column) for name, column in values.items() if np.isfinite(column).all()}


def _attributes(found: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, dict[str, Metrics]]:
    told: dict[str, dict[str, Metrics]] = {}
    for scenario, content in found:
        told.setdefault(scenario, {})[content["clip"]] = content["attributes"]
    return told


def _verdicts(findings: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One for each scenario and metric."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in findings:
        groups.setdefault((one["scenario"], one["metric"]), []).append(one)
    return [{"scenario": scenario, "metric": metric, "verdict": overall(group)}
            for (scenario, metric), group in groups.items()]  # fmt: skip
