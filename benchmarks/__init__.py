"""videoinpaint.benchmarks."""
