"""Results of anybody, side by side."""
