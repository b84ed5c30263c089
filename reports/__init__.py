"""Self-contained HTML reports of sweeps, built from result files alone."""
