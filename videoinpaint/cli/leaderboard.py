"""The leaderboard: measure a policy on a frozen suite, verify what others measured, rank what was verified, show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from videoinpaint.errors import InputError, VideoInpaintError
from videoinpaint.registration import DEFAULT_ID


@dataclass(frozen=True)
class Evaluate:
    """Play every episode of a suite into a submission's folder, an episode at a time.

    An interrupted run goes on where it stopped, without POLICY too."""

    policy: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[POLICY]")] = None
    """builtin:NAME, fixed:HEADS,FUSION,ALPHA,BETA,GAMMA, a .safetensors file or a folder that `videoinpaint train`
    wrote, a TorchScript file (.pt), or package:DISTRIBUTION:ENTRYPOINT."""
    suite: str = "studio-mixed-v1"
    """A frozen suite, a file that was frozen, or a track of real video, as davis-2017-val-object-v1."""
    data: Path | None = None
    """The folder that holds the clips of a track."""
    num_frames: int | None = None
    """Of a track: frames of each clip, 24; 0 for whole clips."""
    height: int | None = None
    """Of a track: pixels, 240."""
    width: int | None = None
    """Of a track: pixels, 432."""
    env_id: str = DEFAULT_ID
    """For which environment."""
    output: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("submission")
    """The submission's folder."""
    name: str | None = None
    """Of the submission."""
    method: str | None = None
    """The same for all training seeds of one method; by default the name."""
    training_seed: int | None = None
    """Seed of this training; without one the policy was not trained."""
    authors: str | None = None
    """Who made the policy."""
    licence: str | None = None
    """Of the policy."""
    training_data: str | None = None
    """What it was trained on."""
    training_seeds: str | None = None
    """Which episodes' seeds its training drew."""
    hardware: str | None = None
    """What it was trained on: processors, GPUs."""
    contamination: str | None = None
    """Whether, and how, anything of the suite was seen in training."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """In which the environment's networks multiply."""
    threads: int = 1
    """CPU threads of the environment."""

    def run(self) -> None:
        """Play and write."""
        from videoinpaint.benchmarks.leaderboard.judging.measuring import prepare, run
        from videoinpaint.benchmarks.protocol.suite_references import suite_references
        from videoinpaint.benchmarks.protocol.tracks import Size, open_suite, size_of
        from videoinpaint.cli.output import progress

        folder = self.output
        size = Size.given(self.num_frames, self.height, self.width)
        suite = open_suite(self.suite, self.env_id, "" if self.data is None else str(self.data), size)
        keys = ("name", "method", "training_seed", "authors", "licence", "training_data", "training_seeds")
        about = {key: getattr(self, key) for key in (*keys, "hardware", "contamination")}
        if suite.data and size_of(suite) is None:  # the digests of a track are those of this copy
            suite.check_pixels()
        submission = prepare(folder, self.policy, suite, about, self.precision, self.threads)
        with progress("evaluating", len(suite.episodes), "episodes") as advance:
            run(folder, submission, suite, advance)
        print(f"wrote {folder}: all {len(suite.episodes)} episodes of {suite.name}")
        if suite.by_name:
            print(f"rank makes no board of {suite.name}: there are no references of clips that do not ship")
        elif suite_references(suite) is None:
            print(f"rank makes a board of {suite.name} in {suite.env_id} only with --references: none ship for it")


@dataclass(frozen=True)
class Verify:
    """Play what submissions recorded, and their policies in processes of their own, and write what is true.

    No flag leaves a check out. Exits with 2 if a submission gets no place on the board."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Submissions."""
    salt_file: Path | None = None
    """What `videoinpaint leaderboard commit` wrote: held-out episodes follow from it."""
    held_out: int = 0
    """How many held-out episodes are played; of a track, whose clips are public, there are none."""
    data: Path | None = None
    """Your own copy of a track's clips, for submissions that played one."""
    suite_file: Path | None = None
    """A suite that was frozen into a file, for submissions that played it; others name theirs."""
    output: Path | None = None
    """A folder for the verifications, NAME.json each; by default verification.json in each submission."""

    def run(self) -> None:
        """Verify each, write, print."""
        from functools import partial

        from videoinpaint.benchmarks.leaderboard.judging.held_out import HeldOut
        from videoinpaint.benchmarks.leaderboard.judging.verification import (
            earlier_verification,
            ranked,
            verify,
            write_verification,
        )
        from videoinpaint.benchmarks.leaderboard.submissions.submission import suite_of
        from videoinpaint.cli.output import progress

        if not self.folders:
            raise InputError("name the folder of a submission")
        check_names_differ(self.folders, self.output)
        for folder in self.folders:
            if not folder.is_dir():  # no place for a verdict
                raise InputError(f"{folder} is no folder: name the one that `videoinpaint leaderboard evaluate` wrote")
        held_out = HeldOut.asked(self.salt_file, self.held_out)
        here = partial(suite_of, data="" if self.data is None else str(self.data), file=self.suite_file)
        failed = []
        for folder in self.folders:
            place = self.place(folder)
            earlier = earlier_verification(place)
            with progress(f"verifying {folder.name}", _episodes(folder, self.held_out), "episodes") as advance:
                found = verify(folder, held_out=held_out, suite=here, earlier=earlier, done=advance)
            write_verification(place, found)
            self._tell(folder, found)
            failed += [] if ranked(found) else [folder.name]
        if failed:
            raise InputError(f"without a place on the board: {', '.join(failed)}")

    def place(self, folder: Path) -> Path:
        """Where a submission's verification is written."""
        from videoinpaint.benchmarks.leaderboard.judging.verification import FILE

        return folder / FILE if self.output is None else self.output / f"{folder.resolve().name}.json"

    @staticmethod
    def _tell(folder: Path, found: dict[str, Any]) -> None:
        from videoinpaint.naming import one_line

        marks = [name.replace("_", "-") for name, given in found["marks"].items() if given]
        print(f"{one_line(folder.name)}: {', '.join(marks) or 'no mark'}")
        for line in [*found["verdict"], *(f"flag: {flag}" for flag in found["flags"])]:
            print(f"    {line}")


@dataclass(frozen=True)
class Rank:
    """Make the board: rows with intervals, ranks of what was verified, cost, and the references of the suite.

    It believes each verification that it finds: rank what you verified yourself."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Submissions to one suite; those with the same method are its training seeds."""
    output: Path = Path("board.json")
    """Write the board here."""
    verifications: Path | None = None
    """The folder that `verify --output` wrote to; by default verification.json of each submission."""
    suite_file: Path | None = None
    """A suite that was frozen into a file, for submissions that played it; it needs --references, too. Clips that do
    not ship, as those of tracks, have no references, so no file makes a board of them."""
    references: Path | None = None
    """References of the suite, as `python -m videoinpaint.benchmarks.policies.references --suites` writes them; by
    default those that ship."""
    pictures: int = 0
    """Clips of which the board has pictures, played anew."""

    def run(self) -> None:
        """Read, rank, write, print."""
        from videoinpaint.benchmarks.leaderboard.board.ranking import rank, reference_episodes
        from videoinpaint.benchmarks.leaderboard.board.rows import read_run
        from videoinpaint.benchmarks.leaderboard.board.table import show_board
        from videoinpaint.benchmarks.leaderboard.submissions.submission import read_submission, suite_of
        from videoinpaint.benchmarks.leaderboard.website.pictures import SHOWN, add_pictures
        from videoinpaint.benchmarks.protocol.envelope import write_json
        from videoinpaint.benchmarks.protocol.frozen import holds_own_clips
        from videoinpaint.benchmarks.protocol.tracks import track_names
        from videoinpaint.checks import whole_number
        from videoinpaint.cli.output import progress
        from videoinpaint.files import check_no_folder

        check_no_folder(self.output)
        check_names_differ(self.folders, self.verifications)
        if not self.folders:
            raise InputError("name the folders of submissions")
        first = read_submission(self.folders[0])
        if first.suite in track_names() or (self.suite_file is not None and holds_own_clips(self.suite_file)):
            raise InputError(f"a board needs references, and there are none of {first.suite}: its clips do not ship")
        suite = suite_of(first, file=self.suite_file)
        runs = [read_run(folder, suite, self.place(folder)) for folder in self.folders]
        references = reference_episodes(suite, self.references)
        board = rank(runs, references, suite)
        if whole_number(self.pictures, "pictures", 0, len(suite.episodes)):
            with progress("playing", self.pictures * (SHOWN + 1), "repairs") as advance:
                add_pictures(board, runs, references, suite, self.pictures, advance)
        show_board(board)
        print(f"wrote {write_json(self.output, board)}")

    def place(self, folder: Path) -> Path | None:
        """Where a submission's verification is, if not in its folder."""

        return None if self.verifications is None else self.verifications / f"{folder.resolve().name}.json"


@dataclass(frozen=True)
class Html:
    """Draw a board as one HTML page that needs nothing beside it."""

    board: tyro.conf.Positional[Path]
    """The board.json that `videoinpaint leaderboard rank` wrote."""
    output: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("leaderboard")
    """The folder that gets index.html."""

    def run(self) -> None:
        """Render and write."""
        from videoinpaint.benchmarks.leaderboard.website.page import write_page

        print(f"wrote {write_page(self.board, self.output)}")


@dataclass(frozen=True)
class Commit:
    """Make a salt for held-out episodes and print its hash, to be published before anybody submits."""

    file: tyro.conf.Positional[Path]
    """Where the salt is written, for its owner's eyes only."""

    def run(self) -> None:
        """Write the salt, print its sha256."""
        from videoinpaint.benchmarks.leaderboard.judging.held_out import make_salt

        print(make_salt(self.file))


def check_names_differ(folders: Sequence[Path], together: Path | None) -> None:
    """Raise InputError where verifications that lie together in one folder would have one name."""
    names = [folder.resolve().name for folder in folders] if together is not None else []
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"several submissions are called {', '.join(doubled)}, as their verifications in {together} "
                         "would be: rename one, or keep each verification in its submission")  # fmt: skip


def _episodes(folder: Path, more: int) -> int:
    """How many will be played, for the progress; a submission that cannot be read plays none."""
    from videoinpaint.benchmarks.leaderboard.submissions.recorded import read_episodes

    try:
        return len(read_episodes(folder)) + more
    except VideoInpaintError:
        return more


COMMAND = (
    Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Rank, tyro.conf.subcommand("rank")]
    | Annotated[Html, tyro.conf.subcommand("html")]
    | Annotated[Commit, tyro.conf.subcommand("commit")]
)
