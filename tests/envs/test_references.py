"""Reference returns: one of every id, and scores that lie between a random policy and an oracle."""

from __future__ import annotations

import pytest

from videoinpaint.envs.page import environment_page
from videoinpaint.envs.references import normalised_score, references
from videoinpaint.registration import ENVIRONMENTS


@pytest.mark.parametrize("env_id", [one.id for one in ENVIRONMENTS])
def test_every_id_has_references_in_their_order(env_id):
    policies = references()[env_id]["policies"]
    returns = {name: row["return"]["mean"] for name, row in policies.items()}
    assert returns["random"] < returns["oracle"]
    assert returns["best fixed"] <= returns["oracle"]
    assert normalised_score(env_id, returns["random"]) == 0
    assert normalised_score(env_id, returns["oracle"]) == 1
    page = environment_page("one_shot.md" if "OneShot" in env_id else "environment.md")
    assert f"{returns['oracle']:.4f}" in page


def test_there_is_no_score_where_the_episodes_are_others():
    assert normalised_score("Nope-v0", 1.0) is None
    assert normalised_score("VideoInpaint-v1", 1.0, {"masks": "square"}) is None
    assert normalised_score("VideoInpaint-v1", 1.0, {"device": "cpu"}) is not None
    count = references()["VideoInpaint-v1"]["episodes"]
    assert normalised_score("VideoInpaint-v1", 1.0, seeds=range(count)) == normalised_score("VideoInpaint-v1", 1.0)
    for other in (range(count + 1), range(count - 1), range(1, count + 1)):
        assert normalised_score("VideoInpaint-v1", 1.0, seeds=other) is None
