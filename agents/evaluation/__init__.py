"""What measures a policy: episodes as records, the best fixed setting, and an oracle that tries every state."""

from videoinpaint.agents.evaluation.episodes import evaluate, make_evaluation_env
from videoinpaint.agents.evaluation.oracle import BestFixed, OracleResult, best_fixed, controls_grid, oracle_return
from videoinpaint.agents.evaluation.record import EpisodeRecord

__all__ = [
    "BestFixed",
    "EpisodeRecord",
    "OracleResult",
    "best_fixed",
    "controls_grid",
    "evaluate",
    "make_evaluation_env",
    "oracle_return",
]
