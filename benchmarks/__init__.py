"""Benchmarks: one question a file, one report each; `python -m benchmarks` lists them."""
