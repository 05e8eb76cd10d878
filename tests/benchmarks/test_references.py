"""References that ship get the row of a new policy without playing everything again."""

import json

import pytest

from videoinpaint.agents import evaluate
from videoinpaint.benchmarks.policies.references import References, report, run
from videoinpaint.errors import InputError


def test_a_new_policy_is_put_into_what_is_known(tmp_path, capsys):
    row = {name: {"mean": mean, "low": mean, "high": mean} for name, mean in (("return", 0.1), ("quality_gain", 0.1))}
    row |= {"psnr_hole": {"mean": 20.0, "low": 20.0, "high": 20.0}, "gflops": 1.0}
    better = row | {"return": {"mean": 0.5, "low": 0.5, "high": 0.5}}
    entry = {"episodes": 1, "best_fixed": {"heads": 12}, "policies": {"random": row, "oracle": better}}
    other = {"episodes": 2, "best_fixed": {}, "policies": {}}
    path = tmp_path / "references.json"
    path.write_text(json.dumps({"created": "then", "environments": {"VideoInpaint-v1": entry, "Other-v0": other}}))
    flags = References(env_ids=("VideoInpaint-v1",), policies=("heads4",), into=path, device="cpu")
    report(run(flags))
    shown = " ".join(capsys.readouterr().out.split())
    assert "heads4" in shown
    assert "1 episodes, without intervals, which need 5 clips; best fixed: heads 12" in shown
    known = json.loads(path.read_text())
    assert known["created"] == "then"
    assert known["environments"]["Other-v0"] == other
    found = known["environments"]["VideoInpaint-v1"]
    assert found["policies"]["random"] == row
    assert found["put_in"]["heads4"]["settings"]["policies"] == ["heads4"]
    expected = evaluate("heads4", {"device": "cpu"}, range(1), env_id="VideoInpaint-v1")[0].episode_return
    assert found["policies"]["heads4"]["return"]["mean"] == pytest.approx(expected, abs=1e-5)


def test_references_of_other_environments_are_not_made_of_nothing(tmp_path):
    path = tmp_path / "references.json"
    path.write_text(json.dumps({"environments": {}}))
    with pytest.raises(InputError, match=r"no references of VideoInpaint-v1.*measure them first"):
        run(References(env_ids=("VideoInpaint-v1",), into=path))
    with pytest.raises(InputError, match="cannot be read as references"):
        run(References(env_ids=("VideoInpaint-v1",), into=tmp_path / "none.json"))
