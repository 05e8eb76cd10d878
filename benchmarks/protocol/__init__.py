"""What every benchmark shares: suites, metrics, episodes, statistics, tables and the published numbers."""
