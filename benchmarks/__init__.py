"""Benchmarks: ratios measured side by side in one run, because the machines are shared and noisy."""
