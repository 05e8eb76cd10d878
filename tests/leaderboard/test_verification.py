"""Marks are given to what is true, verdicts to what is not, and a policy that cheats gains nothing."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
from dataclasses import replace

import numpy as np
import pytest

from videoinpaint.benchmarks.leaderboard.board.rows import read_run
from videoinpaint.benchmarks.leaderboard.judging.held_out import (
    HeldOut,
    check_hidden,
    held_out_seeds,
    make_salt,
    read_salt,
    salt_hash,
)
from videoinpaint.benchmarks.leaderboard.judging.measuring import Arena, prepare, run
from videoinpaint.benchmarks.leaderboard.judging.verification import (
    ranked,
    read_verification,
    verify,
    write_verification,
)
from videoinpaint.benchmarks.leaderboard.sandbox.confinement import OPEN
from videoinpaint.benchmarks.leaderboard.sandbox.isolated import IsolatedPolicy
from videoinpaint.benchmarks.leaderboard.submissions.entry import Entry
from videoinpaint.benchmarks.leaderboard.submissions.recorded import read_episodes
from videoinpaint.benchmarks.leaderboard.submissions.submission import read_submission, write_submission
from videoinpaint.cli import main
from videoinpaint.errors import InputError

HELD_OUT = HeldOut("5a" * 32, 2)


def submit(name, folder, suite):
    folder = folder / name
    submission = prepare(folder, f"package:strangers:{name}", suite, {}, "float32", 1)
    run(folder, submission, suite)
    return folder


def change(folder, seed, **values):
    file = folder / "episodes.jsonl"
    episodes = [json.loads(line) for line in file.read_text().splitlines()]
    episodes = [one | values if one["seed"] == seed else one for one in episodes]
    file.write_text("".join(json.dumps(one) + "\n" for one in episodes))


def test_an_honest_submission_gets_every_mark(submitted, suite):
    played = []
    found = verify(submitted, suite=suite, held_out=HELD_OUT, done=lambda: played.append(1))
    assert found["marks"] == {"replayed": True, "re_run": True, "held_out": True}
    assert (found["verdict"], len(found["flags"]), len(played)) == ([], OPEN in found["log"], 4)
    returns = [one["episode_return"] for one in read_episodes(submitted)]
    assert found["score"] == pytest.approx(sum(returns) / 2)
    assert found["held_out"]["salt_sha256"] == hashlib.sha256(HELD_OUT.salt.encode()).hexdigest()
    seeds = [one["seed"] for one in found["held_out"]["episodes"]]
    assert seeds == held_out_seeds(HELD_OUT.salt, suite, 2)
    assert HELD_OUT.salt not in json.dumps(found)
    assert any("limits" in line for line in found["log"])
    for apart in (0.002, -0.002):
        moved = verify(submitted, suite=suite, earlier=found | {"score": found["score"] + apart})
        assert moved["marks"] == {"replayed": True, "re_run": True, "held_out": False}
        assert "moved from" in moved["flags"][0]


@pytest.mark.parametrize(
    ("seed", "values", "verdict"),
    [
        (1, {"episode_return": 0.9}, "episode_return differs by"),
        (1, {"end": "repaired"}, "end is 'repaired'"),
        (1, {"actions": [[0.0] * 5]}, "goes on after the 1 actions"),
        (0, {"actions": [[-0.5] * 5] * 2}, "does not choose the recorded actions"),
    ],
)
def test_edited_numbers_are_found(submitted, suite, seed, values, verdict):
    change(submitted, seed, **values)
    found = verify(submitted, suite=suite)
    assert not ranked(found)
    assert (found["marks"]["replayed"], found["replayed"], found["score"]) == (False, [], None)
    assert verdict in " ".join(found["verdict"])
    assert found["marks"]["re_run"] == ("actions" not in values)
    assert all(f"seed {1 - seed}" not in line for line in found["verdict"])


def test_every_action_of_an_episode_is_compared_with_the_policys(submitted, suite):
    """Here no repair depends on actions, so that after the first one, a little off, the policy chooses as before."""
    first, *others = read_episodes(submitted)[0]["actions"]
    change(submitted, 0, actions=[[*first[:4], first[4] + 0.02], *others])
    found = verify(submitted, suite=suite)
    assert "it is off by up to 0.02" in " ".join(found["verdict"])
    assert not found["marks"]["re_run"]


def test_ranked_by_is_what_was_replayed_and_not_what_was_told(submitted, suite):
    honest = {one["seed"]: one["episode_return"] for one in read_episodes(submitted)}
    for seed, value in honest.items():
        change(submitted, seed, episode_return=value + 0.9e-4, quality_gain=value + 0.9e-4)
    found = verify(submitted, suite=suite)
    assert ranked(found)
    file = write_verification(submitted / "verification.json", found)
    assert {one["seed"]: one["episode_return"] for one in read_run(submitted, suite).public} == pytest.approx(
        honest, abs=1e-6
    )
    assert found["score"] == pytest.approx(sum(honest.values()) / 2, abs=1e-6)
    write_verification(file, found | {"replayed": found["replayed"][:1]})
    with pytest.raises(InputError, match=r"as it was replayed: verify .* again"):
        read_run(submitted, suite)


def test_measures_that_nobody_makes_are_found(submitted, suite):
    change(submitted, 1, measures=read_episodes(submitted)[1]["measures"] | {"seconds_fake": 1e14})
    found = verify(submitted, suite=suite)
    assert not found["marks"]["replayed"]
    assert "measures.seconds_fake" in found["verdict"][0]


def test_a_submission_does_not_choose_more_threads_than_there_are(submitted, suite, monkeypatch):
    asked = []
    monkeypatch.setattr("videoinpaint.benchmarks.leaderboard.judging.measuring.set_threads", asked.append)
    file = submitted / "submission.yml"
    file.write_text(file.read_text().replace("threads: 1", "threads: 1024"))
    found = verify(submitted, suite=suite)
    assert ranked(found)
    assert all(threads <= os.cpu_count() for threads in asked)
    assert any("of the 1024 that it asks for" in line for line in found["log"])


@pytest.mark.parametrize("policy", ["package:strangers:steady", "builtin:heads4"])
@pytest.mark.parametrize("line", [OPEN, "files: Landlock 6"])
def test_code_that_could_read_the_verifiers_files_is_flagged(submitted, suite, monkeypatch, line, policy):
    told = replace(read_submission(submitted), policy=policy)
    write_submission(submitted, told if policy.startswith("package") else replace(told, weights={}))
    monkeypatch.setattr(
        "videoinpaint.benchmarks.leaderboard.judging.verification.give_marks", lambda found, *_: found.log.append(line)
    )
    expected = line == OPEN and policy.startswith("package")  # else nothing of a stranger's runs
    assert any("no Landlock" in flag for flag in verify(submitted, suite=suite)["flags"]) == expected


@pytest.mark.parametrize("when", ["while it is read", "while it plays"])
def test_what_changes_while_it_is_looked_at_is_not_what_was_verified(submitted, suite, monkeypatch, when):
    def mark(found, submission, suite, entry, episodes, *_):
        if when == "while it plays":
            change(submitted, 0, episode_return=99.0)
        found.marks.update(replayed=True, re_run=True)
        found.replayed = episodes

    def looking_for_the_suite(_):
        if when == "while it is read":
            change(submitted, 0, episode_return=99.0)
        return suite

    monkeypatch.setattr("videoinpaint.benchmarks.leaderboard.judging.verification.give_marks", mark)
    found = verify(submitted, suite=looking_for_the_suite)
    assert found["score"] < 90
    write_verification(submitted / "verification.json", found)
    with pytest.raises(InputError, match="changed after it was verified"):
        read_run(submitted, suite)


def test_weights_that_change_after_they_were_looked_at_are_not_run(submitted, tmp_path):
    (tmp_path / "policy.safetensors").write_bytes(b"one")
    entry = Entry("file:policy.safetensors", "safetensors", "policy.safetensors", tmp_path)
    entry = replace(entry, told=entry.hashes())
    (tmp_path / "run").mkdir()
    assert entry.job(tmp_path / "run")["kind"] == "safetensors"
    (tmp_path / "policy.safetensors").write_bytes(b"another")
    with pytest.raises(InputError, match="changed after they were looked at"):
        entry.job(tmp_path / "run")


def test_what_nobody_thought_of_is_a_verdict_too(submitted, suite, monkeypatch):
    def fail(found, *_):
        found.marks.update(replayed=True, re_run=True)
        raise ZeroDivisionError("by nobody")

    monkeypatch.setattr("videoinpaint.benchmarks.leaderboard.judging.verification.give_marks", fail)
    found = verify(submitted, suite=suite)
    assert not any(found["marks"].values())
    assert "ZeroDivisionError: by nobody" in found["verdict"][0]


@pytest.mark.parametrize("where", ["replayed", "held_out"])
def test_a_verification_with_an_episode_that_is_none_is_refused(submitted, suite, where, monkeypatch):
    """A board reads scores, actions, measures and costs of it, whoever wrote it."""
    file = submitted / "verification.json"
    found = verify(submitted, suite=suite, held_out=HeldOut("ab" * 32, 2))

    def saved(episodes):
        changed = {where: found[where] | {"episodes": episodes} if where == "held_out" else episodes}
        return write_verification(file, found | changed)

    first, second = found[where]["episodes"] if where == "held_out" else found[where]
    assert read_run(submitted, suite, saved([first, second]))
    spoilt = [{"episode_return": "x"}, {"actions": None}, {"measures": None}, {"gflops": [1]}, {"length": "x"}]
    lacking = [{k: v for k, v in first.items() if k != key} for key in ("actions", "episode_return")]
    for wrong in [*(first | change for change in spoilt), *lacking, second]:
        saved([wrong, second])
        with pytest.raises(InputError, match="no verification of this version"):
            read_run(submitted, suite)
    monkeypatch.setattr("videoinpaint.benchmarks.leaderboard.board.rows.score_name", lambda suite: "quality_gain")
    saved([first | {"quality_gain": None}, second])
    with pytest.raises(InputError, match=r"quality_gain.*: verify .* again"):
        read_run(submitted, suite)


@pytest.mark.parametrize(
    "change",
    [{"marks": {"replayed": 1}}, {"marks": {"replayed": True}}, {"held_out": {"salt_sha256": 5, "episodes": []}},
     {"held_out": None}, {"score": "x"}, {"flags": [1]}, {"submission": 5},
     {"replayed": [{"seed": "a"}]}, {"replayed": None},
     {"held_out": {"salt_sha256": None, "episodes": [{"seed": "a"}]}}, {"format": "other"}],
)  # fmt: skip
def test_a_verification_that_is_none_is_refused(submitted, suite, change, tmp_path):
    found = verify(submitted, suite=suite)
    file = write_verification(tmp_path / "verification.json", found)
    assert read_verification(file) == json.loads(file.read_text())
    write_verification(file, found | change)
    with pytest.raises(InputError, match="no verification of this version"):
        read_verification(file)
    (tmp_path / "link.json").symlink_to(file)
    with pytest.raises(InputError, match="a link"):
        read_verification(tmp_path / "link.json")


def test_verifications_of_one_name_do_not_meet(tmp_path, capsys):
    folders = [str(tmp_path / who / "mine") for who in ("alice", "bob")]
    for command in (["verify", "--output"], ["rank", "--verifications"]):
        assert main(["leaderboard", command[0], *folders, command[1], str(tmp_path / "found")]) == 2
        assert "several submissions are called mine" in capsys.readouterr().err


def test_copies_of_an_episode_are_flagged(submitted, suite):
    first = read_episodes(submitted)[0]
    change(submitted, 1, observations=first["observations"])
    assert "copies of each other" in verify(submitted, suite=suite)["flags"][0]


@pytest.mark.parametrize(
    ("name", "re_run", "verdict"),
    [("late", False, "failed to act"), ("aborts", False, "crash"), ("later", True, "held-out: the policy")],
)
def test_a_policy_that_fails_gets_no_mark_from_there_and_the_verifier_goes_on(submitted, suite, name, re_run, verdict):
    text = (submitted / "submission.yml").read_text()
    (submitted / "submission.yml").write_text(text.replace("strangers:steady", f"strangers:{name}"))
    found = verify(submitted, suite=suite, held_out=HELD_OUT)
    assert found["marks"] == {"replayed": True, "re_run": re_run, "held_out": False}
    assert not ranked(found)
    assert len(found["verdict"]) == 1
    assert verdict in found["verdict"][0]
    assert "\n" not in found["verdict"][0]


def test_the_commands_from_a_policy_to_a_board(suite, installed, tmp_path, monkeypatch, capsys):
    for module in ("leaderboard.submissions.submission", "protocol.tracks"):
        monkeypatch.setattr(f"videoinpaint.benchmarks.{module}.frozen_suite", lambda name, env_id: suite)
    folder, malformed = tmp_path / "mine", tmp_path / "malformed"
    assert (
        main(["leaderboard", "evaluate", "package:strangers:steady", "--output", str(folder), "--method", "ours"]) == 0
    )
    shutil.copytree(folder, malformed)
    (malformed / "episodes.jsonl").write_text("")

    assert main(["leaderboard", "commit", str(tmp_path / "salt")]) == 0
    published = capsys.readouterr().out.split()[-1]
    flags = ["--salt-file", str(tmp_path / "salt"), "--held-out", "1", "--output", str(tmp_path / "found")]
    assert main(["leaderboard", "verify", str(malformed), str(folder), *flags]) == 2
    told = capsys.readouterr()
    assert "malformed: no mark" in told.out
    assert "mine: replayed, re-run, held-out" in told.out
    assert "without a place on the board: malformed" in told.err
    assert not read_verification(tmp_path / "found" / "malformed.json")["marks"]["replayed"]
    assert read_verification(tmp_path / "found" / "mine.json")["held_out"]["salt_sha256"] == published

    numbers = {"return": 0.1, "quality_gain": 0.1, "iterations": 2, "gflops": 0.0, "actions": [[0.0] * 5] * 2}
    episodes = {"episodes": [{"seed": seed, **numbers} for seed in suite.seeds]}
    entry = {"digest": suite.digest, "policies": dict.fromkeys(("random", "best fixed", "beam oracle"), episodes)}
    (tmp_path / "references.json").write_text(json.dumps({"suites": {suite.name: {suite.env_id: entry}}}))
    flags = ["--verifications", str(tmp_path / "found"), "--references", str(tmp_path / "references.json")]
    assert (
        main(["leaderboard", "rank", str(folder), *flags, "--output", str(tmp_path / "board.json"), "--pictures", "1"])
        == 0
    )
    board = json.loads((tmp_path / "board.json").read_text())
    assert (board["entries"][0]["name"], board["entries"][0]["rank"]) == ("ours", 1)
    assert board["suite"]["held_out"] == 1
    clip = board["clips"][0]
    assert (clip["frames"], clip["height"], clip["width"]) == (4, 48, 64)
    assert set(clip["pictures"]) == {"reference", "damaged", "ours", "beam oracle"}
    assert all(one.startswith("data:image/jpeg;base64,") for one in clip["pictures"].values())
    assert main(["leaderboard", "rank", str(malformed), *flags]) == 2


def test_a_full_disk_leaves_no_salt(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(InputError, match="cannot write"):
            make_salt(tmp_path / "salt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "salt").exists()
    make_salt(tmp_path / "salt")


def test_a_salt_is_secret_and_its_seeds_are_nobody_elses(tmp_path, suite):
    published = make_salt(tmp_path / "salt")
    salt = read_salt(tmp_path / "salt")
    assert salt_hash(salt) == published
    with pytest.raises(InputError):
        make_salt(tmp_path / "salt")
    seeds = held_out_seeds(salt, suite, 50)
    assert len(set(seeds)) == 50
    assert min(seeds) >= 2**40
    assert seeds != held_out_seeds("0" * 64, suite, 50)
    assert not set(seeds) & set(held_out_seeds(salt, replace(suite, name="other-v1"), 50))
    assert not set(seeds) & set(held_out_seeds(salt, replace(suite, env_id="VideoInpaint-v0"), 50))
    for count in (0, 10_001):
        with pytest.raises(InputError, match=f"1 to 10000 held-out episodes, got {count}"):
            held_out_seeds(salt, suite, count)
    assert max(held_out_seeds(hashlib.sha256(b"1").hexdigest(), suite, 10_000)) < 2**53, "JSON holds them as they are"
    for mode in (0o640, 0o620, 0o604):
        (tmp_path / "salt").chmod(mode)
        with pytest.raises(InputError, match="others can read"):
            read_salt(tmp_path / "salt")
    (tmp_path / "other").write_text("secret")
    with pytest.raises(InputError, match="no salt"):
        read_salt(tmp_path / "other")
    (tmp_path / "link").symlink_to(np.__file__)
    for place in (np.__file__, tmp_path / "link"):
        with pytest.raises(InputError, match="policies may read"):
            check_hidden(place)


def test_cheating_gains_nothing(installed, suite, stranger, tmp_path, monkeypatch):
    """What it tries is in strangers.py: whatever succeeds would make it fail, and else it acts as the honest one."""
    monkeypatch.setenv("SECRET", "5a")
    salt = tmp_path / "salt"
    make_salt(salt)
    held_out = HeldOut(read_salt(salt), 2)
    _hint(installed, salt, stranger)
    plans = _learn_by_heart(installed, suite)
    folders = {name: submit(name, tmp_path, suite) for name in ("steady", "copies")}
    found = {name: verify(folder, suite=suite, held_out=held_out) for name, folder in folders.items()}
    honest, copies = (found[name]["held_out"]["episodes"] for name in folders)
    assert found["copies"]["verdict"] == []
    assert [one["actions"] for one in copies] == [one["actions"] for one in honest]
    assert [one["episode_return"] for one in copies] == [one["episode_return"] for one in honest]
    # Where episodes are known it does choose what it knows to be best: that is why held-out ones are ranked by.
    assert [one["actions"] for one in read_episodes(folders["copies"])] == list(plans.values())


def _hint(folder, salt, stranger):
    """It even knows where the salt lies. What this system cannot take from a guest, as the log says, is not tried."""
    with IsolatedPolicy(stranger("steady")) as policy:
        told = " ".join(policy.confinement)
    attempts = ["frames", "objects", "environment", "descriptors"]
    attempts += ["parent"] if "memory was closed" in told else []
    attempts += ["files", "disk"] if "Landlock" in told and "no Landlock" not in told else []
    attempts += ["others"] if "no signal" in told and "network: none" in told else []
    (folder / "hint.json").write_text(json.dumps({"salt": str(salt), "attempts": attempts}))


def _learn_by_heart(folder, suite):
    """Best of some actions for every public episode, by playing a copy of the environment."""
    arena, known = Arena(suite), {}
    for seed in suite.seeds:
        plans = [[[x] * 5] * 2 for x in (-1.0, 0.0, 1.0)]
        tried = {arena.play(_Plan(plan), seed, "")["episode_return"]: plan for plan in plans}
        frames = arena.show(seed, [])["damaged"].transpose(0, 3, 1, 2).reshape(12, 48, 64)
        known[hashlib.sha256(frames.tobytes()).hexdigest()] = tried[max(tried)]
    arena.close()
    (folder / "known.json").write_text(json.dumps(known))
    return known


class _Plan:
    name = "plan"

    def __init__(self, plan):
        self.left = list(plan)

    def act(self, observation):
        return [self.left.pop(0)]
