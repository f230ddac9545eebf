"""What Tagboat costs, measured: each number beside its floor or peer of the same run."""
