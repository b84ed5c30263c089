"""What a run's settings are, and how they are composed from sweeps/ and the command line."""
