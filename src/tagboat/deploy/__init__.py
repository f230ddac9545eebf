"""From a queued deploy to a running container."""
