"""Results and published figures, read for a page."""
