"""References of frozen suites: what they are, that they go on after an interruption, and scores between them."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from videoinpaint.benchmarks.policies.suite_references import Search, measure, measure_suites, random_settings
from videoinpaint.benchmarks.protocol import suite_references as reader
from videoinpaint.benchmarks.protocol.frozen import freeze, frozen_suite
from videoinpaint.benchmarks.protocol.suite_references import POLICIES, ranked_by, suite_references, suite_score
from videoinpaint.controls import Controls
from videoinpaint.envs.ids import with_precision
from videoinpaint.errors import InputError

SMALL = {"num_frames": 2, "height": 40, "width": 48, "max_iterations": 2, "detector": "none", "clips": "studio:easy"}
SMALL |= {"masks": "studio:easy"}
SEARCH = Search([Controls(heads=2), Controls(heads=12)], range(1_000_000, 1_000_002), draws=2, beam=2, device="cpu")


def test_references_stand_in_their_order_and_are_not_measured_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = freeze("small-v1", "VideoInpaintBudget-v0", SMALL, [3, 8])
    file = tmp_path / "references.json"
    entry = measure_suites([suite], SEARCH, file)["suites"]["small-v1"]["VideoInpaintBudget-v0"]
    assert set(entry["policies"]) == set(POLICIES)
    reached = {name: [one["return"] for one in row["episodes"]] for name, row in entry["policies"].items()}
    assert [one["seed"] for one in entry["policies"]["random"]["episodes"]] == [3, 8]
    for index in range(2):
        best = reached["beam oracle"][index]
        assert all(best >= reached[name][index] for name in ("greedy oracle", "best fixed", "random search"))
    monkeypatch.setattr(reader, "shipped", lambda _: json.loads(file.read_text())["suites"])
    assert suite_score(suite, entry["policies"]["random"]["return"]["mean"]) == pytest.approx(0)
    assert suite_score(suite, entry["policies"]["beam oracle"]["return"]["mean"]) == pytest.approx(1)
    assert suite_references(suite.first(1)) is None
    # A file that lacks a policy is filled in with that policy alone.
    partly = json.loads(file.read_text())
    own = partly["suites"]["small-v1"]["VideoInpaintBudget-v0"]
    own["policies"].pop("random search")
    own["policies"]["random"]["iterations"] = 77
    file.write_text(json.dumps(partly))
    again = measure_suites([suite], SEARCH, file)["suites"]["small-v1"]["VideoInpaintBudget-v0"]
    found, before = (
        [each | {"seconds_per_frame": 0} for each in one["policies"]["random search"]["episodes"]]
        for one in (again, entry)
    )
    assert found == before
    assert again["policies"]["random"]["iterations"] == 77
    with pytest.raises(InputError, match="found otherwise"):
        measure_suites([suite.first(1)], SEARCH, file)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match="another file"):
        measure_suites([suite], SEARCH, tmp_path / "other.json")


def test_references_by_cell_search_cell_by_cell_and_skip() -> None:
    suite = freeze("small-v1", "VideoInpaintRegions-v1", SMALL | {"action_grid": (1, 2)}, [3, 8])
    entry = measure(suite, SEARCH, {}, lambda: None)
    assert set(entry["policies"]) == set(POLICIES)
    reached = {name: [one["return"] for one in row["episodes"]] for name, row in entry["policies"].items()}
    for index in range(2):
        best = reached["beam oracle"][index]
        assert all(best >= reached[name][index] for name in ("greedy oracle", "best fixed", "random search"))
    told = {name: [one["actions"] for one in row["episodes"]] for name, row in entry["policies"].items()}
    assert all(np.shape(action) == (1, 2, 5) for actions in told["random"] for action in actions)
    assert all(np.shape(action) == (5,) for actions in told["best fixed"] for action in actions)
    assert any(np.min(action) < -1 for actions in told["greedy oracle"] for action in actions)
    env = gymnasium.make(suite.env_id, **with_precision(suite.env_id, suite.env_kwargs, "float32"))
    for row in entry["policies"].values():
        for one in row["episodes"]:
            env.reset(seed=one["seed"])
            actions = [np.broadcast_to(np.float32(action), (1, 2, 5)) for action in one["actions"]]
            assert sum(float(env.step(action)[1]) for action in actions) == pytest.approx(one["return"])
    env.close()


def test_random_search_draws_settings_over_the_whole_range() -> None:
    drawn = random_settings(40)
    assert drawn == random_settings(40)
    assert {one.heads for one in drawn} >= {2, 7, 12}
    with pytest.raises(InputError, match="1 setting"):
        random_settings(0)


def test_a_policy_that_weighs_its_reward_is_ranked_by_quality() -> None:
    assert ranked_by("VideoInpaintBudget-v0") == "return"
    assert ranked_by("VideoInpaint-v0") == "quality_gain"


def test_references_that_ship_are_of_the_suites_that_ship() -> None:
    for name, by_env in reader.shipped(reader.FILE).items():
        for env_id in by_env:
            known = suite_references(frozen_suite(name, env_id))
            assert known is not None, (name, env_id)
            assert all(len(row["episodes"]) == 24 for row in known["policies"].values())
            assert known["policies"]["random"]["return"]["mean"] < known["policies"]["beam oracle"]["return"]["mean"]
