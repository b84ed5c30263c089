"""What is known of runs, from files and from SLURM."""
