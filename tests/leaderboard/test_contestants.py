"""One command makes the board that is committed, and goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from videoinpaint.agents.policies.policy import POLICIES, make_policy
from videoinpaint.benchmarks.leaderboard import contestants as module
from videoinpaint.benchmarks.leaderboard.contestants import BOARDS, BUILTIN, Contestants, contestants, run_all
from videoinpaint.benchmarks.leaderboard.judging.measuring import Arena
from videoinpaint.benchmarks.protocol.envelope import plain
from videoinpaint.benchmarks.protocol.frozen import frozen_suite
from videoinpaint.errors import InputError


@pytest.fixture(scope="module")
def references(suite):
    """Random, as a stand-in for each: what counts here is that they get onto the board."""
    arena = Arena(suite)
    played = [arena.play(make_policy("random"), seed, "random") for seed in suite.seeds]
    arena.close()
    told = [one | {"return": one["episode_return"], "iterations": one["length"]} for one in played]
    return dict.fromkeys(("random", "best fixed", "beam oracle"), told)


@pytest.fixture(scope="module")
def made(suite, references, tmp_path_factory):
    """Flags, and the board of one contestant."""
    folder = tmp_path_factory.mktemp("made")
    flags = Contestants(builtin=("heads4",), pictures=1, work=folder / "work", output=folder / "docs")
    return flags, run_all(flags, suite, references)


@pytest.fixture
def nothing_is_left_to_play(monkeypatch):
    def play(*_):
        raise AssertionError("an episode is played again")

    monkeypatch.setattr(Arena, "play", play)


def test_everybody_is_measured_verified_ranked_and_drawn(made):
    flags, board = made
    assert [(one["name"], one["rank"]) for one in board["entries"] if one["ranked"]] == [("heads4", 1)]
    written = json.loads((flags.output / "board.json").read_text())
    assert written["entries"] == plain(board["entries"])
    assert list(written["clips"][0]["pictures"])[:3] == ["reference", "damaged", "heads4"]
    assert ">heads4<" in (flags.output / "index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("nothing_is_left_to_play")
def test_a_second_run_plays_nothing_and_whoever_cannot_be_measured_is_told(made, suite, references, tmp_path, capsys):
    flags, board = made
    (tmp_path / "stock" / "seed3").mkdir(parents=True)
    (tmp_path / "stock" / "seed3" / "policy.pt").write_bytes(b"no network")
    again = run_all(replace(flags, stock=tmp_path / "stock", output=tmp_path / "docs"), suite, references)
    told = capsys.readouterr().out
    assert "stock-3 is left out: policy 'policy.pt' is refused" in told
    assert "heads4: replayed, re_run" in told
    assert plain(again["entries"]) == plain(board["entries"])


def test_training_seeds_are_one_method_and_say_how_they_were_trained(tmp_path):
    for seed in (0, 10, 2):
        (tmp_path / f"seed{seed}").mkdir()
        (tmp_path / f"seed{seed}" / "policy.safetensors").touch()
    (tmp_path / "about.yml").write_text("hardware: two cores\nbudget: {steps: 6912}\n")
    found = contestants(Contestants(builtin=(), ours=tmp_path))
    assert [one.about["training_seed"] for one in found] == [0, 2, 10]
    assert {one.about["method"] for one in found} == {"Closed-loop PPO"}
    assert {one.about["hardware"] for one in found} == {"two cores"}
    assert found[0].about["budget"] == {"steps": 6912}


def test_every_builtin_contestant_exists_and_each_environment_has_its_board():
    for env_id, (place, names) in BOARDS.items():
        flags = Contestants(env_id=env_id)
        assert [one.name for one in contestants(flags)] == list(names)
        assert set(names) <= set(POLICIES.names())
        assert flags.place == place
        assert frozen_suite(flags.suite, env_id).episodes
    assert len({place for place, _ in BOARDS.values()}) == len(BOARDS)
    other = Contestants(env_id="VideoInpaint-v1")
    assert ([one.name for one in contestants(other)], other.place) == (list(BUILTIN), "VideoInpaint-v1")


def test_seeds_of_a_fitted_policy_are_files(tmp_path):
    for name in ("seed1.safetensors", "seed0.safetensors", "notes.safetensors"):
        (tmp_path / name).touch()
    found = contestants(Contestants(builtin=(), fitted=tmp_path))
    assert [(one.name, Path(one.policy).name) for one in found] == [
        ("fitted-0", "seed0.safetensors"), ("fitted-1", "seed1.safetensors")]  # fmt: skip
    assert {one.about["method"] for one in found} == {"Fitted to trials"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ours": Path("nowhere")}, "training seeds"),
        ({"builtin": ()}, "nobody"),
        ({"held_out": 3}, "--salt-file"),
        ({"pictures": 99}, "pictures"),
    ],
)
def test_bad_flags_are_refused_before_anybody_plays(suite, references, tmp_path, monkeypatch, change, told):
    monkeypatch.setattr(module, "measure", None)
    with pytest.raises(InputError, match=told):
        run_all(replace(Contestants(work=tmp_path, pictures=0), **change), suite, references)


def test_what_is_said_of_a_training_is_looked_at(tmp_path):
    (tmp_path / "seed0").mkdir()
    (tmp_path / "seed0" / "policy.pt").touch()
    for text in ("policy: other", "- a list", "a: [b"):
        (tmp_path / "about.yml").write_text(text)
        with pytest.raises(InputError, match=r"about\.yml"):
            contestants(Contestants(stock=tmp_path))
