"""Figures of a sweep's page."""
