"""Published networks against stored numbers: the runner, and each network's calls."""
