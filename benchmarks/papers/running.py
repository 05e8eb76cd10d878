"""Running an experiment: every entrant on every clip, kept as soon as it has played, then rows and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from videoinpaint.agents import make_policy
from videoinpaint.benchmarks.papers.about import ABOUT
from videoinpaint.benchmarks.papers.attributes import attributes
from videoinpaint.benchmarks.papers.experiment import (
    BenchFlags,
    Entrant,
    Experiment,
    policy_identity,
    suite_of,
    weights_identity,
)
from videoinpaint.benchmarks.papers.kept import Kept, folder_name
from videoinpaint.benchmarks.papers.rows import add_vfid, by_attribute, clip_rows, means, too_small, untrained, verdicts
from videoinpaint.benchmarks.papers.verdict import judged
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL, envelope
from videoinpaint.benchmarks.protocol.episodes import Arena
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite, episode_digest
from videoinpaint.errors import InputError, MissingWeightsError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.metrics.vfid import vfid_available
from videoinpaint.naming import stable_name
from videoinpaint.version import __version__


def run(experiment: Experiment, flags: BenchFlags, advance: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Play what is not kept yet, and judge.

    Args:
        experiment: which.
        flags: what was asked for.
        advance: called after every clip.

    Returns:
        an envelope with ``scenarios`` (scenario -> row -> ``clips`` with every clip's metrics, and ``means`` with an
        interval each), ``attributes`` (scenario -> clip), ``absent`` (row -> why it was not measured),
        ``unmeasured`` (metric -> why), ``printed``, ``findings`` (see
        :func:`videoinpaint.benchmarks.papers.verdict.judged`) and ``verdicts`` (a sentence for each scenario and
        metric).

    Raises:
        InputError: flags out of range, or the output folder holds records of other settings.
        UnknownNameError, CorruptWeightsError: before any work starts.
    """
    names = [entrant.name for entrant in experiment.entrants]
    if len(set(names)) < len(names):
        raise InputError(f"two rows would bear one name in {names}: name each policy once")
    suites = {scenario: suite_of(name, flags) for scenario, name in experiment.suites.items()}
    if "inpainter" in ABOUT[experiment.name].takes:
        # Without its weights a table could be filled with other rows, and the one that was asked for would be missing.
        make_inpainter(flags.inpainter, device=flags.device, weights=flags.weights, precision=flags.precision)
    policies = {entrant.name: make_policy(entrant.policy, device=flags.device) for entrant in experiment.entrants}
    found: list[tuple[str, dict[str, Any]]] = []
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        stage = Stage(experiment, flags, policies, stack, absent)
        stage.check(next(iter(suites.values())))
        kept = Kept(flags.output / folder_name(experiment.records, flags), _settings(experiment, flags, suites))
        for scenario, suite in suites.items():
            for frozen, episode in zip(suite.episodes, suite.drawn(suite.seeds)):
                content = _clip(stage, kept, suite, frozen, episode)
                found.append((experiment.sort(content["attributes"]) if experiment.sort else scenario, content))
                advance()
    scenarios = clip_rows(experiment, found)
    measured = {row for _, content in found for row in content["records"]}  # some of a time when there were weights
    absent = {row: why for row, why in absent.items() if row not in measured}
    unmeasured = too_small(experiment, suites.values())
    findings = [judged(claim, scenarios.get(claim.scenario, {}).get(claim.a, {}),
                       scenarios.get(claim.b_scenario or claim.scenario, {}).get(claim.b, {}),
                       unmeasured.get(claim.metric, ""))
                for claim in experiment.claims]  # fmt: skip
    shown = {s: {row: {"means": means(clips), "clips": clips} for row, clips in rows.items()}
             for s, rows in scenarios.items()}  # fmt: skip
    unmeasured |= add_vfid(experiment, found, shown)
    settings = kept.settings | {"episodes": flags.episodes}
    return envelope(
        f"papers.{experiment.name}", settings, env_id=next(iter(suites.values())).env_id,
        env_kwargs={"precision": flags.precision, "device": flags.device}, random_weights=untrained(found),
        about=ABOUT[experiment.name].as_dict(), metrics=list(experiment.metrics),
        suites={scenario: _told(suite) for scenario, suite in suites.items()},
        scenarios=shown, attributes=by_attribute(found), absent=absent, unmeasured=unmeasured,
        printed=[vars(one) for one in experiment.printed], findings=findings, verdicts=verdicts(findings),
    )  # fmt: skip


def _told(suite: FrozenSuite) -> dict[str, Any]:
    return {"name": suite.name, "env_id": suite.env_id, "env_kwargs": suite.env_kwargs, "digest": suite.digest,
            "episodes": len(suite.episodes)}  # fmt: skip


def _settings(experiment: Experiment, flags: BenchFlags, suites: Mapping[str, FrozenSuite]) -> dict[str, Any]:
    """All that a clip's numbers depend on, but for the machine."""
    return {
        "experiment": experiment.records,
        "protocol": dict(PROTOCOL),
        "videoinpaint": __version__,
        "suites": {
            scenario: {"name": s.name, "env_id": s.env_id, "env_kwargs": s.env_kwargs} for scenario, s in suites.items()
        },
        "inpainter": stable_name(flags.inpainter),
        **({} if flags.weights is None else {"weights": weights_identity(flags.weights)}),
        "policies": {name: policy_identity(name) for name in flags.policies},
        "threads": flags.threads,
        "device": flags.device,
        "precision": flags.precision,
        **experiment.options,
    }


class Stage:
    """The environments, made when they are first needed and kept for all clips."""

    def __init__(
        self, experiment: Experiment, flags: BenchFlags, policies: Mapping[str, Any], stack: ExitStack,
        absent: dict[str, str],
    ) -> None:  # fmt: skip
        self.entrants, self.policies, self.absent = experiment.entrants, policies, absent
        self.with_features = "vfid" in experiment.metrics and vfid_available()
        self._flags, self._stack = flags, stack
        self._arenas: dict[tuple[str, str], Arena] = {}

    def play(self, entrant: Entrant, suite: FrozenSuite, seed: int) -> dict[str, Any]:
        """The record of one episode."""
        record = self._arena(entrant, suite).play(self.policies[entrant.name], [seed], entrant.name)[0]
        features = {} if record.features is None else {"features": [side[0].tolist() for side in record.features]}
        return record.as_dict() | features

    def check(self, suite: FrozenSuite) -> None:
        """Make every environment: what one of them refuses is refused before any work, and before a file is written.

        A row whose network has no weights here gets a word in ``absent``.
        """
        for entrant in self.entrants:
            try:
                self._arena(entrant, suite)
            except MissingWeightsError as error:
                self.absent[entrant.name] = " ".join(str(error).split())

    def _arena(self, entrant: Entrant, suite: FrozenSuite) -> Arena:
        key = (suite.name, entrant.stage)
        if key not in self._arenas:
            own = entrant.kwargs()
            loop = {} if "inpainter" in own else self._flags.loop
            kwargs = {"device": self._flags.device, **loop, **suite.env_kwargs, **own}
            arena = Arena(suite.env_id, kwargs, 1, self._flags.precision)
            self._arenas[key] = self._stack.enter_context(arena)
        return self._arenas[key]


def _clip(stage: Stage, kept: Kept, suite: FrozenSuite, frozen: Any, episode: Any) -> dict[str, Any]:
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
    news = False
    for entrant in stage.entrants:
        known = content["records"].get(entrant.name)
        # Records of a time when there were no weights of I3D have no features.
        complete = known is not None and not (stage.with_features and "features" not in known)
        if not complete and entrant.name not in stage.absent:
            content["records"][entrant.name], news = stage.play(entrant, suite, frozen.seed), True
    if news:
        kept.save(suite.name, frozen.seed, content)
    return content


def _at_own_size(suite: FrozenSuite) -> bool:
    return not {"num_frames", "height", "width"} & set(suite.env_kwargs)
