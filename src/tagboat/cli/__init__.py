"""The command line (CONTRACT section 7)."""
