"""Speed and memory against peers. Nothing is timed before its correctness gate is green."""

from benchmarks.words import answer_help

answer_help()  # before a benchmark's own file imports torch
