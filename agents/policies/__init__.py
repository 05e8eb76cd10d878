"""What chooses: the policy protocol, baselines, the features policies see, networks and policy files."""

from videoinpaint.agents.policies.policy import POLICIES, make_policy, policy_file, shipped_policy
from videoinpaint.agents.policies.protocol import Observation, Policy, acts_by_cell, check_actions, choose, reset_policy

__all__ = [
    "POLICIES",
    "Observation",
    "Policy",
    "acts_by_cell",
    "check_actions",
    "choose",
    "make_policy",
    "policy_file",
    "reset_policy",
    "shipped_policy",
]
