"""The training loop resumes to the same bits, writes nothing half and says what is wrong."""

import numpy as np
import pytest
import torch

from videoinpaint.errors import InputError
from videoinpaint.fitting import CHECKPOINT, FitConfig, fit


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


def test_a_foreign_checkpoint_is_refused_by_name(tmp_path):
    torch.save({"network": {}}, tmp_path / CHECKPOINT)
    network = make()
    with pytest.raises(InputError, match=CHECKPOINT):
        fit(network, regression(network), config(tmp_path, 5))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    network = make()
    with pytest.raises(InputError, match="learning rate"):
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
