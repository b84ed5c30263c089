"""What a sweep's page states in sentences."""
