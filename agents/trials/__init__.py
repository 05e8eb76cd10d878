"""Policies without reinforcement: try settings on training episodes, learn what was best where."""

from videoinpaint.agents.trials.building import build_trials, fit_policy, load_trials
from videoinpaint.agents.trials.cells import PLANS, CellTrials
from videoinpaint.agents.trials.clips import SETTINGS, ClipTrials

__all__ = ["PLANS", "SETTINGS", "CellTrials", "ClipTrials", "build_trials", "fit_policy", "load_trials"]
