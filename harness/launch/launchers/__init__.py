"""Where cells run: processes of this machine, torchrun, a Slurm cluster."""
