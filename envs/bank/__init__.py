"""Episodes that were begun before and are read back: a folder of what `begin` computed, by seed."""

from videoinpaint.envs.bank.identity import Identity, begins_alike, identify
from videoinpaint.envs.bank.shards import Bank

__all__ = ["Bank", "Identity", "begins_alike", "identify"]
