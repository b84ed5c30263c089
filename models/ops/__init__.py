"""Operators: a folder each, with a readable reference, its fast versions and one entry."""
