"""The section of the measurement speed."""
