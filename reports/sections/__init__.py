"""Parts of a sweep's page."""
