"""A policy in a process of its own: one verdict for everything it can do wrong, and nothing to be had beside it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch

from videoinpaint.agents.policies import make_policy
from videoinpaint.agents.policies.export import blank_network, load_policy, save_policy
from videoinpaint.benchmarks.leaderboard.sandbox.isolated import GuestError, IsolatedPolicy, Limits, installation
from videoinpaint.benchmarks.leaderboard.sandbox.wire import Channel
from videoinpaint.benchmarks.leaderboard.submissions.entry import parse_entry

SEEN = {"frames": np.zeros((1, 12, 48, 64), np.uint8), "masks": np.full((1, 4, 48, 64), 10, np.uint8)}


@pytest.fixture
def pair():
    there, back = os.pipe(), os.pipe()
    ends = Channel(there[0], back[1]), Channel(back[0], there[1])
    yield ends
    for end in ends:
        end.close()


def test_messages_arrive_as_they_were_sent(pair):
    one, other = pair
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    one.send({"begin": True}, frames=frames, empty=np.zeros((0, 5), np.float32))
    header, arrays = other.receive(1)
    assert header == {"begin": True}
    assert arrays["frames"].tolist() == frames.tolist()
    assert arrays["empty"].shape == (0, 5)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b'{"header": {}}',
        b'{"header": {}, "arrays": {"a": ["object", [1]]}}',
        b'{"header": {}, "arrays": {"a": ["float32", [1e99]]}}',
        b'{"header": {}, "arrays": {"a": ["float32", [1073741824, 1073741824]]}}',
        b'{"header": {}, "arrays": {"a": ["float32", [-1]]}}',
        b'{"header": {}, "arrays": {"a": 1}}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_message_is_one_error(pair, content):
    one, other = pair
    os.set_blocking(one.writing, True)
    os.write(one.writing, (struct.pack(">II", len(content), 0) + content)[:60_000])
    with pytest.raises((ValueError, TimeoutError)):
        other.receive(0.2)


def test_a_message_that_is_too_large_or_late_is_not_waited_for(pair):
    one, other = pair
    os.write(one.writing, struct.pack(">II", 2**31, 2**31))
    with pytest.raises(ValueError, match="more than"):
        other.receive(1)
    with pytest.raises(TimeoutError):
        other.receive(0.05)
    with pytest.raises(TimeoutError):
        one.send({}, 0.05, frames=np.zeros(2**20, np.uint8))  # nobody reads it


def test_a_policy_acts_as_it_would_here(stranger, installed):
    from strangers import Steady

    with IsolatedPolicy(stranger("steady")) as policy:
        assert np.allclose(policy.act(SEEN), Steady().act(SEEN))
        assert any("limits" in line for line in policy.confinement)
    with pytest.raises(GuestError, match="does not run"):
        policy.act(SEEN)


def test_an_episode_begins_anew_and_draws_what_follows_from_what_it_shows(stranger):
    other = SEEN | {"masks": SEEN["masks"] + 1}
    with IsolatedPolicy(stranger("counts")) as policy:
        told = []
        for _ in range(2):
            policy.reset()
            told += [policy.act(SEEN)[0, 0], policy.act(SEEN)[0, 0]]
        assert told == pytest.approx([0.1, 0.2, 0.1, 0.2])
    with IsolatedPolicy(stranger("drawn")) as policy:
        drawn = []
        for seen in (SEEN, other, SEEN):
            policy.reset()
            drawn.append([policy.act(seen).tolist(), policy.act(seen).tolist()])
        assert drawn[0] == drawn[2]
        assert len({str(action) for episode in drawn[:2] for action in episode}) == 4


def test_constants_and_torchscript_act(tmp_path):
    with IsolatedPolicy(parse_entry("fixed:12,0.65,0.9,0.6,0.2", tmp_path)) as policy:
        assert policy.act(SEEN)[0, 0] == 1.0

    class Module(torch.nn.Module):
        def forward(self, frames, masks):
            return masks.float().mean((1, 2, 3))[:, None].repeat(1, 5) / 255

    torch.jit.script(Module()).save(str(tmp_path / "policy.pt"))
    assert [parse_entry(text, tmp_path).is_code for text in ("file:policy.pt", "builtin:heads4")] == [True, False]
    with IsolatedPolicy(parse_entry("file:policy.pt", tmp_path)) as policy:
        assert np.allclose(policy.act(SEEN), 10 / 255)


@pytest.mark.parametrize("name", ["trained", "trained-objective"])
def test_trained_policies_act_as_they_do_outside(name, tmp_path):
    """Making a network imports more of torch than it seems, which a confined process must not need."""
    outside = make_policy(name)
    with IsolatedPolicy(parse_entry(f"builtin:{name}", tmp_path)) as policy:
        assert np.array_equal(policy.act(SEEN), outside.act(SEEN))


LEARNT = """
import numpy as np
import torch

class Learnt:
    def __init__(self):
        self.network = torch.nn.Linear(1, 5)
        self.optimizer = torch.optim.Adam(self.network.parameters())

    def act(self, observation):
        return np.zeros((len(observation["masks"]), 5), np.float32)
"""


@pytest.mark.parametrize("requirement", ["torch>=2", "videoinpaint"])
def test_an_installed_policy_that_says_so_may_need_torch(requirement, tmp_path, monkeypatch):
    """A network with its optimiser, which takes more memory to import than a policy may ask for."""
    info = tmp_path / "learners-1.0.dist-info"
    info.mkdir()
    (tmp_path / "learners.py").write_text(LEARNT)
    needed = "".join(f"Requires-Dist: {name}\n" for name in ("nobody-has-this", requirement))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: learners\nVersion: 1.0\n{needed}")
    (info / "entry_points.txt").write_text("[videoinpaint.policies]\nlearnt = learners:Learnt\n")
    tmp_path.chmod(0o755)
    monkeypatch.syspath_prepend(tmp_path)
    with IsolatedPolicy(parse_entry("package:learners:learnt", tmp_path)) as policy:
        assert policy.act(SEEN).shape == (1, 5)


def test_every_file_of_this_package_may_be_read_where_it_is_a_link(tmp_path, monkeypatch):
    """As in a tree of links, which some installers make."""
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.touch()
    root = tmp_path / "videoinpaint"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "contract.py").symlink_to(elsewhere)
    monkeypatch.setattr("videoinpaint.__file__", str(root / "__init__.py"))
    assert str(elsewhere.resolve()) in installation()


def test_a_policy_file_acts_as_it_does_outside(tmp_path):
    file = save_policy(tmp_path / "policy.safetensors", blank_network(), {})
    with IsolatedPolicy(parse_entry("file:policy.safetensors", tmp_path)) as policy:
        assert np.array_equal(policy.act(SEEN), load_policy(file).act(SEEN))


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("hangs", "did not act within 1 s"),
        ("aborts", "crashed .SIGABRT."),
        ("exits", "SystemExit: 3"),
        ("nan", "finite"),
        ("shape", "shape"),
        ("hungry", "more memory than it may have"),
        ("talks", "answered with"),
    ],
)
def test_a_policy_that_misbehaves_gets_one_verdict(stranger, name, verdict):
    with IsolatedPolicy(stranger(name), Limits(act=1 if name == "hangs" else 60, memory=2**28)) as policy:
        with pytest.raises(GuestError, match=verdict) as told:
            policy.act(SEEN)
        assert "\n" not in str(told.value)


LIMITED = """
import os, resource
from videoinpaint.benchmarks.leaderboard.sandbox import confinement
{before}
print(confinement._limits(2**40, 2**29))
print(*resource.getrlimit(resource.RLIMIT_CPU))
"""
LESS = "resource.setrlimit(resource.RLIMIT_CPU, (300, 500))"
NONE = """
def setrlimit(*arguments): raise ValueError("not allowed")
resource.setrlimit = setrlimit
"""
OTHER_USER = "os.setresuid(65534, 65534, 65534)"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="limits of root and of others")
@pytest.mark.parametrize(
    ("before", "told"),
    [
        (OTHER_USER, "0.5 GiB of memory, 3600 s of CPU time, no file grows, no further process or thread"),
        ("", "0.5 GiB of memory, 3600 s of CPU time, no file grows, processes and threads without a limit"),
        (LESS, "0.5 GiB of memory, 500 s of CPU time, no file grows, processes and threads without a limit"),
        (NONE, "memory without a limit, CPU time without a limit, files may grow, processes and threads without"),
    ],
)
def test_limits_are_told_as_they_hold(before, told):
    code = LIMITED.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, holds = done.stdout.splitlines()
    assert said.startswith(f"limits: {told}")
    if before != NONE:
        seconds = 500 if before == LESS else 3600
        assert holds == f"{seconds} {seconds}"
