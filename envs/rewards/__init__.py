"""The reward of a repair, where in the frame it arose, and what a step is paid."""
