"""Who makes each pending run, exactly once: here, under Slurm, or on a cluster."""
