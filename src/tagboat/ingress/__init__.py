"""Leading traffic to instances."""
