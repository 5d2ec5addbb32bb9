"""Benchmarks: each compares side by side in one run, checks that both sides answered the same, and prints ratios."""
