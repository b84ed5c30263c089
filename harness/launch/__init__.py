"""Who executes runs: this process, local workers, or SLURM."""
