"""Sweeps: from a Hydra config to runs, jobs and result files."""
