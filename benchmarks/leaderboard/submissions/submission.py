"""``submission.yml``: what is submitted, and what is wrong with it in one sentence. See docs/leaderboard.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from videoinpaint import files
from videoinpaint.benchmarks.leaderboard.submissions.entry import Entry, parse_entry
from videoinpaint.benchmarks.leaderboard.submissions.folder import DESCRIPTION, HIGHEST, text_of
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite, frozen_suite, suite_names, suite_of_file
from videoinpaint.benchmarks.protocol.tracks import Size, track, track_names
from videoinpaint.checks import is_number, seed_number
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.naming import as_seen, check_names, one_line
from videoinpaint.precision import check_precision
from videoinpaint.registration import ENVIRONMENTS
from videoinpaint.version import __version__

NAMES = ("name", "authors", "method")
_LONGEST_TEXT = 2000
_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What ``submission.yml`` says.

    ``name``, ``authors`` and ``method`` are kept as they are seen, so that no invisible character makes another of one.

    Attributes:
        name: of this submission.
        authors: who made it.
        licence: of the policy.
        method: the same in every submission of one method; its training seeds are one row of the board.
        training_seed: of this training; None for what was not trained.
        policy: see :data:`videoinpaint.benchmarks.leaderboard.submissions.entry.FORMS`.
        env_id: a registered environment.
        package: version of this package with which the episodes were played.
        suite: name of a frozen suite, or of a track of real video.
        suite_digest: of it; of a track that of the copy that was played.
        size: of a track's clips, as {"num_frames": ..., "height": ..., "width": ...}; empty for other suites.
        protocol: version of the evaluation protocol.
        weights: sha256 of every file of the policy.
        training_data: what it was trained on.
        training_seeds: which seeds of episodes its training drew.
        budget: of the training, as {"steps": ..., "hours": ...}.
        hardware: it was trained on.
        contamination: whether, and how, anything of the suite was seen in training; "none" if not.
        precision: of the environment, float32 or bfloat16.
        threads: of the environment.
    """

    name: str
    authors: str
    licence: str
    method: str
    policy: str
    env_id: str
    suite: str
    suite_digest: str
    size: dict[str, int] = field(default_factory=dict)
    training_seed: int | None = None
    package: str = __version__
    protocol: int = PROTOCOL["version"]
    weights: dict[str, str] = field(default_factory=dict)
    training_data: str = "not stated"
    training_seeds: str = "not stated"
    budget: dict[str, float] = field(default_factory=dict)
    hardware: str = "not stated"
    contamination: str = "none"
    precision: str = "float32"
    threads: int = 1

    def __post_init__(self) -> None:
        for key in NAMES:
            object.__setattr__(self, key, as_seen(getattr(self, key)))


def read_submission(folder: Path, held: Mapping[str, bytes] | None = None) -> Submission:
    """``submission.yml`` of a folder, looked at from all sides but the policy's and the suite's.

    Args:
        folder: of the submission.
        held: its :func:`~videoinpaint.benchmarks.leaderboard.submissions.folder.contents`, which another process cannot
            change any more; else the file is read.

    Raises:
        InputError: it is missing, too large, no YAML of one level, lacks a key or has an unknown one, or a value is of
            another kind.
    """
    file = folder / DESCRIPTION
    text = text_of(file, held)
    try:
        content = yaml.load(text, _Plain)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{file} is no plain YAML: {one_line(error)[:200]}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} must hold keys and values")
    known = {one.name: one for one in fields(Submission)}
    check_names([str(key) for key in content], list(known), str(file), "key")
    required = [n for n, one in known.items() if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in required if name not in content]:
        raise InputError(f"{file} lacks {', '.join(missing)}")
    for key, value in content.items():
        _check_value(file, key, value)
    return Submission(**content)


def write_submission(folder: Path, submission: Submission) -> None:
    """Write ``submission.yml``, whole or not at all.

    Raises:
        InputError: a value is not one that :func:`read_submission` takes, or the disk refuses; nothing is written.
    """
    for key, value in asdict(submission).items():
        _check_value(folder / DESCRIPTION, key, value)
    text = yaml.safe_dump(asdict(submission), sort_keys=False, allow_unicode=True, width=120)
    files.write_text(folder / DESCRIPTION, text)


def entry_of(submission: Submission, folder: Path) -> Entry:
    """The policy, with files that are those whose hashes the submission gives.

    Raises:
        InputError: it cannot be run, or a file is another.
    """
    entry = parse_entry(submission.policy, folder)
    entry.check_hashes(submission.weights)
    return replace(entry, told=submission.weights)


def suite_of(submission: Submission, data: str = "", file: Path | None = None) -> FrozenSuite:
    """The suite that a submission says it played, with the pixels that it has here.

    Args:
        submission: to look at.
        data: the folder of a track's clips: one's own copy, of which every pixel is read.
        file: a suite that was frozen into a file, for submissions that played that one.

    Raises:
        InputError: the clips are not there, or not as the track has them.
        UnknownNameError: there is no such suite, or none for this environment.
    """
    if file is not None:
        suite = suite_of_file(file, submission.env_id, data)
        if suite.data:
            suite.check_pixels()
        return suite
    if submission.suite not in track_names():
        try:
            return frozen_suite(submission.suite, submission.env_id)
        except UnknownNameError as error:
            if submission.suite in suite_names():
                raise
            raise UnknownNameError(f"{error}, or the file that it was frozen into, --suite-file FILE") from None
    if submission.env_id not in [one.id for one in ENVIRONMENTS]:  # other names may be imported
        raise UnknownNameError(f"the submission is for environment {one_line(submission.env_id)}, which does not ship")
    return track(submission.suite, data, submission.env_id, Size(**submission.size))


def check_versions(submission: Submission, suite: FrozenSuite) -> None:
    """See that a submission played this very suite, under this protocol.

    Raises:
        InputError: it is for another suite, another version of it, other pixels, or another protocol.
    """
    told = (submission.suite, submission.env_id, submission.suite_digest)
    if told != (suite.name, suite.env_id, suite.digest):
        raise InputError(
            f"the submission is for suite {one_line(told[0])} of {one_line(told[1])} with digest {one_line(told[2])}, "
            f"not for {suite.name} of {suite.env_id} with digest {suite.digest}: evaluate it anew"
        )
    if submission.protocol != PROTOCOL["version"]:
        raise InputError(
            f"the submission was measured by version {submission.protocol} of the protocol, this package has "
            f"{PROTOCOL['version']}: evaluate it anew"
        )


class _Plain(yaml.SafeLoader):
    """YAML without references to itself, which can make a large document out of a small one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*name) are not allowed")
        return super().compose_node(parent, index)


_KINDS: dict[str, tuple[type, ...]] = {
    "training_seed": (int, type(None)),
    "protocol": (int,),
    "threads": (int,),
    "weights": (dict,),
    "budget": (dict,),
    "size": (dict,),
}
_LARGEST_SIZE = {"num_frames": 1000, "height": 1200, "width": 2000}
"""Of a track's clips: more is not what a board is about, and whoever verifies has to hold it."""


def _check_value(file: Path, key: str, value: Any) -> None:
    kinds = _KINDS.get(key, (str,))
    if type(value) not in kinds:
        told = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
        raise InputError(f"{key} in {file} must be {told}, got {type(value).__name__}")
    if isinstance(value, str) and not 0 < len(value) <= (_LONGEST_NAME if key in ("name", "method") else _LONGEST_TEXT):
        raise InputError(f"{key} in {file} is empty or too long")
    if key in NAMES and not as_seen(value):
        raise InputError(f"{key} in {file} has nothing to see: write a name")
    if key == "precision" and check_precision(value) == "auto":
        raise InputError(f"precision in {file} must be float32 or bfloat16: auto is another on other machines")
    if key in ("training_seed", "protocol") and value is not None:
        seed_number(value, f"{key} in {file}")
    if key == "threads" and not 1 <= value <= 1024:
        raise InputError(f"threads in {file} must be 1 to 1024, got {value}")
    if key == "size":
        if value and not (
            set(value) == set(_LARGEST_SIZE)
            and all(type(value[name]) is int and 0 <= value[name] <= most for name, most in _LARGEST_SIZE.items())
        ):
            told = ", ".join(f"{name} up to {most}" for name, most in _LARGEST_SIZE.items())
            raise InputError(f"size in {file} must be empty or hold {told}")
    elif isinstance(value, dict):
        fits = (lambda one: isinstance(one, str)) if key == "weights" else partial(is_number, largest=HIGHEST)
        if len(value) > 100 or not all(isinstance(k, str) and fits(v) for k, v in value.items()):
            raise InputError(f"{key} in {file} must map names to {'sha256 sums' if key == 'weights' else 'numbers'}")
