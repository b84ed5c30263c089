"""The section of a sweep under corruptions."""
