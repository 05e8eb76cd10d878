"""Policies over an action grid without reinforcement: try settings on training episodes, learn what was best where."""

from videoinpaint.agents.trials.fitting import fit_policy
from videoinpaint.agents.trials.trying import PLANS, Trials, build_trials

__all__ = ["PLANS", "Trials", "build_trials", "fit_policy"]
