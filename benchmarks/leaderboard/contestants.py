"""The leaderboard that is committed: every contestant is measured, verified, ranked and drawn by one command.

    python -m videoinpaint.benchmarks.leaderboard.contestants --stock runs/stock --ours runs/ours
    python -m videoinpaint.benchmarks.leaderboard.contestants --env-id VideoInpaintRegions-v1 --fitted runs/tried

Each environment has a board of its own, with contestants that make sense there. It goes on where it stopped: an episode
at a time while a contestant is measured, a contestant at a time while it is verified. ``--stock`` and ``--ours`` are
folders with a folder for each training seed (``seed0``, ``seed1``, ...), in which
`videoinpaint.benchmarks.policies.stock_ppo` left ``policy.pt`` and `videoinpaint train` ``policy.safetensors``;
``--fitted`` is one in which `videoinpaint trials fit` left ``seed0.safetensors``, ``seed1.safetensors``, ... What
``about.yml`` beside the seeds says (training_data, training_seeds, budget, hardware, contamination) goes into the
submissions.
"""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tyro
import yaml

from videoinpaint.benchmarks.leaderboard.board.ranking import rank, reference_episodes
from videoinpaint.benchmarks.leaderboard.board.rows import read_run
from videoinpaint.benchmarks.leaderboard.board.table import show_board
from videoinpaint.benchmarks.leaderboard.judging.held_out import HeldOut, salt_hash
from videoinpaint.benchmarks.leaderboard.judging.measuring import prepare, run
from videoinpaint.benchmarks.leaderboard.judging.verification import (
    FILE,
    earlier_verification,
    ranked,
    verify,
    write_verification,
)
from videoinpaint.benchmarks.leaderboard.submissions.folder import contents, hash_of
from videoinpaint.benchmarks.leaderboard.website.page import write_page
from videoinpaint.benchmarks.leaderboard.website.pictures import add_pictures
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import plain
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite, frozen_suite
from videoinpaint.checks import whole_number
from videoinpaint.errors import InputError, VideoInpaintError
from videoinpaint.files import user_path, write_json

BOARD = "board.json"
BUILTIN = ("random", "heads4", "heads8", "heads12", "fixed-bias", "fixed-average", "heuristic", "heads4then2",
           "heads6then2", "trained-budget")  # fmt: skip
BOARDS = {
    "VideoInpaintBudget-v0": (".", BUILTIN),
    "VideoInpaintRegions-v1": ("regions", (
        "random", "heads4", "heads8", "heads12", "fixed-bias", "heuristic", "heads4then2", "heads6once", "heads12once",
        "heads8holes", "trained-budget", "trained-holes", "trained-regions")),
}  # fmt: skip
"""Environment -> where its board lies within docs/leaderboard, and this package's policies that take part by default;
of others that is a folder of the id's name, and `BUILTIN`."""
METHODS = {
    "stock": ("Stock SB3 PPO", "*/policy.pt"),
    "ours": ("Closed-loop PPO", "*/policy.safetensors"),
    "fitted": ("Fitted to trials", "*.safetensors"),
}
"""Flag -> the method's name, and the file of each training seed: itself or its folder is called ``seedN``."""
ABOUT = "about.yml"
OURS = {"authors": "the maintainers of videoinpaint", "licence": "MIT"}
_SEED = re.compile(r"\D*(\d+)")


@dataclass(frozen=True, kw_only=True)
class Contestants:
    """Who takes part, and where things go."""

    stock: Path | None = None
    """Folder with stock PPO's training seeds; without it, it does not take part."""
    ours: Path | None = None
    """Folder with our PPO's training seeds."""
    fitted: Path | None = None
    """Folder with the seeds of a policy that was fitted to trials."""
    suite: str = "studio-mixed-v1"
    """A frozen suite."""
    env_id: str = "VideoInpaintBudget-v0"
    """For which environment."""
    builtin: tuple[str, ...] | None = None
    """Policies of this package; by default those of `BOARDS`."""
    salt_file: Path | None = None
    """What `videoinpaint leaderboard commit` wrote: held-out episodes follow from it."""
    held_out: int = 0
    """How many held-out episodes each plays."""
    references: Path | None = None
    """References of the suite, as `python -m videoinpaint.benchmarks.policies.references --suites` writes them; by
    default those that ship."""
    pictures: int = 3
    """Clips of which the page has pictures."""
    workers: int = 1
    """Contestants at a time, each in a process of its own."""
    threads: int = 1
    """CPU threads of each environment."""
    work: Path | None = None
    """Submissions and their verifications; by default build/leaderboard, or a folder of this environment's in it."""
    output: Path | None = None
    """Gets board.json and index.html; by default docs/leaderboard, or a folder of this environment's in it."""

    @property
    def place(self) -> str:
        """Where the environment's board lies within a folder of boards."""
        return BOARDS.get(self.env_id, (self.env_id, ()))[0]


@dataclass(frozen=True)
class Contestant:
    """One submission: its folder's name, its policy, and what else its description says."""

    name: str
    policy: str
    about: dict[str, Any] = field(default_factory=dict)


def contestants(flags: Contestants) -> list[Contestant]:
    """Everybody who takes part.

    Raises:
        InputError: a folder of training seeds is empty, or its about.yml is none.
    """
    builtin = BOARDS.get(flags.env_id, ("", BUILTIN))[1] if flags.builtin is None else flags.builtin
    found = [Contestant(name, f"builtin:{name}", OURS | {"name": name, "method": name}) for name in builtin]
    for flag, (method, file) in METHODS.items():
        folder = getattr(flags, flag)
        if folder is not None:
            found += _seeds(user_path(folder), flag, method, file)
    if not found:
        raise InputError("nobody takes part: name a policy at least")
    return found


def _seeds(folder: Path, flag: str, method: str, file: str) -> list[Contestant]:
    own = "/" not in file
    policies = {
        int(match[1]): path
        for path in folder.glob(file)
        if (match := _SEED.fullmatch(path.stem if own else path.parent.name))
    }
    if not policies:
        raise InputError(f"{folder} holds no training seeds: put {file.replace('*', 'seed0')}, ... into it")
    about = _about(folder / ABOUT)
    return [
        Contestant(f"{flag}-{seed}", str(path), OURS | about
                   | {"name": f"{method}, training seed {seed}", "method": method, "training_seed": seed})
        for seed, path in sorted(policies.items())
    ]  # fmt: skip


def _about(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{file} is no YAML: {error}") from error
    known = ("training_data", "training_seeds", "budget", "hardware", "contamination", "authors", "licence")
    if not isinstance(content, dict) or not set(content) <= set(known):
        raise InputError(f"{file} must hold some of {', '.join(known)}")
    return content


def measure(
    one: Contestant, work: Path, suite: FrozenSuite, held_out: HeldOut | None, threads: int = 1
) -> tuple[Path, dict[str, Any]]:
    """Play and verify what is missing of one contestant.

    Args:
        one: who.
        work: its folder is made in here.
        suite: to play.
        held_out: episodes beyond the suite's.
        threads: of the environment.

    Returns:
        the submission's folder and its verification.

    Raises:
        VideoInpaintError: it cannot be played.
    """
    folder = work / one.name
    run(folder, prepare(folder, one.policy, suite, one.about, "float32", threads), suite)
    file = folder / FILE
    earlier = earlier_verification(file)
    if earlier is not None and _is_of(earlier, folder, held_out):
        return folder, earlier
    found = verify(folder, held_out=held_out, suite=suite, earlier=earlier)
    write_verification(file, found)
    return folder, found


def _is_of(verification: Mapping[str, Any], folder: Path, held_out: HeldOut | None) -> bool:
    """Whether a verification is of the submission as it is now, on these held-out episodes."""
    there = verification["held_out"]
    asked = (None, 0) if held_out is None else (salt_hash(held_out.salt), held_out.count)
    return (
        verification["submission"] == hash_of(contents(folder))
        and (there["salt_sha256"], len(there["episodes"])) == asked
    )


def run_all(
    flags: Contestants,
    suite: FrozenSuite | None = None,
    references: Mapping[str, Sequence[dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Measure, verify and rank everybody, and write the board and its page.

    Args:
        flags: what takes part.
        suite: another than those that ship.
        references: episodes by name; by default those that ship with the suite.

    Raises:
        InputError: bad flags, or nobody could be measured.
    """
    suite = frozen_suite(flags.suite, flags.env_id) if suite is None else suite
    references = reference_episodes(suite, flags.references) if references is None else references
    whole_number(flags.pictures, "pictures", 0, len(suite.episodes))
    whole_number(flags.workers, "workers", 1, os.cpu_count() or 1)
    held_out = HeldOut.asked(flags.salt_file, flags.held_out)
    everybody = contestants(flags)
    work = user_path(flags.work or Path("build/leaderboard") / flags.place)
    bar, advance = tables.progress("measuring and verifying", len(everybody))
    with bar:
        folders = _measure_all(flags, everybody, work, suite, held_out, advance)
    runs = [read_run(folder, suite) for folder in folders]
    board = rank(runs, references, suite)
    add_pictures(board, runs, references, suite, flags.pictures)
    output = user_path(flags.output or Path("docs/leaderboard") / flags.place)
    write_json(output / BOARD, plain(board), indent=None)
    print(f"wrote {write_page(output / BOARD, output)}")
    return board


def _measure_all(
    flags: Contestants,
    everybody: Sequence[Contestant],
    work: Path,
    suite: FrozenSuite,
    held_out: HeldOut | None,
    advance: Callable[[], Any],
) -> list[Path]:
    """Folders of those that could be measured, in the order of `everybody`; others are told, and left out."""
    jobs = {one.name: (one, work, suite, held_out, flags.threads) for one in everybody}
    folders: dict[str, Path] = {}

    def note(name: str, result: Callable[[], tuple[Path, dict[str, Any]]]) -> None:
        try:
            folders[name], found = result()
        except VideoInpaintError as error:
            print(f"{name} is left out: {error}", flush=True)
        else:
            told = "; ".join(found["verdict"]) or ", ".join(mark for mark, given in found["marks"].items() if given)
            print(f"{name}: {'' if ranked(found) else 'not ranked: '}{told}", flush=True)
        advance()

    if flags.workers == 1:
        for name, job in jobs.items():
            note(name, partial(measure, *job))
    else:
        # Spawned, not forked: torch's threads do not survive a fork.
        with ProcessPoolExecutor(flags.workers, multiprocessing.get_context("spawn")) as pool:
            waiting = {pool.submit(measure, *job): name for name, job in jobs.items()}
            for future in as_completed(waiting):
                note(waiting[future], future.result)
    if not folders:
        raise InputError("nobody could be measured: see above")
    return [folders[one.name] for one in everybody if one.name in folders]


def main() -> None:
    """Parse flags, run, print."""
    flags = tyro.cli(Contestants, description=__doc__)
    try:
        show_board(run_all(flags))
    except VideoInpaintError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
