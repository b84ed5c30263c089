"""Times of networks alone on a machine."""
