"""The training loop resumes to the same bits, writes nothing half and says what is wrong."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from videoinpaint.checkpoints import CHECKPOINT, write_state
from videoinpaint.errors import DivergedError, InputError
from videoinpaint.fitting import FitConfig, fit


def regression(network):
    def loss(rng):
        x = torch.from_numpy(rng.normal(size=(8, 3))).float()
        x = x + 0.1 * torch.randn_like(x)  # torch's own generator has to resume too
        error = (network(x) - x.sum(1, keepdim=True)).square().mean()
        return error, {"mse": float(error.detach())}

    return loss


def make(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def config(folder, iterations, **kwargs):
    return FitConfig(folder, iterations=iterations, progress=False, learning_rate=1e-2, warmup=5, **kwargs)


def test_training_learns(tmp_path):
    network = make()
    x = torch.randn(100, 3)
    before = (network(x) - x.sum(1, keepdim=True)).square().mean()
    fit(network, regression(network), config(tmp_path, 300))
    assert (network(x) - x.sum(1, keepdim=True)).square().mean() < 0.2 * before


def test_resume_equals_uninterrupted(tmp_path):
    whole = make()
    fit(whole, regression(whole), config(tmp_path / "whole", 30))

    class InterruptError(Exception):
        pass

    halves = make()
    calls = 0

    def interrupted(rng):
        nonlocal calls
        calls += 1
        if calls == 18:
            raise InterruptError
        return regression(halves)(rng)

    with pytest.raises(InterruptError):
        fit(halves, interrupted, config(tmp_path / "halves", 30, save_seconds=0.0))
    resumed = make(seed=5)  # starts from other weights: all must come from the checkpoint
    fit(resumed, regression(resumed), config(tmp_path / "halves", 30))
    for one, other in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(one, other)


@pytest.fixture
def handle():
    """Sets signal handlers, for one test."""
    before = {}

    def setting(number, handler):
        before.setdefault(number, signal.getsignal(number))
        signal.signal(number, handler)

    yield setting
    for number, handler in before.items():
        signal.signal(number, handler)


def signalled(network, number, at, times=1):
    """A loss in the middle of whose computation at the call `at` the process gets a signal."""
    calls = 0

    def loss(rng):
        nonlocal calls
        calls += 1
        for _ in range(times if calls == at else 0):
            os.kill(os.getpid(), number)
        return regression(network)(rng)

    return loss


def ends(number, frame):
    raise KeyboardInterrupt(number)


@pytest.mark.parametrize(("number", "handler"), [("SIGINT", signal.default_int_handler), ("SIGTERM", ends)])
def test_an_interruption_keeps_what_was_done_and_says_so(tmp_path, handle, number, handler):
    handle(getattr(signal, number), handler)
    whole, halves, resumed = make(), make(), make(seed=5)
    fit(whole, regression(whole), config(tmp_path / "whole", 30))
    with pytest.raises(KeyboardInterrupt) as error:
        fit(halves, signalled(halves, getattr(signal, number), at=18), config(tmp_path / "halves", 30))
    [told] = error.value.__notes__
    path = tmp_path / "halves" / CHECKPOINT
    assert told == f"18 of 30 iterations are kept in {path}: the same settings go on from there"
    assert torch.load(path, weights_only=True)["iteration"] == 18
    assert signal.getsignal(getattr(signal, number)) is handler
    fit(resumed, regression(resumed), config(tmp_path / "halves", 30))
    for one, other in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(one, other)


def test_a_second_interruption_ends_at_once(tmp_path, handle):
    handle(signal.SIGINT, signal.default_int_handler)
    network = make()
    with pytest.raises(KeyboardInterrupt):
        fit(network, signalled(network, signal.SIGINT, at=2, times=2), config(tmp_path, 5))
    assert not (tmp_path / CHECKPOINT).exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_callers_own_handler_is_called_once_and_decides(tmp_path, handle):
    heard = []
    handle(signal.SIGTERM, lambda number, frame: heard.append(number))
    network, other = make(), make()
    fit(network, signalled(network, signal.SIGTERM, at=3), config(tmp_path / "one", 5))
    assert heard == [signal.SIGTERM]
    fit(other, regression(other), config(tmp_path / "other", 5))
    for one, two in zip(network.parameters(), other.parameters()):
        assert torch.equal(one, two)


def test_a_signal_in_a_step_that_fails_is_not_lost(tmp_path, handle):
    heard = []
    handle(signal.SIGTERM, lambda number, frame: heard.append(number))
    network = make()

    def loss(rng):
        os.kill(os.getpid(), signal.SIGTERM)
        return network(torch.full((1, 3), np.nan)).sum(), {}

    with pytest.raises(DivergedError):
        fit(network, loss, config(tmp_path, 5))
    assert heard == [signal.SIGTERM]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("numbers", [1, 300_000])
def test_a_full_disk_is_told_as_such(numbers):
    """torch's own error is of its archive."""
    with pytest.raises(OSError, match="No space left on device"):
        write_state(Path("/dev/full"), {"a": torch.zeros(numbers)})


def test_a_foreign_checkpoint_is_refused_by_name(tmp_path):
    torch.save({"network": {}}, tmp_path / CHECKPOINT)
    network = make()
    with pytest.raises(InputError, match=CHECKPOINT):
        fit(network, regression(network), config(tmp_path, 5))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    network = make()
    with pytest.raises(DivergedError, match=r"loss is nan at iteration 0.*learning rate.*no checkpoint"):
        fit(network, lambda rng: (network(torch.full((1, 3), np.nan)).sum(), {}), config(tmp_path, 5))


@pytest.mark.parametrize("where", ["network", "average", "optimiser"])
def test_a_checkpoint_with_a_number_that_is_none_is_refused(tmp_path, where):
    network = make()
    fit(network, regression(network), config(tmp_path, 5))
    stored = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    tensor = stored["optimiser"]["state"][0]["exp_avg"] if where == "optimiser" else stored[where]["0.weight"]
    tensor[0, 0] = torch.nan
    torch.save(stored, tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match=f"{where}.*NaN"):
        fit(network, regression(network), config(tmp_path, 5))


@pytest.mark.parametrize("wrong", ["loss", "gradient", "weight"])
def test_a_run_that_goes_astray_names_its_last_good_checkpoint_and_keeps_it(tmp_path, wrong):
    network = make()
    calls = 0

    def loss(rng):
        nonlocal calls
        calls += 1
        value, scalars = regression(network)(rng)
        if calls == 8 and wrong == "weight":
            with torch.no_grad():
                network[2].bias.fill_(torch.inf)
            return (network[0].weight * 0).sum(), scalars
        if calls == 8 and wrong == "gradient":  # finite, but the root's slope is not
            return value + (network[0].weight * 0).sum().square().sqrt(), scalars
        return (value * torch.nan if calls == 8 else value), scalars

    with pytest.raises(DivergedError, match=f"the last good checkpoint is {tmp_path / CHECKPOINT}"):
        fit(network, loss, config(tmp_path, 30, save_seconds=0.0))
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["iteration"] == 7
    again = make()
    fit(again, regression(again), config(tmp_path, 30))
    assert all(torch.isfinite(p).all() for p in again.parameters())


def test_parameters_that_are_named_have_a_rate_of_their_own(tmp_path):
    slow, fast = make(), make()
    fit(slow, regression(slow), config(tmp_path / "slow", 1, average=0.0))
    fit(fast, regression(fast), config(tmp_path / "fast", 1, average=0.0, faster={"2.bias": 50.0}))
    before = make()
    for name, value in slow.named_parameters():
        start = before.get_parameter(name)
        moved = [float((one - start).detach().abs().max()) for one in (fast.get_parameter(name), value)]
        assert moved[0] / moved[1] == pytest.approx(50.0 if name == "2.bias" else 1.0, rel=1e-2)
    with pytest.raises(InputError, match="faster"):
        fit(fast, regression(fast), config(tmp_path / "fast", 1, average=0.0, faster={"2.bias": 2.0}))


CHANGES = [{"seed": 1}, {"clip": 2.0}, {"average": 0.9}, {"settings": {"clips": ["other"]}}, {"settings": {}}]


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, change):
    settings = {"settings": {"clips": ("studio",)}}
    network = make()
    fit(network, regression(network), config(tmp_path, 5, **settings))
    before = (tmp_path / CHECKPOINT).read_bytes()
    other = make(3)
    with pytest.raises(InputError, match=rf"other settings: {next(iter(change.get('settings') or change))}|clips"):
        fit(other, regression(other), config(tmp_path, 5, **(settings | change)))
    with pytest.raises(InputError, match=r"iterations=6 \(was 5\)"):
        fit(other, regression(other), config(tmp_path, 6, **settings))
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    fit(other, regression(other), config(tmp_path, 5, **settings))
    assert torch.equal(other[0].weight, network[0].weight)


def test_two_trainings_in_one_folder_are_not_both_run(tmp_path):
    network = make()

    def loss(rng):  # of the first; the second begins meanwhile
        other = make()
        with pytest.raises(InputError, match="another training runs"):
            fit(other, regression(other), config(tmp_path, 1))
        return regression(network)(rng)

    fit(network, loss, config(tmp_path, 1))
    fit(network, regression(network), config(tmp_path, 1))  # the lock is gone


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 1e308}, {"learning_rate": float("nan")}, {"learning_rate": -1}, {"learning_rate": "fast"},
        {"iterations": 0}, {"iterations": 2.5}, {"iterations": 10**400}, {"seed": -1}, {"seed": 2**64},
        {"clip": float("inf")}, {"average": 1.5}, {"weight_decay": -1}, {"warmup": True}, {"save_seconds": -1.0},
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        FitConfig(tmp_path / "new", **wrong)
    assert not list(tmp_path.iterdir())


def test_the_rate_warms_up_and_falls_in_steps_or_along_a_cosine(tmp_path):
    falling = FitConfig(tmp_path, iterations=100, learning_rate=1.0, warmup=4, steps=(2, 50), factor=0.1)
    rates = [falling.rate(iteration) for iteration in (0, 1, 2, 3, 49, 50)]
    assert rates == pytest.approx([0.25, 0.5, 0.075, 0.1, 0.1, 0.01])
    smooth = FitConfig(tmp_path, iterations=100, learning_rate=1.0, warmup=2)
    assert [smooth.rate(iteration) for iteration in (0, 50, 100)] == pytest.approx([0.5, 0.51, 0.02], abs=2e-3)


def test_the_average_is_what_is_evaluated_and_returned_and_training_goes_on_from_the_weights(tmp_path):
    plain, watched, seen = make(), make(), []

    def evaluate(network):
        assert not network.training
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"quality": 1.0}

    fit(plain, regression(plain), config(tmp_path / "plain", 6))
    fit(watched, regression(watched), config(tmp_path / "watched", 6), evaluate, evaluate_every=3)
    returned = watched.state_dict()
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in returned.items())
    assert all(torch.equal(value, seen[-1][name]) for name, value in returned.items())
    trained = torch.load(tmp_path / "watched" / CHECKPOINT, weights_only=True)["network"]
    assert not any(torch.equal(value, trained[name]) for name, value in returned.items())


def test_what_is_counted_is_copied_and_what_is_logged_is_smoothed(tmp_path):
    network, values = torch.nn.BatchNorm1d(2), iter((1.0, 2.0, 4.0))

    def loss(rng):
        return network(torch.from_numpy(rng.normal(size=(4, 2))).float()).square().sum(), {"told": next(values)}

    fit(network, loss, config(tmp_path, 3, log_every=1))
    assert int(network.num_batches_tracked) == 3
    told = [json.loads(line)["told"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert told == pytest.approx([1, 1.05, 1.1975], abs=1e-4)
