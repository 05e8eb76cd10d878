"""The board: who stands where, who cannot be told apart, and what is never ranked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from videoinpaint.benchmarks.leaderboard.board.ranking import rank, reference_episodes
from videoinpaint.benchmarks.leaderboard.board.rows import Run, normal, read_run
from videoinpaint.benchmarks.leaderboard.judging.marks import MARKS
from videoinpaint.benchmarks.leaderboard.judging.verification import verify, write_verification
from videoinpaint.benchmarks.leaderboard.submissions.recorded import read_episodes
from videoinpaint.benchmarks.leaderboard.submissions.submission import Submission
from videoinpaint.benchmarks.leaderboard.website.pictures import players_of
from videoinpaint.benchmarks.protocol.envelope import write_json
from videoinpaint.benchmarks.protocol.frozen import FrozenEpisode, FrozenSuite
from videoinpaint.cli import main
from videoinpaint.errors import InputError

CLIPS = 24
SUITE = FrozenSuite(
    "made-v1", "VideoInpaint-v1", {}, tuple(FrozenEpisode(i, f"clip{i}", "0" * 16) for i in range(CLIPS))
)
BASE = np.random.default_rng(0).normal(0.5, 0.1, CLIPS)
"""What clips allow, which differs far more than policies do."""


def reference(shift):
    return [{"seed": i, "return": BASE[i] + shift, "quality_gain": BASE[i] + shift, "iterations": 3, "gflops": 5.0}
            for i in range(CLIPS)]  # fmt: skip


REFERENCES = {"random": reference(-0.2), "best fixed": reference(0.0), "beam oracle": reference(0.2)}


def episode(seed, score, gflops=10.0, **values):
    return {
        "seed": seed,
        "clip": f"clip{seed}",
        "episode_return": float(score),
        "quality_gain": float(score),
        "length": 3,
        "actions": [[round(float(score), 6)] * 5],
        "measures": {"psnr_hole": 20 + float(score)},
        "controls": [{"heads": 4}],
        **dict.fromkeys(("gflops_begin", "gflops", "gflops_detector", "gflops_total"), gflops),
        "seconds_per_frame": 0.1,
    } | values


def entered(name, shift, seed=None, *, noise=0.01, marks=MARKS, held_out=0, gflops=10.0, policy="package:a:b", **about):
    rng = np.random.default_rng([sum(map(ord, name)), seed or 0])
    scores = BASE + shift + rng.normal(0, noise, CLIPS)
    told = Submission(name=name, method=name, authors="a", licence="MIT", policy=policy, env_id=SUITE.env_id,
                      suite=SUITE.name, suite_digest=SUITE.digest, training_seed=seed, **about)  # fmt: skip
    secret = [episode(2**40 + i, shift + rng.normal(0.5, 0.01), gflops) for i in range(held_out)]
    episodes = [episode(i, score, gflops) for i, score in enumerate(scores)]
    verification = {
        "marks": {mark: mark in marks for mark in MARKS},
        "flags": [],
        "log": ["played"],
        "replayed": episodes if "replayed" in marks else [],
        "held_out": {"salt_sha256": "5a" * 32 if held_out else None, "episodes": secret},
    }
    return Run(Path(f"{name}-{seed}"), told, episodes, verification)


def board(*runs):
    return rank(runs, REFERENCES, SUITE)


def by_name(found):
    return {one["name"]: one for one in found["entries"]}


def test_those_that_cannot_be_told_apart_share_a_rank():
    found = by_name(board(*(entered("a", 0.10, seed) for seed in range(3)), entered("b", 0.10), entered("c", 0.02)))
    assert (found["a"]["rank"], found["b"]["rank"], found["c"]["rank"]) == (1, 1, 3)
    assert found["a"]["training_seeds"] == 3
    assert found["c"]["difference"]["low"] > 0
    assert found["a"]["score"]["low"] < found["a"]["score"]["mean"] < found["a"]["score"]["high"]
    assert 0.7 < found["a"]["normalised"] < 0.8
    assert found["a"]["probability_of_improvement"] == 1.0
    assert found["a"]["profile"][0][1] == 1.0


def test_a_copy_that_adds_what_the_tolerance_allows_shares_the_rank():
    lead = entered("leader", 0.10)
    more = [one | {"episode_return": one["episode_return"] + 0.9e-4} for one in lead.episodes]
    copy = replace(lead, submission=replace(lead.submission, method="copy", authors="b"), episodes=more)
    found = by_name(board(lead, copy))
    assert (found["leader"]["rank"], found["copy"]["rank"]) == (1, 1)
    assert found["copy"]["score"] == found["leader"]["score"]
    other = [one | {"episode_return": one["episode_return"] + 1e-8} for one in lead.episodes]  # with other threads
    found = by_name(board(lead, replace(copy, verification=lead.verification | {"replayed": other})))
    assert (found["leader"]["rank"], found["copy"]["rank"]) == (1, 1)
    rounded = [one | {"episode_return": one["episode_return"] + 5e-4} for one in lead.episodes]
    for precision, ranks in (("bfloat16", (1, 1)), ("float32", (2, 1))):
        told = replace(copy.submission, precision=precision)
        found = by_name(
            board(lead, replace(copy, submission=told, verification=copy.verification | {"replayed": rounded}))
        )
        assert (found["leader"]["rank"], found["copy"]["rank"]) == ranks


def test_a_metric_has_a_row_a_run_and_a_column_a_clip():
    """Whatever training seeds are called, and in whichever order episodes were written."""
    runs = [entered("m", 0.1, seed) for seed in range(3)]
    for run in runs:
        for one in run.public:
            one["measures"]["psnr_hole"] += 3 * run.submission.training_seed
    unnamed = [replace(run, submission=replace(run.submission, training_seed=None)) for run in runs]
    turned = replace(runs[0], verification=runs[0].verification | {"replayed": runs[0].public[::-1]})
    told = [by_name(board(*some))["m"]["measures"] for some in (runs, unnamed, [turned, *runs[1:]])]
    assert told[0] == told[1] == told[2]
    assert told[0]["psnr_hole"]["high"] - told[0]["psnr_hole"]["low"] > 2  # trainings differ more than clips do


def test_only_what_was_verified_has_a_rank_and_references_have_none():
    edited = entered("edited", 0.15, marks=("re_run", "held_out"))
    replayed = entered("replayed only", 0.15, marks=("replayed",))
    never = replace(entered("never verified", 0.15), verification=None)
    found = by_name(board(entered("a", 0.05), edited, replayed, never))
    assert {name for name, one in found.items() if one["ranked"]} == {"a"}
    assert found["a"]["rank"] == 1
    assert {found[name]["kind"] for name in REFERENCES} == {"reference"}
    assert all(one["rank"] is None for name, one in found.items() if name != "a")
    assert "not verified" in found["never verified"]["flags"][0]
    assert board(entered("a", 0.05), never)["entries"][0]["name"] == "a"


def test_one_training_that_fails_verification_takes_the_whole_method_off():
    runs = [entered("a", 0.1, 0), entered("a", 0.1, 1, marks=("replayed",))]
    entry = by_name(board(*runs))["a"]
    assert (entry["rank"], entry["marks"]["re_run"]) == (None, False)


def test_held_out_episodes_are_ranked_by_where_all_have_them():
    good, bad = entered("good", 0.0, held_out=8), entered("knows the suite", 0.15, held_out=8)
    bad.verification["held_out"]["episodes"] = [episode(one["seed"], 0.3) for one in bad.held_out]
    found = board(good, bad)
    entries = by_name(found)
    assert found["suite"]["held_out"] == 8
    assert found["suite"]["salt_sha256"] == "5a" * 32
    assert (entries["good"]["rank"], entries["knows the suite"]["rank"]) == (1, 2)
    assert entries["knows the suite"]["normalised"] == pytest.approx(0.35 / 0.4, abs=0.02)  # where references played
    found = by_name(board(good, entered("good too", 0.0, held_out=8), replace(bad, episodes=good.episodes,
                          verification=bad.verification | {"replayed": good.public})))  # fmt: skip
    assert found["knows the suite"]["rank"] == 3, "it is told apart by held-out episodes alone"
    never = replace(entered("never verified", 0.15), verification=None)
    entries = by_name(board(good, entered("b", 0.15), entered("c", 0.1, 0, held_out=8), entered("c", 0.1, 1), never))
    assert (entries["good"]["rank"], entries["b"]["rank"]) == (1, None)  # it did not play what is ranked by
    for name in ("b", "c"):
        assert "without the held-out episodes" in " ".join(entries[name]["flags"])
    assert len(entries["never verified"]["flags"]) == 1


def test_held_out_episodes_of_different_salts_are_not_ranked_by():
    one, other = entered("one", 0.0, held_out=8), entered("other", 0.15, held_out=8)
    other.verification["held_out"]["episodes"] = [episode(one["seed"] + 99, 0.3) for one in other.held_out]
    found = board(one, other)
    assert found["suite"]["held_out"] == 0
    assert by_name(found)["other"]["rank"] == 1


def test_episodes_of_a_held_out_run_that_failed_do_not_count():
    runs = [entered("a", 0.1, held_out=4, marks=("replayed", "re_run"))]
    found = board(*runs)
    assert found["suite"]["held_out"] == 0
    assert not any(one["held_out"] for one in by_name(found)["a"]["episodes"])


def test_whoever_fails_on_held_out_episodes_has_no_rank_and_changes_nobodys():
    """It knows the suite by heart, and crashes on what it does not know."""
    honest = entered("honest", 0.0, held_out=8)
    cheat = entered("cheat", 0.2, held_out=8, marks=("replayed", "re_run"))
    found = board(honest, cheat)
    assert found["suite"]["held_out"] == 8
    assert (by_name(found)["honest"]["rank"], by_name(found)["cheat"]["rank"]) == (1, None)


@pytest.mark.parametrize("turned", [False, True])
def test_a_training_that_failed_on_fewer_held_out_episodes_leaves_its_method_unranked(turned):
    runs = [entered("a", 0.1, 0, held_out=8), entered("a", 0.1, 1, held_out=5, marks=("replayed", "held_out"))]
    entries = by_name(board(*(runs[::-1] if turned else runs), entered("b", 0.0, held_out=8)))
    assert (entries["a"]["rank"], entries["b"]["rank"]) == (None, 1)
    assert entries["a"]["score"]["mean"] == pytest.approx(by_name(board(*runs))["a"]["score"]["mean"])


def test_numbers_that_are_not_the_policys_own_have_no_rank():
    foreign = entered("foreign", 0.2, held_out=8, marks=("replayed", "held_out"))
    assert by_name(board(entered("honest", 0.0), foreign))["foreign"]["rank"] is None


def test_held_out_episodes_of_a_run_without_a_rank_change_nobodys_and_count_no_more_than_others_do():
    honest, foreign = entered("honest", 0.0, held_out=8), entered("foreign", 0.2, held_out=11, marks=MARKS[::2])
    for one in foreign.held_out[8:]:
        one["episode_return"] = 9.0
    found = board(honest, foreign)
    entries = by_name(found)
    assert (found["suite"]["held_out"], entries["honest"]["rank"], entries["foreign"]["rank"]) == (8, 1, None)
    assert entries["foreign"]["score"]["mean"] < 1


def test_a_training_without_held_out_episodes_takes_its_method_off_a_board_about_them():
    runs = [entered("a", 0.1, 0, held_out=8), entered("a", 0.1, 1), entered("b", 0.0, held_out=8)]
    entries = by_name(board(*runs))
    assert (entries["a"]["rank"], entries["b"]["rank"]) == (None, 1)
    assert len({len(run) for run in entries["a"]["profile"]}) == 1


def test_nobody_else_enters_under_the_name_of_a_method():
    mine, theirs = entered("ours", 0.1), entered("ours", -0.1, marks=())
    theirs = replace(theirs, submission=replace(theirs.submission, authors="somebody else"))
    entries = by_name(board(mine, theirs))
    assert (entries["ours (a)"]["rank"], entries["ours (somebody else)"]["rank"]) == (1, None)
    third = replace(theirs, submission=replace(theirs.submission, method="ours (a)"))
    assert by_name(board(mine, theirs, third)).keys() - REFERENCES == {
        "ours (a)", "ours (somebody else)", "ours (a) (submitted)"}  # fmt: skip
    assert entries["ours (a)"]["score"]["mean"] == pytest.approx(by_name(board(mine))["ours"]["score"]["mean"])


def test_how_long_a_strangers_machine_took_is_not_told():
    entries = by_name(board(entered("public", 0.1)))
    assert entries["public"]["cost"]["seconds_per_frame"] is None
    assert by_name(board(entered("here", 0.1, held_out=4)))["here"]["cost"]["seconds_per_frame"] == pytest.approx(0.1)


def test_plans_and_random_controls_are_neither_constants_nor_do_they_look():
    runs = [
        entered("plan", 0.3, policy="builtin:heads4then2", gflops=9.9),
        entered("chance", 0.25, policy="builtin:random", gflops=9.8),
        entered("looking", 0.1, gflops=10.0),
        entered("looking in vain", -0.1, gflops=30.0),
        entered("near", 0.0, policy="builtin:heads8", gflops=12.0),
        entered("far", 0.0, policy="fixed:2,0.6,0.9,0.45,0.2", gflops=30.0),
    ]
    entries = by_name(board(*runs))
    assert "nearest to that of looking" in entries["near"]["remarks"]
    assert not any(entries[name]["remarks"] for name in ("plan", "chance", "looking", "looking in vain", "far"))
    entries = by_name(board(*(run for run in runs if run.submission.name != "near")))
    assert "nearest to that of looking (" in entries["far"]["remarks"]


def test_a_metric_that_some_episodes_lack_has_no_mean():
    run = entered("some", 0.1)
    for one in run.episodes[3:]:
        one["measures"] = {}
    assert by_name(board(run))["some"]["measures"] == {}


def test_what_looks_wrong_is_flagged():
    same = [entered("same", 0.1, 1, weights={"policy.pt": "ab"}), entered("same", 0.1, 1, weights={"policy.pt": "ab"})]
    flags = " ".join(by_name(board(*same))["same"]["flags"])
    assert "training seed was 1" in flags
    assert "same weights" in flags
    assert "same actions" in flags
    assert "too good" in by_name(board(entered("magic", 0.3)))["magic"]["flags"][0]
    two = entered("a", 0.1, 0), entered("a", 0.1, 1, contamination="trained on the suite")
    two[1].verification["flags"].append("copies of each other")
    told = by_name(board(*two))["a"]
    assert (told["rank"], told["contamination"]) == (1, "none; trained on the suite")
    assert told["flags"] == ["copies of each other"], "neither has weights, which are not the same then"
    assert by_name(board(two[0]))["a"]["flags"] == []


def test_cost_has_a_front_and_a_constant_of_equal_compute():
    looks = entered("looks", 0.1, gflops=10.0)
    cheap, dear = (entered(n, 0.05, gflops=g, policy="builtin:heads4") for n, g in (("cheap", 9.0), ("dear", 99.0)))
    unverified = entered("unverified", 0.15, gflops=1.0, marks=())
    found = board(looks, cheap, dear, unverified)
    entries = by_name(found)
    front = [entries[name]["pareto"] for name in ("looks", "cheap", "dear", "unverified")]
    assert front == [True, True, False, False]
    assert "nearest to that of looks" in entries["cheap"]["remarks"]
    assert found["references"]["fixed at equal compute"] == entries["cheap"]["score"]["mean"]
    far = board(looks, dear)["references"]
    assert "fixed at equal compute" not in far
    assert far["fixed nearest in compute"] == entries["dear"]["score"]["mean"]
    assert found["references"]["oracle"] == found["references"]["beam oracle"] > found["references"]["random"]


def test_names_from_outside_stay_one_line_of_text(tmp_path):
    name = "<script>alert(1)</script>\n[bold]\x1b[31m"
    found = board(entered(name, 0.1, contamination="<b>\nnone"))
    assert found["entries"][0]["name"] == "<script>alert(1)</script> [bold][31m"
    assert write_json(tmp_path / "board.json", found).is_file()
    assert by_name(board(entered("beam oracle", 0.1)))["beam oracle (submitted)"]["kind"] == "policy"


def test_what_cannot_be_seen_makes_no_other_name():
    twice = [entered("ours", 0.1, 0), entered("ours\u200b ", 0.1, 1)]
    assert by_name(board(*twice))["ours"]["training_seeds"] == 2
    for name in ("best fixed\u3164", "Best fixed", "damaged", "reference"):
        entries = by_name(board(entered(name, 0.1)))
        own = next(one for one in entries.values() if one["kind"] == "policy")
        assert own["name"].endswith(" (submitted)")
        assert entries["best fixed"]["kind"] == "reference"


def test_every_row_has_the_pictures_of_its_own_run():
    mine, theirs, odd = entered("m", 0.10), entered("m", 0.05), entered("damaged", 0.08)
    theirs = replace(theirs, submission=replace(theirs.submission, authors="b"))
    runs = [mine, theirs, odd]
    oracle = [one | {"actions": [[0] * 5]} for one in REFERENCES["beam oracle"]]
    players = players_of(board(*runs), runs, REFERENCES | {"beam oracle": oracle})
    assert set(players) == {"m (a)", "m (b)", "damaged (submitted)", "beam oracle"}
    for name, run in (("m (a)", mine), ("m (b)", theirs), ("damaged (submitted)", odd)):
        assert players[name] == {one["seed"]: one["actions"] for one in run.episodes}


def test_a_submission_that_changed_after_its_verification_is_refused(submitted, suite):
    folder = submitted
    write_verification(folder / "verification.json", verify(folder, suite=suite))
    assert read_run(folder, suite).marks["re_run"]
    text = (folder / "submission.yml").read_text()
    (folder / "submission.yml").write_text(text.replace("a stranger", "somebody else"))
    with pytest.raises(InputError, match="changed after it was verified"):
        read_run(folder, suite)


def test_a_folder_is_not_replaced_by_a_board_and_nothing_is_read_first(tmp_path, capsys):
    (tmp_path / "thesis.txt").touch()
    assert main(["leaderboard", "rank", str(tmp_path / "none"), "--output", str(tmp_path)]) == 2
    assert f"{tmp_path}: it is a folder; name a file" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


def test_a_board_needs_runs_and_references():
    with pytest.raises(InputError, match="name the folders"):
        board()
    with pytest.raises(InputError, match="best fixed, beam oracle"):
        rank([entered("a", 0.1)], {"random": reference(0)}, SUITE)


def test_runs_and_references_of_other_pixels_are_refused(tmp_path):
    other = replace(SUITE, episodes=SUITE.episodes[:-1])
    with pytest.raises(InputError, match="evaluate it anew"):
        rank([entered("a", 0.1)], REFERENCES, other)
    entry = {"digest": other.digest, "policies": {}}
    write_json(tmp_path / "references.json", {"suites": {SUITE.name: {SUITE.env_id: entry}}})
    assert reference_episodes(other, tmp_path / "references.json") == {}
    with pytest.raises(InputError, match="has no references"):
        reference_episodes(SUITE, tmp_path / "references.json")


@pytest.mark.parametrize(
    "entry",
    [5, {"policies": 5}, {}, {"policies": {"random": {}}}, {"policies": {"random": {"episodes": [5]}}},
     *({"policies": {"random": {"episodes": [REFERENCES["random"][0] | change]}}}
       for change in ({"return": "x"}, {"seed": None}, {"gflops": [1]})),
     {"policies": {"random": {"episodes": [{"seed": 0, "return": 1.0}]}}}],
)  # fmt: skip
def test_a_file_that_holds_no_references_is_one_error(entry, tmp_path):
    entry = {"digest": SUITE.digest} | entry if isinstance(entry, dict) else entry
    for suites in ({SUITE.name: {SUITE.env_id: entry}}, [entry]):
        write_json(tmp_path / "references.json", {"suites": suites})
        with pytest.raises(InputError, match=r"references\.json holds no references of suites"):
            reference_episodes(SUITE, tmp_path / "references.json")


def test_verify_flags_what_is_beyond_the_oracle_of_the_suite(submitted, suite, monkeypatch):
    from videoinpaint.benchmarks.leaderboard.judging import verification

    assert verification.too_good(BASE + 0.1, BASE)
    assert not verification.too_good(BASE, BASE + 0.1)
    assert not verification.too_good(BASE, BASE)
    told = [{"seed": one["seed"], "return": one["episode_return"] - 1e-3} for one in read_episodes(submitted)]
    assert abs(told[0]["return"] - told[1]["return"]) > 2e-3
    found = {"policies": {"beam oracle": {"episodes": told[::-1]}}}  # by their seeds, in whichever order
    monkeypatch.setattr(verification, "suite_references", lambda suite: found)
    assert "too good" not in " ".join(verify(submitted, suite=suite)["flags"])  # two clips say nothing
    monkeypatch.setattr("videoinpaint.benchmarks.protocol.statistics.FEWEST", 2)
    assert "too good" in verify(submitted, suite=suite)["flags"][0]


def test_a_reference_costs_what_all_of_its_parts_cost():
    told = {"return": 1.0, "quality_gain": 0.5, "iterations": 2, "gflops_begin": 1.0, "gflops": 2.0}
    for known, total in (({"gflops_detector": 4.0}, 7.0), ({}, None)):
        found = normal([told | known | {"seed": one.seed} for one in SUITE.episodes], SUITE, "quality_gain")
        assert [one["gflops_total"] for one in found] == [total] * len(SUITE.episodes)
    with pytest.raises(InputError, match="other episodes than the suite"):
        normal(REFERENCES["random"][1:], SUITE, "quality_gain")
