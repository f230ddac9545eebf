"""Values and decisions: no I/O, nothing of Tagboat but itself."""
