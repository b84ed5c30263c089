"""Tables of a sweep's page."""
