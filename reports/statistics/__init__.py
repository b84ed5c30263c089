"""Intervals, tests and comparisons over seeds and examples."""
