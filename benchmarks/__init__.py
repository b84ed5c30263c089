"""Speed and memory against peers. Nothing is timed before its correctness gate is green."""
